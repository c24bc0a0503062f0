"""`netbuild train`: trains a spec into a run directory."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from netbuild.check import Spec
    from netbuild.training import Record, Run, Trainer


def train(
    spec: SpecPath,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder that runs are written below.")
    ] = Path("runs"),
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Train a spec; the constraints hold after every step and are verified in the saved weights."""
    checked = load_spec(spec, set_, unset, device, data_root, warn=None if quiet else form)
    prepare_process(checked)
    from netbuild.render import Progress
    from netbuild.training import train as run_training

    signals = Signals()
    started = time.perf_counter()
    with Progress(checked.model.name, quiet=quiet or form is not Format.text) as progress:

        def begin(trainer: Trainer) -> None:
            signals.trainer = trainer
            progress.begin(_known(trainer))

        def watch(record: Record, trainer: Trainer) -> None:
            progress.update(record.kind, record.step, _known(trainer), record.values)

        with signals:
            run = run_training(checked, out, watch=watch, watch_start=begin)
    _summary(run, time.perf_counter() - started, form, quiet)
    if signals.received is not None and run.about["status"] == "interrupted":
        raise typer.Exit(128 + signals.received)


def _known(trainer: Trainer) -> int | None:
    """The last step; None where only a stage's `stop_when` tells it."""
    from netbuild.spec.stages import UNTIL

    return None if trainer.steps >= UNTIL else trainer.steps


def prepare_process(spec: Spec) -> None:
    """What a run needs of the process: its threads, and deterministic algorithms."""
    # Before the first CUDA call; without it cuBLAS is not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(threads_of(spec))
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


# Multiplications of a layer for one batch; below it a second thread gains less than it waits.
SMALL = 1 << 22


def threads_of(spec: Spec) -> int:
    """The threads that a run takes: the spec's, or for `auto` the cores at hand.

    A network whose layers are all small takes one: on it, threads that wait for each other gain
    nothing alone, and lose tenfold as soon as anything else runs on the machine.
    """
    threads = spec.model.training.threads
    if threads != "auto":
        return threads
    maps = [each for layer in spec.plan.layers.values() for each in layer.maps.values()]
    largest = max((each.input_dim * each.output_dim for each in maps), default=0)
    if largest * spec.model.training.batch_size < SMALL:
        return 1
    return len(os.sched_getaffinity(0))


class Signals:
    """SIGINT and SIGTERM ask the trainer to stop after its step; a second one ends at once."""

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        if self.trainer is None:  # nothing has been trained: there is nothing to save
            raise SystemExit(128 + number)
        self.trainer.stop = True


def _summary(run: Run, seconds: float, form: Format, quiet: bool) -> None:
    final, about = run.final, run.about
    checks = run.network().verify(run.initial)
    if form is Format.json:
        values = {key: final[key] for key in ("loss", "accuracy") if key in final}
        violations = sum(check.violations for check in checks)
        shown = {"run": str(run.path), "status": about["status"], "step": about["step"]}
        print(json.dumps(shown | values | {"violations": violations}))
        return
    if quiet:
        print(run.path)
        return
    print(f"{about['name']}: {about['status']} after {about['step']:,} steps, {seconds:.1f} s")
    if final:
        scores = [f"{key} {final[key]:.4f}" for key in ("accuracy", "loss") if key in final]
        print(f"test {', '.join(scores)}")
    held = {"sign": "signs", "absent": "absent connections", "frozen": "frozen weights"}
    counts = [
        f"{sum(c.weights for c in checks if c.constraint == kind):,} {words}"
        for kind, words in held.items()
        if any(c.constraint == kind for c in checks)
    ]
    if counts:
        violations = sum(check.violations for check in checks)
        print(f"constraints verified: {', '.join(counts)}; {violations} violations")
    print(f"run: {run.path}")
