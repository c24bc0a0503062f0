"""Bugs to be planted in the child of a case: the battery must fail with each of them.

Most are planted at the five seams. A bug that leaves out a check replaces that check by its name.
"""

from __future__ import annotations

import math
import os
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from faults.seams import path_of, wrap


@dataclass(frozen=True)
class Bug:
    """What is wrong, how it is planted, and who should find it: "module.part" and its cases."""

    what: str
    plant: Callable[[], None]
    found_by: tuple[str, int]


BUGS: dict[str, Bug] = {}


def bug(what: str, part: str, cases: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Adds a bug under the name of the function that plants it."""

    def add(plant: Callable[[], None]) -> Callable[[], None]:
        BUGS[plant.__name__] = Bug(what, plant, (part, cases))
        return plant

    return add


def _module(name: str) -> Any:
    """A module of netbuild, of which anything may be replaced."""
    return import_module(f"netbuild.{name}")


def _everywhere(name: str, value: Any) -> None:
    """Replace a check in all modules of runs that have it by name."""
    for module in [m for n, m in sys.modules.items() if n.startswith("netbuild.runs")]:
        if hasattr(module, name):
            setattr(module, name, value)


def _is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def _wait_only_where(waited: Callable[[int], bool]) -> None:
    wrap("fsync", lambda real, descriptor: real(descriptor) if waited(descriptor) else None)


def _resumed_at(trainer: Any) -> int:
    """The step that this process began at; to be asked in each step."""
    return int(vars(trainer).setdefault("begun_at", trainer.step))


def _when_resumed(change: Callable[[Any], object]) -> None:
    """Change a trainer before the first step after a resume."""

    def step(real: Any, trainer: Any, **options: Any) -> Any:
        if trainer.step == _resumed_at(trainer) > 0:
            change(trainer)
        return real(trainer, **options)

    wrap("step", step)


@bug("files are not waited for (no fsync)", "power.power_loss", 80)
def no_fsync_of_files() -> None:
    _wait_only_where(_is_folder)


@bug("folders are not waited for (no fsync)", "power.power_loss", 80)
def no_fsync_of_folders() -> None:
    _wait_only_where(lambda descriptor: not _is_folder(descriptor))


@bug("the log is not waited for before a checkpoint tells its length", "power.power_loss", 80)
def no_fsync_of_the_log() -> None:
    _wait_only_where(lambda descriptor: path_of(descriptor).name != "metrics.jsonl")


@bug("a checkpoint is written in place, without a rename", "kills.every_call", 24)
def no_rename() -> None:
    def rename(real: Any, folder: Any, name: str, to: str) -> None:
        if not to.startswith("step-"):
            return real(folder, name, to)
        folder.mkdir(to)
        for each in sorted(os.listdir(folder.path / name)):
            descriptor = os.open(folder.path / to / each, os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, (folder.path / name / each).read_bytes())
            os.close(descriptor)
        return folder.remove(name)

    wrap("rename", rename)


@bug("the checkpoint before is put away while the new one is written", "kills.every_call", 60)
def put_away_first() -> None:
    away: list[Path] = []

    def write(real: Any, descriptor: int, data: bytes) -> None:
        folder = path_of(descriptor).parent
        if folder.name.startswith(".step-") and not away:
            newest = sorted(folder.parent.glob("step-*"))[-1:]
            away.extend(path.rename(path.with_name(f"old-{path.name}")) for path in newest)
        real(descriptor, data)

    def rename(real: Any, folder: Any, name: str, to: str) -> None:
        real(folder, name, to)
        while to.startswith("step-") and away:
            path = away.pop()
            path.rename(path.with_name(path.name.removeprefix("old-")))

    wrap("write", write)
    wrap("rename", rename)


@bug("noise and dropout count their steps from the resume on", "cuts.every_step", 4)
def other_random_numbers() -> None:
    def change(trainer: Any) -> None:
        learn, offset = trainer.learner.step, _resumed_at(trainer)
        trainer.learner.step = lambda step, *args, **more: learn(step - offset, *args, **more)

    _when_resumed(change)


@bug("a resume takes the batch after the next", "cuts.every_step", 4)
def other_batches() -> None:
    def batch(real: Any, trainer: Any, step: int) -> Any:
        return real(trainer, step + (_resumed_at(trainer) > 0))

    wrap("batch", batch)


@bug("the optimizer starts again without its state", "cuts.every_step", 4)
def no_optimizer_state() -> None:
    _when_resumed(lambda trainer: trainer.optimizer.state.clear())


@bug("the schedule of the learning rate starts again", "cuts.every_step", 4)
def schedule_begins_anew() -> None:
    def step(real: Any, trainer: Any, **options: Any) -> Any:
        start = trainer.progress.start
        trainer.progress.start = start + _resumed_at(trainer)
        try:
            return real(trainer, **options)
        finally:
            trainer.progress.start = start

    wrap("step", step)


@bug("the best evaluation before is forgotten", "cuts.every_step", 6)
def best_forgotten() -> None:
    _when_resumed(lambda trainer: setattr(trainer.progress, "best", None))


@bug("lines behind the checkpoint stay in the log", "cuts.every_step", 4)
def log_not_cut() -> None:
    def rewound(self: Any, size: int) -> None:
        self.logged = (self.path / "metrics.jsonl").stat().st_size

    _module("runs.writer").RunWriter.rewind = rewound


@bug("a resume goes on with any log", "logs.other_logs", 24)
def log_not_compared() -> None:
    _everywhere("refuse_other_log", lambda run, state: None)


@bug("the copy of an odd log is not waited for", "power.in_a_resume", 90)
def copy_not_waited_for() -> None:
    copy = ".corrupt-metrics.jsonl"
    _wait_only_where(lambda descriptor: not path_of(descriptor).name.startswith(copy))


@bug("digests are not looked at", "inputs.flipped_bits", 60)
def digests_not_compared() -> None:
    durable = _module("durable")

    class Anything(str):
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    digest = durable.digest

    def found(data: bytes) -> str:
        reading = sys._getframe(1).f_code.co_name == "open_checkpoint"
        return Anything() if reading else digest(data)

    durable.digest = found


@bug("frozen weights are compared with those that were loaded", "cuts.held", 1)
def loaded_weights_are_the_reference() -> None:
    def loaded(network: Any, found: Any, initial: Any) -> list[Any]:
        tensors = found.tensors("network.safetensors")
        _module("runs.checkpoint").load_network(network, tensors, "")
        initial |= {name: p.detach().clone() for name, p in network.named_parameters()}
        return []

    _everywhere("load_verified", loaded)


@bug("a run is not locked", "kills.races", 4)
def no_lock() -> None:
    _module("system").lock = lambda descriptor, **more: None


@bug("a signal ends the training without saving", "kills.asked_to_stop", 6)
def signal_without_saving() -> None:
    real = signal.signal

    def take(number: int, handler: Any) -> Any:
        return real(number, (lambda n, _: os._exit(128 + n)) if callable(handler) else handler)

    signal.signal = take


@bug("what is not finite is not looked for", "cuts.not_finite", 2)
def nan_passes() -> None:
    class Finite:
        inf = math.inf

        @staticmethod
        def isfinite(value: float) -> bool:
            return True

    guard, step = _module("training.guard"), _module("training.step")
    # What is saved is still looked at, by a function that keeps the real `math`.
    _everywhere("are_finite", FunctionType(guard.are_finite.__code__, dict(vars(guard))))
    step.math = _module("training.loop").math = Finite


@bug("NaN is looked for in the loss, and not in weights that are saved", "cuts.not_finite", 10)
def nan_is_saved() -> None:
    _everywhere("are_finite", lambda tensors: True)


@bug("a write that took half of the bytes is taken for whole", "inputs.partial_writes", 20)
def short_writes() -> None:
    wrap("write", lambda real, descriptor, data: os.write(descriptor, data))


@bug("an error in writing is passed over", "inputs.failing_calls", 60)
def errors_passed_over() -> None:
    def write(real: Any, descriptor: int, data: bytes) -> None:
        with suppress(OSError):
            os.write(descriptor, data)

    wrap("write", write)


@bug("the newest checkpoint is the youngest file", "cuts.clocks", 6)
def newest_by_time() -> None:
    found = _module("runs.checkpoint").checkpoints
    _everywhere(
        "checkpoints", lambda folder: sorted(found(folder), key=lambda p: p.stat().st_mtime)
    )
