"""`netbuild sweep`: trains the runs of an experiment, and says what they show together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netbuild.cli import options
from netbuild.cli.options import Format, argument, flag, load_points, option
from netbuild.cli.signals import Signals
from netbuild.cli.standard import say, say_json, tell
from netbuild.errors import Exit
from netbuild.tracking.trackers import refuse_missing

if TYPE_CHECKING:
    from netbuild.experiments.sweep import Sweep
    from netbuild.language.points import Points

EXPERIMENTS = Path("experiments")
MOST_LISTED = 20  # failed runs
Workers = Annotated[
    int | None,
    option("N", "How many runs are trained at once; as many as cores if left out.", min=1),
]


def sweep(
    experiment: Annotated[str, argument("EXPERIMENT", "The experiment, a YAML file.")],
    workers: Workers = None,
    on: Annotated[
        str,
        option(
            "WHERE",
            "Where the runs are trained: local, ray, slurm, or a YAML file with `backend:`.",
        ),
    ] = "local",
    out: Annotated[
        Path, option("DIR", "The folder that experiments are written below.")
    ] = EXPERIMENTS,
    dry_run: Annotated[
        bool, flag("Print the points and a forecast of the time; train nothing.", "--dry-run")
    ] = False,
    fail_fast: Annotated[bool, flag("Stop at the first run that fails.", "--fail-fast")] = False,
    yes: Annotated[bool, flag("Start more than 10,000 runs.", "--yes")] = False,
    data_root: options.DataRoot = None,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Train all runs of an experiment; what has ended is not trained again.

    If it is stopped, or killed, the same command continues it.
    """
    points = load_points(experiment, data_root, many=yes)
    carry_out(
        points,
        out,
        workers=workers,
        on=on,
        dry_run=dry_run,
        fail_fast=fail_fast,
        form=form,
        quiet=quiet,
    )


def carry_out(
    points: Points,
    out: Path,
    *,
    workers: int | None,
    on: str = "local",
    dry_run: bool = False,
    fail_fast: bool = False,
    form: Format = Format.text,
    quiet: bool = False,
) -> None:
    """Train the points of an experiment, with a display, and print what they show.

    Raises NetbuildError with the lowest exit code of the runs that failed, and typer.Exit after a
    signal.
    """
    _warn(points, "none" if quiet else form)
    from netbuild.experiments.backend import backend_of, options_of
    from netbuild.experiments.local import most_at_once

    options, threads = options_of(on), _threads(points)
    if dry_run:
        from netbuild.cli.forecast import print_forecast

        print_forecast(points, workers or options.workers or most_at_once(threads), form)
        return
    refuse_missing(points.first.model.training.track or ())
    from netbuild.experiments.estimator import sweep_of
    from netbuild.experiments.folder import prepare
    from netbuild.experiments.sweep import first_failure
    from netbuild.experiments.table import write_tables
    from netbuild.render import SweepProgress

    backend = backend_of(options, workers, threads)
    folder = prepare(points, out)
    shown = SweepProgress(points.experiment.name, quiet=quiet or form is not Format.text)
    with folder.locked(), Signals() as signals:
        with shown as progress:
            running = sweep_of(folder, points, backend, fail_fast=fail_fast, told=progress.update)
            signals.take(running)  # type: ignore[arg-type]
            running.run()
        write_tables(folder, running.about, running.rows)
        _print(running, form, quiet=quiet)
        if signals.received is not None:
            tell(f"interrupted, every run saved: {_again(points)} continues")
            raise typer.Exit(128 + signals.received)
    failure = first_failure(running.failures.values())
    if failure is not None:
        raise failure


def _again(points: Points) -> str:
    path = points.experiment.path
    return "the same command" if path is None else f"`netbuild sweep {shlex.quote(str(path))}`"


def _threads(points: Points) -> int:
    """How many threads one run takes."""
    threads = points.first.model.training.threads
    return 1 if threads == "auto" else threads


def _warn(points: Points, form: str) -> None:
    if points.warnings and form != "none":
        from netbuild.render import report_problems

        with suppress(OSError):
            report_problems(points.warnings, form)


def _print(running: Sweep, form: Format, *, quiet: bool) -> None:
    """Print the tables, and what has failed."""
    from netbuild.experiments.rows import counts

    about, rows, folder = running.about, running.rows, running.folder
    known = {point.hash: rows.of(point.hash) for point in about.points}
    if form is Format.json:
        say_json(
            {
                "experiment": str(folder.path),
                "runs": counts(known),
                "failed": [_failed(running, each) for each in _bad(known)],
            }
        )
        return
    if quiet:
        say(folder.path)
        return
    from netbuild.cli.table import print_tables

    print_tables(about, rows)
    for identity in list(_bad(known))[:MOST_LISTED]:
        found = _failed(running, identity)
        code = "" if found["exit_code"] is None else f", exit code {found['exit_code']}"
        say(f"{found['status']}{code}: {found['point']}: {found['error']}; log: {found['log']}")
    if len(_bad(known)) > MOST_LISTED:
        say(f"... and {len(_bad(known)) - MOST_LISTED:,} more; `netbuild table` lists all")
    said = ", ".join(f"{count:,} {status}" for status, count in counts(known).items())
    say(f"{len(known):,} runs: {said}")
    say(f"experiment: {folder.path}")


def _bad(known: dict[str, Any]) -> Sequence[str]:
    return [each for each, row in known.items() if row.status in ("failed", "diverged", "damaged")]


def _failed(running: Sweep, identity: str) -> dict[str, Any]:
    from netbuild.experiments.sweep import label_of

    row = running.rows.of(identity)
    outcome = running.failures.get(identity)
    point = next(each for each in running.about.points if each.hash == identity)
    code = outcome.exit_code if outcome is not None else row.exit_code
    if code is None and row.status == "diverged":
        code = int(Exit.DIVERGED)
    return {
        "status": row.status,
        "exit_code": code,
        "point": ", ".join(filter(None, [label_of(point), f"seed {point.seed}"])),
        "error": (outcome.error if outcome is not None else row.error) or "",
        "run": str(running.folder.run(identity)),
        "log": str(running.folder.log(identity)),
    }
