"""Arguments and options that commands share, and what they are turned into."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.check import Spec


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
    typer.Option("--unset", metavar="PATH", help="Take a key away. Repeatable."),
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


def refuse_changes(run: Path, changes: Sequence[str] | None, unset: Sequence[str] | None) -> None:
    """Raise NetbuildError where overrides are given for a run, which is what it is."""
    if changes or unset:
        what = f"{run} is a run; --set and --unset change a spec"
        raise NetbuildError(what, Exit.USAGE, f"name {run}/resolved.yaml instead")


def find_run(target: str, root: Path = Path("runs")) -> Path | None:
    """The run that a target names, or None when it names none; raises NetbuildError for two.

    A folder that holds `run.json`; else, below `root`, the newest for `latest` or `NAME/latest`,
    or the one run whose folder's name begins with the target.
    """
    path = Path(target)
    if (path / "run.json").is_file():
        return path
    if path.is_file():
        return None
    below, _, last = target.rpartition("/")
    home = Path(below) if below and Path(below).is_dir() else root / below
    pattern = "*" if last == "latest" else f"{_literal(last)}*"
    found = [*home.glob(f"{pattern}/run.json"), *home.glob(f"*/{pattern}/run.json")]
    runs = sorted({file.parent for file in found}, key=_started)
    if last == "latest" and runs:
        saved = [run for run in runs if any((run / "checkpoints").glob("step-*"))]
        return (saved or runs)[-1]
    if len(runs) > 1:
        shown = ", ".join(str(run) for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
        hint = "write more of the name, or `latest`"
        raise NetbuildError(f"{len(runs)} runs begin with {target}: {shown}", Exit.RUN, hint)
    if runs:
        return runs[0]
    if path.suffix not in (".yaml", ".yml") and not path.exists() and last != "latest":
        what = f"{target} is neither a spec nor a run"
        raise NetbuildError(what, Exit.USAGE, f"runs are looked for below {home}")
    if path.is_dir() or last == "latest":
        what = "there is no run yet" if last == "latest" else f"{target} is not a run directory"
        raise NetbuildError(what, Exit.RUN, f"looked below {home}")
    return None


def _started(run: Path) -> tuple[str, str]:
    """When a run was started; two of one second have names in no order."""
    try:
        return str(json.loads((run / "run.json").read_bytes())["started"]), str(run)
    except (OSError, ValueError, KeyError, TypeError):
        return "", str(run)


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


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
    from netbuild.check import load

    spec = load(path, overrides(changes, device), unset=unset or (), data_root=data_root)
    if spec.warnings and warn:
        from netbuild.render import report_problems

        report_problems(spec.warnings, warn)
    return spec
