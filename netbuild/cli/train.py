"""`netbuild train`: trains a spec into a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import Format, flag, load_spec, option
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.cli.training import Session
from netbuild.errors import Exit, NetbuildError


def train(
    spec: options.SpecPath,
    out: Annotated[Path, option("DIR", "The folder that runs are written below.")] = Path("runs"),
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    resume: Annotated[
        bool,
        flag(
            "Resume the newest unfinished run of this very spec; if it has finished, say so and"
            " train nothing.",
            "--resume",
        ),
    ] = False,
    again: Annotated[
        bool, flag("With --resume: if the spec has only finished runs, train it again.", "--again")
    ] = False,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Train a spec; the constraints hold after every step and are verified in the saved weights."""
    if again and not resume:
        what = "--again needs --resume: without --resume every training is a new run"
        raise NetbuildError(what, Exit.USAGE)
    with Signals() as signals:
        session = Session(signals, form, quiet)
        checked = load_spec(spec, set_, unset, device, data_root, warn=None if quiet else form)
        if not resume:
            session.start(checked, out)
            return
        from netbuild.runs import forking

        forking.refuse_own_latest(checked)
        with forking.only_one(out, checked):
            found = forking.newest(out, checked)
            if found is None and not again:
                found = forking.newest(out, checked, ended=True)
            if found is not None:
                session.resume(found, if_changed="ignore")
                return
            other = forking.newest(out, checked, same=False)
            if other is not None:
                warn(f"{other} is unfinished, and of another spec: a new run is started")
            session.start(checked, out)
