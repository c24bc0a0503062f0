"""`netbuild runs`: the runs below a folder, what each was, and how it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import Format, argument, option
from netbuild.cli.standard import say, say_json
from netbuild.errors import Exit, NetbuildError
from netbuild.listing import COLUMNS, Entry, entries

if TYPE_CHECKING:
    from netbuild.listing.filters import SpecValues

DEFAULT = Path("runs")
# Of the table; where there is no room, those below are left out, the last first.
SHOWN = (
    *("name", "run", "status", "step", "on", "accuracy", "loss", "best", "test", "seed", "spec"),
    "commit",
)
DISPENSABLE = ("name", "best", "seed", "loss", "commit", "spec", "started")


def runs(
    folder: Annotated[
        Path, argument("[DIR]", "The folder that runs are looked for below.")
    ] = DEFAULT,
    filters: Annotated[
        list[str] | None,
        option(
            "KEY=VALUE",
            "Only runs in which a column, or a path of the spec, has this value; also with !=, >,"
            " <, >= or <=. Repeatable.",
            "--filter",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        option(
            "KEY", "By a column or a path of the spec, -KEY from high to low; else by `started`."
        ),
    ] = None,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """List runs, the newest last: status, step, scores, seed, hash of the spec, commit, start.

    `accuracy`, `loss` and `best` are of the trials that `on` names, and `test` is the final score
    on test trials; both columns are shown where a run has validation trials.

    Damaged ones are listed as such. With --quiet: the folders alone.
    """
    from netbuild.listing.filters import SpecValues, check_key, parse_condition

    conditions = [parse_condition(text) for text in filters or ()]
    key = None if sort is None else sort.removeprefix("-")
    if key is not None:
        check_key(key)
    specs = SpecValues()
    if not folder.is_dir() and folder != DEFAULT:
        raise NetbuildError(f"there is no folder {folder}", Exit.IO)
    found = entries(folder) if folder.is_dir() else []
    count = len(found)
    # Conditions that read specs come last, when fewer runs are left.
    for condition in sorted(conditions, key=lambda each: each.key not in COLUMNS):
        found = [each for each in found if condition.holds(each, specs)]
        if condition.value.value is not None:
            specs.require(condition.key)
    extra = None if key in COLUMNS else key
    if key is not None and sort is not None:
        value = specs.value if extra else getattr
        found.sort(key=lambda each: _order(value(each, key)), reverse=sort.startswith("-"))
    if extra is not None:
        specs.require(extra)
    if form is Format.json:
        say_json([_record(e, extra, specs) for e in found])
    elif quiet:
        for each in found:
            say(each.path)
    elif not found:
        say(f"no run below {folder}" + (f" passes the filters, of {count:,}" if count else ""))
    else:
        _print(found, folder, extra, specs)


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers before text; what is missing first, far from the prompt."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (bool, int, float)):
        return 1, float(value), ""
    return 2, 0.0, value if isinstance(value, str) else json.dumps(value)


def _record(each: Entry, extra: str | None, specs: SpecValues) -> dict[str, Any]:
    record = {key: getattr(each, key) for key in COLUMNS} | {"path": str(each.path)}
    return record if extra is None else record | {extra: specs.value(each, extra)}


def _print(found: Sequence[Entry], folder: Path, extra: str | None, specs: SpecValues) -> None:
    from netbuild.language.dump import inline
    from netbuild.listing.filters import NUMBERS
    from netbuild.render import notes, run_table

    columns = [*SHOWN, *([extra] if extra else ()), "started"]
    for column in ("accuracy", "loss", "best"):
        if all(getattr(each, column) is None for each in found):
            columns.remove(column)
    if all(each.on != "validation" for each in found):  # then every score is one of test trials
        columns = [column for column in columns if column not in ("on", "test")]
    rows = []
    numbers = {column: column in NUMBERS for column in columns}
    for each in found:
        row = {column: _shown(each, column) for column in columns if column != extra}
        if extra is not None:
            value = specs.value(each, extra)
            numbers[extra] = numbers[extra] or isinstance(value, (int, float))
            row[extra] = "-" if value is None else inline(value)
        rows.append(row | {"run": _folder(each, folder)})
    run_table(rows, numbers, DISPENSABLE)
    notes(f"{each.path}: {each.problem}" for each in found if each.problem)


def _folder(each: Entry, below: Path) -> str:
    """A run's folder as the table names it: its own name, unless it lies in an unusual place."""
    if each.path.parent == below / (each.name or "?"):
        return each.path.name
    return str(each.path.relative_to(below)) if each.path != below else str(each.path)


def _shown(each: Entry, column: str) -> str:
    value = getattr(each, column)
    match column, value:
        case _, None:
            return "-"
        case "commit", _:
            return str(value[:7]) + ("+" if each.changed else "")
        case "spec", _:
            return str(value[:8])
        case "started", _:
            return str(value[:19]).replace("T", " ")
        case "step", _:
            return f"{value:,}"
        case _, float():
            return f"{value:.4f}"
    return str(value)
