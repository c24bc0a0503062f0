"""`netbuild table`: what an experiment's runs say, for each of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import Format, argument, flag, option
from netbuild.cli.standard import say, say_json
from netbuild.errors import Exit, NetbuildError
from netbuild.wording import near, show

if TYPE_CHECKING:
    from netbuild.experiments.folder import About
    from netbuild.experiments.rows import Rows

MOST_ROWS = 200  # of a table that is printed


def table(
    experiment: Annotated[
        str, argument("EXPERIMENT", "An experiment: its folder, or its name below experiments.")
    ],
    by: Annotated[
        list[str] | None,
        option("PATH", "Tell settings apart by this parameter alone, or by `condition`."),
    ] = None,
    runs: Annotated[bool, flag("A row for each run.", "--runs")] = False,
    form: options.Form = Format.text,
) -> None:
    """Print what an experiment shows: for each setting the mean score of its runs, with intervals.

    With a baseline, also how the others compare with it.
    """
    from netbuild.experiments.experiment import open_experiment
    from netbuild.experiments.table import comparisons, summary, table

    found = open_experiment(experiment)
    about, rows = found.about, found.rows
    known = (*(["condition"] if about.conditions else []), *about.parameters)
    columns = [_column(text, known) for text in by or ()]
    if form is Format.json:
        compared = comparisons(about, rows)
        frame = table(about, rows) if runs else summary(about, rows, columns)
        said: dict[str, Any] = {"runs" if runs else "summary": frame.to_dicts()}
        if compared is not None and not columns and not runs:
            said["comparisons"] = compared.to_dicts()
        say_json(said)
    elif runs:
        _print_rows([_short(row) for row in table(about, rows).to_dicts()])
    else:
        print_tables(about, rows, columns)
    rows.save()


def _column(text: str, known: tuple[str, ...]) -> str:
    """The column that `--by` means; raises NetbuildError (exit 2)."""
    from netbuild.language.design import steps_of
    from netbuild.yamltree.paths import PathError

    try:
        steps = steps_of(text)
        return next(name for name in known if steps_of(name) == steps)
    except (PathError, StopIteration):
        what = f"--by: the experiment does not vary `{show(text)}`"
        raise NetbuildError(what, Exit.USAGE, near(text, known)) from None


def print_tables(about: About, rows: Rows, by: list[str] | None = None) -> None:
    """Print the score of each setting, and the comparisons with the baseline."""
    from netbuild.experiments.table import COUNTED, comparisons, summary

    said = summary(about, rows, by or (), about.score).to_dicts()
    for record in said:
        for name in COUNTED:
            record[name] = record[name] or None
        del record["sem"], record["median"]
    say(f"{about.score}, mean over {'seeds' if about.conditions or about.parameters else 'runs'}:")
    _print_rows([{k: v for k, v in record.items() if k != "score"} for record in said])
    compared = None if by else comparisons(about, rows)
    if compared is not None and len(compared):
        say(f"compared with {about.baseline}:")
        _print_rows(
            [
                {k: v for k, v in record.items() if k not in ("baseline", "score")}
                for record in compared.to_dicts()
            ]
        )


def _print_rows(records: list[dict[str, Any]]) -> None:
    from netbuild.render import number_table

    number_table(records[:MOST_ROWS])
    if len(records) > MOST_ROWS:
        say(f"... and {len(records) - MOST_ROWS:,} more; table.csv has all")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("error",)}
