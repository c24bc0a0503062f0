"""`netbuild reproduce`: trains a run again from its own files, and compares every bit."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict

import typer

from netbuild.cli import options
from netbuild.cli.options import Format, run_of
from netbuild.cli.signals import Signals
from netbuild.cli.standard import say, warn, warnings_as_lines
from netbuild.cli.training import last_step, prepare_as
from netbuild.errors import Exit


def reproduce(
    target: options.RunName, form: options.Form = Format.text, quiet: options.Quiet = False
) -> None:
    """Train a run again and compare every bit; exit 0 if all are the same, else 5."""
    path = run_of(target)
    with Signals():
        from netbuild.api import open_run
        from netbuild.render import Progress
        from netbuild.runs.reproduction import Reproduction

        run = open_run(path, verify=False)
        prepare_as(run)
        began = time.perf_counter()
        shown = Progress(f"again: {path.name}", quiet=quiet or form is not Format.text)
        with warnings_as_lines(), shown as progress:
            again = Reproduction(run, warn)
            progress.begin(last_step(again.trainer))
            with closing(again.records()) as records:
                for record in records:
                    steps = last_step(again.trainer)
                    progress.update(record.kind, record.step, steps, record.values)
            found = again.result()
    seconds = time.perf_counter() - began
    try:
        if form is Format.json:
            say(json.dumps({"run": str(path), "same": found.same, **asdict(found)}))
        elif found.same:
            counts = f"{found.steps:,} steps, {found.lines:,} lines of the log"
            counts += f", {found.checkpoints} checkpoints"
            say(f"{path}: the same bits ({counts}; {seconds:.1f} s)")
        else:
            say(f"{path}: not the same; {found.difference}")
        sys.stdout.flush()
    except OSError:  # a reader that has gone does not hide the difference
        if found.same:
            raise
    if not found.same:
        raise typer.Exit(int(Exit.RUN))
