"""`netbuild train`: trains a spec into a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netbuild.cli.options import (
    DataRoot,
    Device,
    Form,
    Format,
    Quiet,
    Set,
    SpecPath,
    Unset,
    load_spec,
)
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.cli.training import Session
from netbuild.errors import Exit, NetbuildError


def train(
    spec: SpecPath,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder that runs are written below.")
    ] = Path("runs"),
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume the newest unfinished run of this very spec; if it has finished, say so"
            " and train nothing.",
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="With --resume: if the spec has only finished runs, train it again."
        ),
    ] = False,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Train a spec; the constraints hold after every step and are verified in the saved weights."""
    if again and not resume:
        what = "--again goes with --resume: without it every training is a new run"
        raise NetbuildError(what, Exit.USAGE)
    with Signals() as signals:
        session = Session(signals, form, quiet)
        checked = load_spec(spec, set_, unset, device, data_root, warn=None if quiet else form)
        if not resume:
            session.start(checked, out)
            return
        from netbuild.runs.forking import newest, only_one, refuse_own_latest

        refuse_own_latest(checked)
        with only_one(out, checked):
            found = newest(out, checked)
            if found is None and not again:
                found = newest(out, checked, ended=True)
            if found is not None:
                session.resume(found, if_changed="ignore")
                return
            other = newest(out, checked, same=False)
            if other is not None:
                warn(f"{other} is unfinished, and of another spec: a new run is started")
            session.start(checked, out)
