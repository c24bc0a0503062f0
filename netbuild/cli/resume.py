"""`netbuild resume`: goes on with a run, to the bits that it would have had without a stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild.cli import train as training
from netbuild.cli.options import Device, Form, Format, Quiet, Set, find_run
from netbuild.cli.signals import Signals
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netbuild.training import Run, Trainer
    from netbuild.training.recorder import Watcher
    from netbuild.training.resuming import IfChanged

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
    device: Device = None,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Go on with a run from its newest checkpoint; it ends with the bits of one never stopped."""
    with Signals() as signals:
        path = run_of(target)
        if fork:
            _fork(path, spec, [*(set_ or ())], device, signals, form, quiet)
            return
        if spec is not None or set_:
            what = "--spec and --set go with --fork: a run goes on as it was started"
            raise NetbuildError(what, Exit.USAGE)
        changed: IfChanged = "ignore" if as_started else "refuse"
        training.go_on(path, signals, form, quiet, if_changed=changed, device=device)


def run_of(target: str) -> Path:
    """The run that a command line names; raises NetbuildError."""
    path = find_run(target)
    if path is None:
        raise NetbuildError(f"{target} is not a run", Exit.USAGE, "`netbuild train` starts one")
    return path


def _fork(
    path: Path,
    spec: Path | None,
    changes: list[str],
    device: str | None,
    signals: Signals,
    form: Format,
    quiet: bool,
) -> None:
    from netbuild.training.resuming import forked_spec

    checked = forked_spec(path, spec, changes, training.warn)
    training.prepare_process(checked)
    from netbuild.training import train

    def start(watch: Watcher, begin: Callable[[Trainer], None]) -> Run:
        out = Path(os.path.realpath(path)).parent.parent
        out = out if path.is_absolute() else Path(os.path.relpath(out))
        return train(checked, out, device=device, watch=watch, watch_start=begin)

    training.show(checked.model.name, start, signals, form, quiet)
