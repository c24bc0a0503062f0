"""`netbuild diff`: two specs or runs, compared by meaning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netbuild.cli.options import DataRoot, Form, Format, find_run, load_spec
from netbuild.cli.standard import say, say_json

if TYPE_CHECKING:
    from netbuild.compare import Difference, Divergence
    from netbuild.results.run import Run

MOST_VALUES = 8  # of the record in which two logs differ first
# Of a run: what tells the time, or is the run's own name.
_OWN = ("argv", "steps_per_second")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A spec or a run.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data_root: DataRoot = None,
    form: Form = Format.text,
) -> None:
    """Compare two specs or runs by meaning: values and files; for runs machine, scores and logs.

    Of a spec and a run, the spec and its files are compared.
    """
    from netbuild.compare import differences, first_divergence

    (first, run), (second, other_run) = (_parts(target, data_root) for target in (one, other))
    found = {part: differences(first[part], second[part]) for part in first if part in second}
    parted = None
    if run is not None and other_run is not None:
        parted = first_divergence(run.records(), other_run.records())
    if form is Format.json:
        records: dict[str, Any] = {part: _records(rows) for part, rows in found.items()}
        if "metrics" in found:
            records["first_difference"] = None if parted is None else _record(parted)
        say_json(records)
        return
    for part, rows in found.items():
        if rows:
            say(part)
        for path, a, b in rows:
            say(f"  {path}: {_shown(a)} -> {_shown(b)}")
    if parted is not None:
        _tell(parted)
    if not any(found.values()) and parted is None:
        say("no difference")


def _parts(target: str, data_root: Any) -> tuple[dict[str, dict[str, Any]], Run | None]:
    """What is compared of a target, by its kind, and the run that it is."""
    from netbuild.compare import flat, inputs_of, overrides_of, values_of

    path = find_run(target)
    if path is None:
        spec = load_spec(target, None, None, None, data_root, warn=None)
        return {"spec": values_of(spec), "inputs": inputs_of(spec)}, None
    from netbuild.api import open_run

    run = open_run(path, verify=False)
    environment = flat(run.about.get("environment", {})) | flat({"git": run.about.get("git", {})})
    scores = {"status": run.about.get("status"), **flat(run.final)}
    return {
        "spec": values_of(run.spec),
        "inputs": inputs_of(run.spec),
        "overrides": overrides_of(run.about),
        "environment": {key: value for key, value in environment.items() if key not in _OWN},
        "metrics": {key: value for key, value in scores.items() if key not in _OWN},
    }, run


def _records(rows: Iterable[Difference]) -> list[dict[str, Any]]:
    return [{"path": path, "a": a, "b": b} for path, a, b in rows]


def _record(parted: Divergence) -> dict[str, Any]:
    return {
        "step": parted.step,
        "kind": parted.kind,
        "agreed_until": parted.agreed,
        "differences": _records(parted.differences),
    }


def _tell(parted: Divergence) -> None:
    """Where two logs part: the step, and some of what differs there."""
    until = "" if parted.agreed is None else f"; they agree until step {parted.agreed:,}"
    say(f"the logs differ first at step {parted.step:,} ({parted.kind}){until}")
    for path, a, b in parted.differences[:MOST_VALUES]:
        say(f"  {path}: {_shown(a)} -> {_shown(b)}")
    more = len(parted.differences) - MOST_VALUES
    if more > 0:
        say(f"  ... and {more:,} more")


def _shown(value: Any) -> str:
    from netbuild.language.dump import inline

    return "(none)" if value is None else inline(value)
