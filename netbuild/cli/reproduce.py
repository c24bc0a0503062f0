"""`netbuild reproduce`: trains a run again from its own files, and compares every bit."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from netbuild.cli import train as training
from netbuild.cli.options import Form, Format, Quiet
from netbuild.cli.resume import RunPath, run_of
from netbuild.cli.signals import Signals
from netbuild.cli.standard import say, warn, warnings_as_lines
from netbuild.errors import Exit

if TYPE_CHECKING:
    from netbuild.runs import Comparison
    from netbuild.training import Record, Trainer


def reproduce(target: RunPath, form: Form = Format.text, quiet: Quiet = False) -> None:
    """Train a run again and compare every bit; exit 0 if all are the same, else 5."""
    path = run_of(target)
    signals = Signals()
    with signals:
        from netbuild.render import Progress
        from netbuild.runs import open_run
        from netbuild.runs import reproduce as again

        training.prepare_as(open_run(path, verify=False))
        began = time.perf_counter()
        shown = Progress(f"again: {path.name}", quiet=quiet or form is not Format.text)
        with warnings_as_lines(), shown as progress:

            def watch(record: Record, trainer: Trainer) -> None:
                last = training.last_step(trainer)
                progress.update(record.kind, record.step, last, record.values)

            found = again(path, watch=watch, warn=warn)
    try:
        _tell(path, found, time.perf_counter() - began, form)
        sys.stdout.flush()
    except OSError:  # that nobody reads it does not hide what was found
        if found.same:
            raise
    if not found.same:
        raise typer.Exit(int(Exit.RUN))


def _tell(path: Path, found: Comparison, seconds: float, form: Format) -> None:
    if form is Format.json:
        say(json.dumps({"run": str(path), "same": found.same, **asdict(found)}))
    elif found.same:
        counts = f"{found.steps:,} steps, {found.lines:,} lines of the log"
        counts += f", {found.checkpoints} checkpoints"
        say(f"{path}: the same bits ({counts}; {seconds:.1f} s)")
    else:
        say(f"{path}: not the same; {found.difference}")
