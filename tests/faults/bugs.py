"""Bugs to be planted in the child of a case: the battery must fail with each of them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


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


class _Os:
    """The module `os` with something in place of some of its functions."""

    def __init__(self, **other: Any) -> None:
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _in_files(name: str, value: Any) -> None:
    files = _module("durable")

    setattr(files, name, value)


def _everywhere(name: str, value: Any) -> None:
    """Replace a function in all modules of training and runs that have it by name."""
    rooms = ("netbuild.training", "netbuild.runs", "netbuild.results")
    for module in [m for n, m in sys.modules.items() if n.startswith(rooms)]:
        if hasattr(module, name):
            setattr(module, name, value)


@bug("files are not waited for (no fsync)", "power.power_loss", 80)
def no_fsync_of_files() -> None:
    def wait(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)

    _in_files("os", _Os(fsync=wait))


@bug("folders are not waited for (no fsync)", "power.power_loss", 80)
def no_fsync_of_folders() -> None:
    def wait(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)

    _in_files("os", _Os(fsync=wait))


@bug("the log is not waited for before a checkpoint tells its length", "power.power_loss", 80)
def no_fsync_of_the_log() -> None:
    _everywhere("sync_file", lambda path: None)


@bug("a checkpoint is written in place, without a rename", "kills.every_call", 24)
def no_rename() -> None:
    files = _module("durable")

    def write(path: Path, contents: Any, within: Path | None = None) -> None:
        os.mkdir(path)
        for name, data in contents.items():
            files.write_file(path / name, data)
        files.sync_folder(path.parent)

    _everywhere("write_folder", write)


@bug("the checkpoint before is put away while the new one is written", "kills.every_call", 60)
def put_away_first() -> None:
    checkpoint = _module("runs.checkpoint")
    recorder = _module("runs.recorder")

    write = recorder.write_checkpoint

    def written(folder: Path, packed: Any) -> Any:
        before = checkpoint.checkpoints(folder)[-1:]
        for path in before:
            os.rename(path, path.with_name(f"old-{path.name}"))
        found = write(folder, packed)
        for path in before:
            os.rename(path.with_name(f"old-{path.name}"), path)
        return found

    recorder.write_checkpoint = written


@bug("noise and dropout count their steps from the resume on", "cuts.every_step", 4)
def other_random_numbers() -> None:
    layers = _module("layers")
    Trainer = _module("training.trainer").Trainer

    offset = [0]
    resume = Trainer.resume

    def resumed(self: Any, step: int, evaluations: Any) -> None:
        resume(self, step, evaluations)
        offset[0] = step

    Trainer.resume = resumed
    for layer in (layers.Dropout, layers.CTRNNLayer):
        set_step = layer.set_step
        layer.set_step = lambda self, step, f=set_step: f(self, step - offset[0])


@bug("a resume takes the batch after the next", "cuts.every_step", 4)
def other_batches() -> None:
    ArraysTask = _module("tasks").ArraysTask
    Trainer = _module("training.trainer").Trainer

    resume, batch = Trainer.resume, ArraysTask.batch
    offset = [0]

    def resumed(self: Any, step: int, evaluations: Any) -> None:
        resume(self, step, evaluations)
        offset[0] = 1 if step else 0

    def made(self: Any, step: int, *args: Any) -> Any:
        return batch(self, step + offset[0], *args)

    Trainer.resume, ArraysTask.batch = resumed, made


@bug("the optimizer begins anew", "cuts.every_step", 4)
def no_optimizer_state() -> None:
    _everywhere("load_optimizer", lambda *_: None)


@bug("the schedule of the learning rate begins anew", "cuts.every_step", 4)
def schedule_begins_anew() -> None:
    trainer = _module("training.trainer")

    factor, resume = trainer.factor, trainer.Trainer.resume
    offset = [0]

    def resumed(self: Any, step: int, evaluations: Any) -> None:
        resume(self, step, evaluations)
        offset[0] = step

    trainer.Trainer.resume = resumed
    trainer.factor = lambda training, step, steps: factor(training, step - offset[0], steps)


@bug("the best evaluation before is forgotten", "cuts.every_step", 6)
def best_forgotten() -> None:
    resuming = _module("runs.resuming")

    load = resuming.load_into

    def loaded(training: Any, *args: Any) -> Any:
        found = load(training, *args)
        training.point.best = None
        return found

    resuming.load_into = loaded


@bug("lines behind the checkpoint stay in the log", "cuts.every_step", 4)
def log_not_cut() -> None:
    resuming = _module("runs.resuming")
    writer = _module("runs.writer")

    def rewound(self: Any, size: int) -> None:
        self.logged = (self.path / writer.METRICS).stat().st_size

    resuming.rewind = rewound


@bug("a resume goes on with any log", "logs.other_logs", 24)
def log_not_compared() -> None:
    _everywhere("refuse_other_log", lambda run, logged: None)


@bug("the copy of an odd log is not waited for", "power.in_a_resume", 90)
def copy_not_waited_for() -> None:
    def copy(run: Path) -> None:
        data = (run / "metrics.jsonl").read_bytes()
        descriptor = os.open(run / "corrupt-metrics.jsonl-0000", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, data)
        os.close(descriptor)

    _everywhere("copy_log", copy)


@bug("digests are not looked at", "inputs.flipped_bits", 60)
def digests_not_compared() -> None:
    checkpoint = _module("runs.checkpoint")

    class Anything(str):
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    digest = checkpoint.digest

    def found(data: bytes) -> str:
        reading = sys._getframe(1).f_code.co_name == "open_checkpoint"
        return Anything() if reading else digest(data)

    checkpoint.digest = found


@bug("frozen weights are compared with those that were loaded", "cuts.held", 1)
def loaded_weights_are_the_reference() -> None:
    resuming = _module("runs.resuming")
    from netbuild.runs.run import parameters_of

    load = resuming.load_network

    def loaded(network: Any, *args: Any) -> None:
        load(network, *args)
        for training in trainings:
            training.initial = parameters_of(network)

    trainings: list[Any] = []
    into = resuming.load_into

    def noted(training: Any, *args: Any) -> Any:
        trainings.append(training)
        return into(training, *args)

    resuming.load_network, resuming.load_into = loaded, noted


@bug("a run is not locked", "kills.races", 4)
def no_lock() -> None:
    _everywhere("take_lock", lambda path, what: os.open(path, os.O_RDWR | os.O_CREAT))


@bug("a signal ends the training without saving", "kills.asked_to_stop", 6)
def signal_without_saving() -> None:
    Signals = _module("cli.signals").Signals

    Signals._handle = lambda self, number, frame: os._exit(128 + number)


@bug("what is not finite is not looked for", "cuts.not_finite", 2)
def nan_passes() -> None:
    trainer = _module("training.trainer")

    class Finite:
        @staticmethod
        def isfinite(value: float) -> bool:
            return True

    trainer.math = Finite


@bug("NaN is looked for in the loss, and not in weights that are saved", "cuts.not_finite", 10)
def nan_is_saved() -> None:
    _everywhere("refuse_not_finite", lambda *_: None)


@bug("a write that took half of the bytes is taken for whole", "inputs.partial_writes", 20)
def short_writes() -> None:
    _in_files("_write_all", lambda descriptor, data: os.write(descriptor, data))


@bug("an error in writing is passed over", "inputs.failing_calls", 60)
def errors_passed_over() -> None:
    def write(descriptor: int, data: bytes) -> None:
        from contextlib import suppress

        with suppress(OSError):
            os.write(descriptor, data)

    _in_files("_write_all", write)


@bug("the newest checkpoint is the youngest file", "cuts.clocks", 6)
def newest_by_time() -> None:
    checkpoint = _module("runs.checkpoint")

    found = checkpoint.checkpoints
    _everywhere(
        "checkpoints", lambda folder: sorted(found(folder), key=lambda p: p.stat().st_mtime)
    )
