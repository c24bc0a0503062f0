"""`netbuild resume`: resumes a run, to the bits that it would have had without a stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import Format, flag, located_in, option, run_of, tracked_by, trackers
from netbuild.cli.signals import Signals
from netbuild.cli.standard import warn
from netbuild.cli.training import Session
from netbuild.errors import Exit, NetbuildError


def resume(
    target: options.RunName,
    as_started: Annotated[
        bool,
        flag(
            "Use the run's copies of its spec and files, whatever became of these.", "--as-started"
        ),
    ] = False,
    fork: Annotated[
        bool, flag("Start a new run from its weights, with its spec as it is now.", "--fork")
    ] = False,
    spec: Annotated[Path | None, option("SPEC", "With --fork: another spec.")] = None,
    set_: options.Set = None,
    out: Annotated[
        Path | None, option("DIR", "With --fork: the folder that the run is written below.")
    ] = None,
    data_root: options.DataRoot = None,
    device: options.Device = None,
    track: options.Track = None,
    no_track: Annotated[
        bool, flag("Let no tracker follow it, whatever its spec says.", "--no-track")
    ] = False,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Resume a run from its newest checkpoint, to the bits it would have had without a stop."""
    with Signals() as signals:
        session = Session(signals, form, quiet)
        if no_track and (track or fork):
            raise NetbuildError("--no-track resumes a run without any --track", Exit.USAGE)
        path = run_of(target)
        if not fork:
            if spec is not None or set_ or out is not None:
                what = "--spec, --set and --out need --fork: a run is resumed as it was started"
                raise NetbuildError(what, Exit.USAGE)
            changed = "ignore" if as_started else "refuse"
            names = None if no_track else trackers(track)
            session.resume(
                path, if_changed=changed, data_root=data_root, device=device, track=names
            )
            return
        from netbuild.runs.forking import forked_spec

        with located_in(str(spec or path / "spec.yaml")):
            checked = forked_spec(
                path, spec, [*(set_ or ()), *tracked_by(track)], warn, data_root=data_root
            )
        session.start(checked, out or _beside(path), device)


def _beside(path: Path) -> Path:
    """The folder that a run was written below, or `runs` if the run was copied elsewhere.

    It is relative where the path of the run is relative, because it is printed.
    """
    from netbuild.api import open_run

    place = Path(os.path.realpath(path))
    if place.parent.name != open_run(path, verify=False).about["name"]:
        return Path("runs")
    return place.parent.parent if path.is_absolute() else Path(os.path.relpath(place.parent.parent))
