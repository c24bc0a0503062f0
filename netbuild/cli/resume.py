"""`netbuild resume`: resumes a run, to the bits that it would have had without a stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild.cli import train as training
from netbuild.cli.options import DataRoot, Device, Form, Format, Quiet, Set, find_run, located_in
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.runs.resuming import IfChanged

RunPath = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run: its folder, a unique beginning of its name, or `latest`."
    ),
]


def resume(
    target: RunPath,
    as_started: Annotated[
        bool,
        typer.Option(
            "--as-started", help="Use the run's own copies, whatever became of its spec and files."
        ),
    ] = False,
    fork: Annotated[
        bool,
        typer.Option(
            "--fork", help="Start a new run from its weights, with its spec as it is now."
        ),
    ] = False,
    spec: Annotated[
        Path | None, typer.Option("--spec", metavar="SPEC", help="With --fork: another spec.")
    ] = None,
    set_: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="With --fork: the folder that the run is written below."
        ),
    ] = None,
    data_root: DataRoot = None,
    device: Device = None,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Resume a run from its newest checkpoint; it ends with the bits of one never stopped."""
    with Signals() as signals:
        path = run_of(target)
        if fork:
            _fork(path, spec, [*(set_ or ())], out, data_root, device, signals, form, quiet)
            return
        if spec is not None or set_ or out is not None:
            what = "--spec, --set and --out go with --fork: a run goes on as it was started"
            raise NetbuildError(what, Exit.USAGE)
        changed: IfChanged = "ignore" if as_started else "refuse"
        training.go_on(
            path, signals, form, quiet, if_changed=changed, data_root=data_root, device=device
        )


def run_of(target: str) -> Path:
    """The run that a command line names; raises NetbuildError."""
    path = find_run(target)
    if path is None:
        raise NetbuildError(f"{target} is not a run", Exit.USAGE, "`netbuild train` starts one")
    return path


def _beside(path: Path) -> Path:
    """The folder that a run was written below; of one that was copied out of such, `runs`.

    As relative as the run's own path is, for it is printed.
    """
    from netbuild.runs import open_run

    place = Path(os.path.realpath(path))
    if place.parent.name != open_run(path, verify=False).about["name"]:
        return Path("runs")
    return place.parent.parent if path.is_absolute() else Path(os.path.relpath(place.parent.parent))


def _fork(
    path: Path,
    spec: Path | None,
    changes: list[str],
    out: Path | None,
    data_root: Path | None,
    device: str | None,
    signals: Signals,
    form: Format,
    quiet: bool,
) -> None:
    from netbuild.runs.forking import forked_spec

    with located_in(str(spec or path / "spec.yaml")):
        checked = forked_spec(path, spec, changes, warn, data_root=data_root)
    training.start(checked, out or _beside(path), signals, form, quiet, device=device)
