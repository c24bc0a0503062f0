"""`netbuild report`: one page about a run or an experiment, for a supplement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from netbuild.cli import options
from netbuild.cli.options import argument, experiment_of, flag, run_of
from netbuild.cli.outputs import need_ending, write
from netbuild.cli.standard import warnings_as_lines

if TYPE_CHECKING:
    from netbuild.report.cells import Report

NAME = "report.html"


def report(
    target: Annotated[
        str, argument("RUN|EXPERIMENT", "A run, or an experiment: its folder, or its name.")
    ],
    output: Annotated[
        Path | None, options.output("A .html; if left out, report.html in the folder.")
    ] = None,
    tex: Annotated[
        bool, flag("Write the tables as LaTeX too, into a .tex beside the page.", "--tex")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a page with the model's tables, scores, proof, figures, versions and the spec itself.

    The page is one file that loads nothing and runs no script.
    """
    need_ending(output, "a report", ".html", ".htm")
    with warnings_as_lines():
        folder, found = _report_of(target)
    from netbuild.report.page import page

    path = output or folder / NAME
    write(path, page(found), quiet=quiet)
    if tex:
        from netbuild.report.tex import tex as tables

        write(path.with_suffix(".tex"), tables(found), quiet=quiet)


def _report_of(target: str) -> tuple[Path, Report]:
    """The folder that a command line names, and the report about it."""
    experiment = experiment_of(target)
    if experiment is not None:
        from netbuild.experiments.experiment import open_experiment
        from netbuild.report.experiment import experiment_report

        return experiment.path, experiment_report(open_experiment(experiment.path))
    from netbuild.api import open_run
    from netbuild.report.run import run_report

    path = run_of(target)
    return path, run_report(open_run(path, verify=False))
