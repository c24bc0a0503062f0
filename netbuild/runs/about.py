"""`run.json`, read: what it says has the types that everything counts on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netbuild.durable import read_file, steadily
from netbuild.errors import Exit, NetbuildError

FORMAT = 1
ENDED = ("finished", "stopped early")  # the status of a training that has come to its own end
LARGEST = 1 << 26  # bytes

Test = Callable[[object], bool]


def _of(kind: type) -> Test:
    return lambda value: type(value) is kind


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _inputs(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and isinstance(each.get("sha256"), str) for each in value.values()
    )


def _environment(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("device"), str)


def _sources(value: object) -> bool:
    """As `netbuild.runs.sources.sources` gives it."""
    if not isinstance(value, dict) or not isinstance(value.get("files", {}), dict):
        return False
    digests = all(isinstance(each, str) for each in value.get("files", {}).values())
    return digests and all(isinstance(value.get(k), str | None) for k in ("spec", "data_root"))


def _widths(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _resumed(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


ALWAYS: Mapping[str, Test] = {
    **dict.fromkeys(("id", "name", "status"), _of(str)),
    **dict.fromkeys(("spec_hash", "resolved_sha256", "initial_sha256"), _of(str)),
    "seed": _of(int),
    **dict.fromkeys(("overrides", "unset"), _texts),
    "inputs": _inputs,
    "environment": _environment,
}
SOMETIMES: Mapping[str, Test] = {
    "step": _of(int),
    "spec_sha256": _of(str),
    "sources": _sources,
    "task_widths": _widths,
    "own_task": _of(bool),
    "resumed": _resumed,
}


def read_about(path: Path) -> dict[str, Any]:
    """What a `run.json` says; raises NetbuildError (exit 5) for a damaged or a newer one."""
    try:
        found = json.loads(steadily(lambda: read_file(path, LARGEST)))
        version = found["format"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise NetbuildError(f"{path} cannot be read: {reason[:120]}", Exit.RUN) from None
    if version != FORMAT:
        raise NetbuildError(f"{path.parent} was written by a newer netbuild", Exit.RUN)
    for name, is_right in (*ALWAYS.items(), *SOMETIMES.items()):
        if name not in found and name in SOMETIMES:
            continue
        if not is_right(found.get(name)):
            raise NetbuildError(f"{path} is damaged: see `{name}`", Exit.RUN)
    if found["status"] in ENDED and "step" not in found:
        raise NetbuildError(f"{path} is damaged: see `step`", Exit.RUN)
    return dict(found)
