"""Arguments and options that commands share, and what they are turned into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netbuild.errors import Exit, NetbuildError, Problem, SpecError
from netbuild.listing import find_run
from netbuild.tracking.trackers import TRACKERS
from netbuild.wording import near, show

if TYPE_CHECKING:
    from netbuild.experiments.folder import ExperimentFolder
    from netbuild.language import Spec
    from netbuild.language.points import Points
    from netbuild.runs.run import Which


class Format(StrEnum):
    """How results and problems are printed."""

    text = "text"
    json = "json"
    github = "github"


def argument(metavar: str | None, text: str) -> Any:
    """An argument, for the annotation of a parameter: what help calls it, and the text of help."""
    return typer.Argument(metavar=metavar, help=text)


def option(metavar: str | None, text: str, *names: str, **limits: int) -> Any:
    """An option that takes a value; it is called as the parameter is, unless it has `names`."""
    return typer.Option(*names, metavar=metavar, help=text, **limits)  # type: ignore[arg-type]


def output(text: str, metavar: str = "FILE") -> Any:
    """The option `--output`, or `-o`."""
    return option(metavar, text, "--output", "-o")


def flag(text: str, *names: str) -> Any:
    """An option without a value."""
    return typer.Option(*names, help=text)


_A_RUN = "a run: its folder, a unique beginning of its name, or `latest`."
SpecPath = Annotated[str, argument("SPEC", "The spec, a YAML file.")]
Target = Annotated[str, argument("SPEC|RUN", f"A spec, or {_A_RUN}")]
RunName = Annotated[str, argument("RUN", _A_RUN.capitalize())]
Checkpoint = Annotated[str, option("WHICH", "best, last, or a step.")]
Set = Annotated[
    list[str] | None,
    option(
        "PATH=VALUE",
        "Override a value, e.g. 'layers\\[hidden].output_dim=64'; += appends. Repeatable.",
        "--set",
    ),
]
Unset = Annotated[list[str] | None, option("PATH", "Remove a key. Repeatable.")]
Device = Annotated[str | None, option("DEVICE", "auto, cpu, cuda or cuda:N.")]
Form = Annotated[Format, option(None, "How to print.", "--format")]
Track = Annotated[
    list[str] | None,
    option("NAME", "Let a tracker follow it: " + ", ".join(TRACKERS) + ". Repeatable.", "--track"),
]
Quiet = Annotated[bool, flag("Print results alone.", "--quiet", "-q")]
DataRoot = Annotated[
    Path | None,
    option("DIR", "The folder that files named in the spec may lie in; else its project's folder."),
]


def run_of(target: str) -> Path:
    """The run that a command line names; raises NetbuildError."""
    path = find_run(target)
    if path is None:
        raise NetbuildError(f"{target} is not a run", Exit.USAGE, "`netbuild train` starts one")
    return path


def run_unless_spec(
    target: str, changes: Sequence[str] | None, unset: Sequence[str] | None
) -> Path | None:
    """The run that a command line names, None for a spec.

    Raises NetbuildError where overrides are given for a run.
    """
    run = find_run(target)
    if run is not None and (changes or unset):
        what = f"{run} is a run; --set and --unset change a spec"
        hint = f"`netbuild resume {run} --fork --set ...` trains a new run with changes"
        raise NetbuildError(what, Exit.USAGE, hint)
    return run


def experiment_of(target: str) -> ExperimentFolder | None:
    """The experiment that a target names, unless it is a file or a run of that name."""
    path = Path(target)
    if path.is_file() or (path / "run.json").is_file():
        return None
    from netbuild.experiments.folder import find_experiment

    return find_experiment(target)


def load_spec(
    path: str,
    changes: Sequence[str] | None = None,
    unset: Sequence[str] | None = None,
    device: str | None = None,
    data_root: Path | None = None,
    *,
    warn: str | None = "text",
) -> Spec:
    """The checked spec of a command line, `--device` as its last override; raises SpecError.

    Warnings are printed on standard error in the form that `warn` names, or not at all.
    """
    from netbuild.language import load

    overrides = [*(changes or ()), *([f"device={device}"] if device else ())]
    with located_in(path):
        spec = load(path, overrides, unset=unset or (), data_root=data_root)
    spec = replace(spec, warnings=_naming(path, spec.warnings))
    if spec.warnings and warn:
        from netbuild.render import report_problems

        with suppress(OSError):  # the command continues if nobody reads them
            report_problems(spec.warnings, warn)
    return spec


def load_points(path: str, data_root: Path | None = None, *, many: bool = False) -> Points:
    """An experiment and its checked points; raises SpecError."""
    from netbuild.language.design import load_experiment
    from netbuild.language.points import points_of

    return points_of(load_experiment(path, data_root), many=many)


def trackers(names: Sequence[str] | None) -> tuple[str, ...]:
    """The trackers that `--track` names; raises NetbuildError (exit 2) for an unknown one."""
    for name in names or ():
        if name not in TRACKERS:
            raise NetbuildError(
                f"`{show(name)}` is not a tracker", Exit.USAGE, near(name, TRACKERS)
            )
    return tuple(dict.fromkeys(names or ()))


def tracked_by(names: Sequence[str] | None) -> list[str]:
    """The overrides that add the trackers of `--track` to a spec."""
    return [f"training.track+={name}" for name in trackers(names)]


@contextmanager
def located_in(path: str) -> Iterator[None]:
    """Name the spec of a path in problems that are located in the command line."""
    try:
        yield
    except SpecError as error:
        raise SpecError(_naming(path, error.problems), _naming(path, error.warnings)) from None


def _naming(spec: str, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems; those that are located in the command line also name the spec."""
    return tuple(
        replace(problem, place=replace(problem.place, spec=spec))
        if problem.place and problem.place.source.startswith("--")
        else problem
        for problem in problems
    )


def which_checkpoint(text: str) -> Which:
    """The checkpoint that `--checkpoint` names: best, last or a step; raises NetbuildError."""
    if text == "best" or text == "last":
        return text  # type: ignore[return-value]
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise NetbuildError(f"--checkpoint is best, last or a step; got `{text}`", Exit.USAGE)
