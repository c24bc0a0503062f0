"""`netbuild diff`: two specs or runs, compared by meaning."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from netbuild.cli.options import DataRoot, Form, Format, find_run, load_spec

# Of a run: what tells the time, or is the run's own name.
_OWN = ("argv", "steps_per_second")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A spec or a run.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data_root: DataRoot = None,
    form: Form = Format.text,
) -> None:
    """Compare two specs or runs by meaning: values and files, and for runs machine and scores."""
    from netbuild.compare import differences

    first, second = (_parts(target, data_root) for target in (one, other))
    found = {part: differences(first[part], second[part]) for part in first if part in second}
    if form is Format.json:
        records = {
            part: [{"path": path, "a": a, "b": b} for path, a, b in rows]
            for part, rows in found.items()
        }
        print(json.dumps(records, indent=1, ensure_ascii=False))
        return
    for part, rows in found.items():
        if rows:
            print(part)
        for path, a, b in rows:
            print(f"  {path}: {_shown(a)} -> {_shown(b)}")
    if not any(found.values()):
        print("no difference")


def _parts(target: str, data_root: Any) -> dict[str, dict[str, Any]]:
    """What is compared of a target, by its kind."""
    from netbuild.compare import flat, values_of

    path = find_run(target)
    if path is None:
        return {"spec": values_of(load_spec(target, None, None, None, data_root, warn=None))}
    from netbuild.training import open_run

    run = open_run(path, verify=False)
    environment = flat(run.about.get("environment", {})) | flat({"git": run.about.get("git", {})})
    scores = {"status": run.about.get("status"), **run.final}
    return {
        "spec": values_of(run.spec),
        "environment": {key: value for key, value in environment.items() if key not in _OWN},
        "metrics": {key: value for key, value in scores.items() if key not in _OWN},
    }


def _shown(value: Any) -> str:
    from netbuild.spec.dump import inline

    return "(none)" if value is None else inline(value)
