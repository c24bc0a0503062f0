"""How long a training step waits for its batch, which a worker process prepares in advance.

python -m benchmarks.batches [STEPS]. For three examples and a tiny task, it prints the milliseconds
to make a batch in this process, those of a step whose batch is ready, and the share of each step
that passes in the call that returns the batch. The share is larger on a busy machine, so the load
is printed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

import netbuild
from netbuild.builder import build, build_optimizer, build_task
from netbuild.streams import rng_of
from netbuild.tasks import Batch, NeurogymTask, Prefetch
from netbuild.training import Trainer

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("ei_decision", "delayed_comparison", "context_decision")
TINY: dict[str, Any] = {
    "netbuild": 1,
    "name": "tiny",
    "dt": 100,
    "task": {"type": "neurogym", "env": "GoNogo-v0"},
    "layers": [
        {"name": "hidden", "type": "ctrnn", "size": 20, "tau": 100},
        {"name": "out", "type": "linear", "output_dim": 2},
    ],
    "training": {"steps": 1, "batch_size": 16},
}
# The cost of a step alone: no evaluation between, and no end.
CHANGES = ["training.steps=1000000000", "training.evaluate.every=null", "training.stop_when=null"]
ROUNDS = 5


class Timed:
    """A task that adds up the time that its batches are waited for."""

    def __init__(self, task: NeurogymTask | Prefetch) -> None:
        self.task, self.seed, self.seconds = task, task.seed, 0.0

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """The task's batch."""
        began = time.perf_counter()
        batch = self.task.batch(step, size, rng)
        self.seconds += time.perf_counter() - began
        return batch


class Measured(NamedTuple):
    """Of one spec: milliseconds, and the share of a step that is spent waiting."""

    making: float  # a batch, in this process
    step: float  # without its batch
    waiting: float  # a step, for its batch
    share: float


def specs() -> Iterator[netbuild.Spec]:
    """The examples, and the tiny task."""
    for name in NAMES:
        yield netbuild.load(EXAMPLES / f"{name}.yaml", CHANGES)
    yield netbuild.load(TINY, CHANGES[:1])


def measure(spec: netbuild.Spec, steps: int) -> Measured:
    """Train for `steps` in each of a few rounds; the medians of the rounds."""
    training = spec.model.training
    network, task = build(spec, device="cpu"), build_task(spec)
    assert isinstance(task, NeurogymTask)
    making: list[float] = []
    for step in range(steps):
        began = time.perf_counter()
        task.batch(step, training.batch_size, rng_of(task.seed, "train", step))
        making.append(time.perf_counter() - began)
    with Prefetch(task) as ahead:
        timed = Timed(ahead)
        optimizer = build_optimizer(training, network)
        trainer = Trainer(network, timed, training, optimizer, seed=spec.model.seed)
        records = trainer.records()
        next(records)
        while not ahead.is_ready():
            time.sleep(0.1)
        turn(trainer, records, timed, 50)
        rounds = [turn(trainer, records, timed, steps) for _ in range(ROUNDS)]
    seconds, waited = (median(column) for column in zip(*rounds, strict=True))
    share = median(waiting / whole for whole, waiting in rounds)
    return Measured(sum(making) / steps * 1e3, (seconds - waited) * 1e3, waited * 1e3, share)


def turn(trainer: Trainer, records: Iterator[Any], timed: Timed, steps: int) -> tuple[float, float]:
    """Seconds of a step, and the part of them that it waited for its batch."""
    timed.seconds, first, began = 0.0, trainer.step, time.perf_counter()
    while trainer.step < first + steps:
        next(records)
    taken = trainer.step - first
    return (time.perf_counter() - began) / taken, timed.seconds / taken


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    print(
        f"batches from a worker process, one thread; {os.cpu_count()} cores, load {load:.1f} before"
    )
    print("  task                    making one      step   waiting   share of the step")
    for spec in specs():
        found = measure(spec, steps)
        times = f"{found.making:7.2f} ms {found.step:6.2f} ms {found.waiting:6.2f} ms"
        print(f"  {spec.model.name:<22} {times}   {found.share:6.1%}")


if __name__ == "__main__":
    main()
