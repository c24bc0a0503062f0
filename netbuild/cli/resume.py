"""`netbuild resume`: resumes a run, to the bits that it would have had without a stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from netbuild.cli.options import (
    DataRoot,
    Device,
    Form,
    Format,
    Quiet,
    RunName,
    Set,
    located_in,
    run_of,
)
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.cli.training import Session
from netbuild.errors import Exit, NetbuildError


def resume(
    target: RunName,
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
        session = Session(signals, form, quiet)
        path = run_of(target)
        if not fork:
            if spec is not None or set_ or out is not None:
                what = "--spec, --set and --out go with --fork: a run is resumed as it was started"
                raise NetbuildError(what, Exit.USAGE)
            changed = "ignore" if as_started else "refuse"
            session.resume(path, if_changed=changed, data_root=data_root, device=device)
            return
        from netbuild.runs.forking import forked_spec

        with located_in(str(spec or path / "spec.yaml")):
            checked = forked_spec(path, spec, [*(set_ or ())], warn, data_root=data_root)
        session.start(checked, out or _beside(path), device)


def _beside(path: Path) -> Path:
    """The folder that a run was written below; of one that was copied out of such, `runs`.

    As relative as the run's own path is, for it is printed.
    """
    from netbuild.api import open_run

    place = Path(os.path.realpath(path))
    if place.parent.name != open_run(path, verify=False).about["name"]:
        return Path("runs")
    return place.parent.parent if path.is_absolute() else Path(os.path.relpath(place.parent.parent))
