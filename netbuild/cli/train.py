"""`netbuild train`: trains a spec into a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from netbuild.cli import options
from netbuild.cli.options import Format, flag, load_spec, located_in, option, tracked_by
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.cli.sweep import EXPERIMENTS, Workers, carry_out
from netbuild.cli.training import Session
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.language.points import Points


def train(
    spec: options.SpecPath,
    out: Annotated[
        Path | None,
        option("DIR", "The folder that runs are written below: runs, or with --seeds experiments."),
    ] = None,
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
    seeds: Annotated[
        int | None,
        option("N", "Train replicates with the seeds 0 to N - 1, as an experiment.", min=1),
    ] = None,
    workers: Workers = None,
    track: options.Track = None,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Train a spec; the constraints hold after every step and are verified in the saved weights."""
    set_ = [*(set_ or ()), *tracked_by(track)]
    if seeds is not None:
        if resume or again:
            what = "--seeds trains what is left of its runs; it takes no --resume"
            raise NetbuildError(what, Exit.USAGE)
        changes = [*set_, *([f"device={device}"] if device else ())]
        points = _replicates(spec, seeds, changes, unset or [], data_root)
        carry_out(points, out or EXPERIMENTS, workers=workers, form=form, quiet=quiet)
        return
    if workers is not None:
        raise NetbuildError("--workers needs --seeds", Exit.USAGE)
    out = out or Path("runs")
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
                own = checked.model.training.track or ()
                session.resume(found, if_changed="ignore", track=own)
                return
            other = forking.newest(out, checked, same=False)
            if other is not None:
                warn(f"{other} is unfinished, and of another spec: a new run is started")
            session.start(checked, out)


def _replicates(
    spec: str, seeds: int, changes: list[str], unset: list[str], data_root: Path | None
) -> Points:
    """The checked points of a spec that is trained with several seeds; raises SpecError."""
    from netbuild.language.design import replicates
    from netbuild.language.points import points_of

    checked = load_spec(spec, changes, unset, data_root=data_root, warn=None)
    with located_in(spec):
        return points_of(
            replicates(Path(spec), checked.model.name, seeds, changes, unset, data_root)
        )
