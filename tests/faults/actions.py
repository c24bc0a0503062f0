"""What the child of a case does: a command of netbuild, with whatever is to go wrong in it."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import typer
from typer.main import get_command

from faults import bugs
from faults.seams import wrap
from faults.shim import Shim
from faults.specs import KINDS, write_spec


def load_all() -> None:
    """Import, and build once, what a command would when it is run."""
    import numpy.ctypeslib
    import numpy.ma
    import polars._utils.parquet

    import netbuild
    import netbuild.cli.main
    import netbuild.cli.resume
    import netbuild.render
    import netbuild.runs.resuming

    del numpy, polars
    commands = get_command(_module("cli.main").app)
    typer.main.get_command = lambda typer_instance: commands
    torch.use_deterministic_algorithms(True)  # imports a lot by itself
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:  # the models of specs are completed when they are first used
            netbuild.load(write_spec(Path(folder) / kind, kind))


def act(
    argv: list[str] | None = None,
    *,
    cwd: str | None = None,
    bug: str | None = None,
    shim: dict[str, Any] | None = None,
    at: float | None = None,
    clock: float | None = None,
    acknowledge: str | None = None,
    signal_at: tuple[int, int] | None = None,
    bad: tuple[str, int] | None = None,
    verify: dict[str, Any] | None = None,
    damage: dict[str, Any] | None = None,
    durable: bool = False,
    memory: bool = False,
) -> tuple[int, dict[str, Any]]:
    """Run `netbuild ARGV` and return its exit code, and what was found.

    Args:
        bug: one of `bugs.BUGS`, planted first.
        shim: the arguments of a `Shim`.
        at: the monotonic time to begin at, so that two children begin together.
        clock: seconds by which the clock is wrong.
        acknowledge: a file that is appended the step of each checkpoint that counts as saved.
        signal_at: (step, number), a signal that the process sends itself in that step.
        bad: (place, step), where NaN comes in.
        verify: the arguments of `constraints.watch`, which looks at the weights after each step.
        damage: the arguments of `damage.forge`, in place of a command.
        durable: whether to wait for the disk, which a process that is killed has no need of.
        memory: whether to tell how many bytes the command took, more than the process had.
    """
    had = _memory()
    if not durable:
        os.fsync = lambda fd: None
    if bug is not None:
        bugs.BUGS[bug].plant()
    if damage is not None:
        from faults.damage import forge

        forge(**damage)
        return 0, {}
    recorder = Shim(**shim) if shim is not None else None
    if acknowledge is not None or recorder is not None:
        _tell_saved(acknowledge, recorder)
    if clock is not None:
        _shift_clock(clock)
    found: dict[str, Any] = {}
    if verify is not None:
        from faults.constraints import watch

        found = watch(**verify)
    if signal_at is not None:
        step, number = signal_at
        _in_step(lambda now, batch: os.kill(os.getpid(), number) if now == step else None)
    if bad is not None:
        _put_nan(*bad)
    if cwd is not None:
        os.chdir(cwd)
    if recorder is not None:
        recorder.install()
    if at is not None:
        time.sleep(max(0.0, at - time.monotonic()))
        found["late"] = time.monotonic() - at
    code = _command(argv) if argv else 0
    if memory:
        found["memory"] = _memory() - had
    if recorder is not None:
        recorder.finish()
        found["reached"] = recorder.reached
    return code, found


def _memory() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _module(name: str) -> Any:
    """A module of netbuild, of which anything may be replaced."""
    return import_module(f"netbuild.{name}")


def _command(argv: list[str]) -> int:
    from netbuild.cli.main import main

    sys.argv = ["netbuild", *argv]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def _tell_saved(file: str | None, shim: Shim | None) -> None:
    """Tell of each checkpoint as soon as the training takes it for saved.

    The loop asks for the next record when whoever writes them has written the last one.
    """
    from netbuild.training.loop import Trainer

    records = Trainer.records
    descriptor = -1 if file is None else os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def told(self: Trainer) -> Any:
        if shim is not None:
            shim.mark(step=0)
        for record in records(self):
            yield record
            if record.kind in ("checkpoint", "end"):
                if descriptor >= 0:
                    os.write(descriptor, f"{record.step}\n".encode())
                if shim is not None:
                    shim.mark(step=record.step)

    Trainer.records = told  # type: ignore[method-assign]


def _in_step(action: Callable[[int, Any], Any]) -> None:
    """Call `action(step, batch)` whenever a batch is made; what it returns replaces the batch."""

    def made(real: Any, trainer: Any, step: int) -> Any:
        found = real(trainer, step)
        return action(step, found) or found

    wrap("batch", made)


def _shift_clock(seconds: float) -> None:
    """A clock that is wrong, for all that asks `time` or `datetime`."""
    real = time.time
    time.time = lambda: real() + seconds

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz or UTC) + timedelta(seconds=seconds)

    for name in ("schema", "start"):
        _module(f"runs.{name}").datetime = Shifted


def _put_nan(place: str, step: int) -> None:
    """NaN in the "loss", a "gradient", a "weight" after the optimizer's step, or the "input"."""
    now = [-1]  # the step in hand

    def prepare(trainer: Any) -> None:
        last = list(trainer.network.parameters())[-1]

        def spoil(*_: Any) -> None:
            if now[0] == step:
                last.data.view(-1)[0] = torch.nan

        def poison(network: Any, inputs: Any, output: Any) -> Any:
            is_answer = isinstance(output, torch.Tensor)  # else the activity is asked for too
            return output * torch.nan if now[0] == step and is_answer else output

        if place == "gradient":
            last.register_hook(lambda g: g * torch.nan if now[0] == step else g)
        elif place == "weight":
            trainer.optimizer.register_step_post_hook(spoil)
        elif place == "loss":
            trainer.network.register_forward_hook(poison)

    def taken(real: Any, trainer: Any, **options: Any) -> Any:
        if now[0] < 0:
            prepare(trainer)
        now[0] = trainer.step
        return real(trainer, **options)

    def made(number: int, batch: Any) -> Any:
        if place != "input" or number != step:
            return None
        inputs = batch.inputs.clone()
        inputs.view(-1)[0] = torch.nan
        return batch._replace(inputs=inputs)

    wrap("step", taken)
    _in_step(made)
