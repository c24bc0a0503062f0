"""Arguments and options that commands share, and what they are turned into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild.errors import Exit, NetbuildError, Problem, SpecError
from netbuild.listing import find_run as find_run

if TYPE_CHECKING:
    from netbuild.language import Spec
    from netbuild.runs.run import Which


class Format(StrEnum):
    """How results and problems are printed."""

    text = "text"
    json = "json"
    github = "github"


SpecPath = Annotated[str, typer.Argument(metavar="SPEC", help="The spec, a YAML file.")]
Target = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|RUN",
        help="A spec, or a run: its folder, a unique beginning of its name, or `latest`.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run: its folder, a unique beginning of its name, or `latest`."
    ),
]
Checkpoint = Annotated[
    str, typer.Option("--checkpoint", metavar="WHICH", help="best, last, or a step.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value, e.g. 'layers\\[hidden].output_dim=64'; += appends. Repeatable.",
    ),
]
Unset = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="PATH", help="Remove a key. Repeatable."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N."),
]
Form = Annotated[Format, typer.Option("--format", help="How to print.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results alone.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="The folder that files named in the spec may lie in; its project when left out.",
    ),
]


def overrides(changes: Sequence[str] | None, device: str | None = None) -> list[str]:
    """The overrides of a command line, `--device` as the last of them."""
    return [*(changes or ()), *([f"device={device}"] if device else ())]


def run_of(target: str) -> Path:
    """The run that a command line names; raises NetbuildError."""
    path = find_run(target)
    if path is None:
        raise NetbuildError(f"{target} is not a run", Exit.USAGE, "`netbuild train` starts one")
    return path


def refuse_changes(run: Path, changes: Sequence[str] | None, unset: Sequence[str] | None) -> None:
    """Raise NetbuildError where overrides are given for a run, which is what it is."""
    if changes or unset:
        what = f"{run} is a run; --set and --unset change a spec"
        hint = f"`netbuild resume {run} --fork --set ...` trains a new run with changes"
        raise NetbuildError(what, Exit.USAGE, hint)


def load_spec(
    path: str,
    changes: Sequence[str] | None,
    unset: Sequence[str] | None,
    device: str | None = None,
    data_root: Path | None = None,
    *,
    warn: str | None = "text",
) -> Spec:
    """The checked spec of a command line; raises SpecError.

    Its warnings are printed on standard error in the form that `warn` names, or not at all.
    """
    from netbuild.language import load

    with located_in(path):
        spec = load(path, overrides(changes, device), unset=unset or (), data_root=data_root)
    spec = replace(spec, warnings=_told_of(spec.warnings, path))
    if spec.warnings and warn:
        from netbuild.render import report_problems

        with suppress(OSError):  # the command continues if nobody reads them
            report_problems(spec.warnings, warn)
    return spec


@contextmanager
def located_in(path: str) -> Iterator[None]:
    """Name the spec of a path in problems that are located in the command line."""
    try:
        yield
    except SpecError as error:
        raise SpecError(_told_of(error.problems, path), _told_of(error.warnings, path)) from None


def _told_of(problems: Iterable[Problem], spec: str) -> tuple[Problem, ...]:
    """Problems, those in the command line with the spec that they are about."""
    return tuple(
        replace(problem, place=replace(problem.place, spec=spec))
        if problem.place and problem.place.source.startswith("--")
        else problem
        for problem in problems
    )


def which_checkpoint(text: str) -> Which:
    """The checkpoint that `--checkpoint` names: best, last or a step; raises NetbuildError."""
    named: dict[str, Which] = {"best": "best", "last": "last"}
    if text in named:
        return named[text]
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise NetbuildError(f"--checkpoint is best, last or a step; got `{text}`", Exit.USAGE)
