"""`netbuild diff`: two specs or runs, compared by meaning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import Format, argument, load_spec
from netbuild.cli.standard import say, say_json
from netbuild.listing import find_run

if TYPE_CHECKING:
    from netbuild.compare import Difference, Divergence
    from netbuild.results.run import Run

MOST_VALUES = 8  # of the record in which two logs differ first
# Parts of `run.json` and of the log that differ between any two runs.
_OWN = ("argv", "steps_per_second")


def diff(
    one: Annotated[str, argument("A", "A spec or a run.")],
    other: Annotated[str, argument("B", "Another spec or run.")],
    data_root: options.DataRoot = None,
    form: options.Form = Format.text,
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
            _tell(part, rows)
    if parted is not None:
        # The step at which two logs part, and some of what differs there.
        until = "" if parted.agreed is None else f"; they agree until step {parted.agreed:,}"
        head = f"the logs differ first at step {parted.step:,} ({parted.kind}){until}"
        _tell(head, parted.differences[:MOST_VALUES])
        if (more := len(parted.differences) - MOST_VALUES) > 0:
            say(f"  ... and {more:,} more")
    if not any(found.values()) and parted is None:
        say("no difference")


def _parts(target: str, data_root: Any) -> tuple[dict[str, dict[str, Any]], Run | None]:
    """What is compared of a target, by its kind, and the run that it is."""
    from netbuild.compare import flat, inputs_of, overrides_of, values_of

    path = find_run(target)
    if path is None:
        spec = load_spec(target, data_root=data_root, warn=None)
        return {"spec": values_of(spec), "inputs": inputs_of(spec)}, None
    from netbuild.api import open_run

    run = open_run(path, verify=False)
    environment = flat(run.about.get("environment", {})) | flat({"git": run.about.get("git", {})})
    scores = {"status": run.about.get("status"), **flat(run.final)}
    if "on" in run.final:  # it is of validation trials
        scores |= flat({"test": run.scores.get("test", {})})
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


def _tell(head: str, rows: Iterable[Difference]) -> None:
    """Print differences, below a head."""
    from netbuild.language.dump import inline

    say(head)
    for path, *both in rows:
        a, b = ("(none)" if value is None else inline(value) for value in both)
        say(f"  {path}: {a} -> {b}")
