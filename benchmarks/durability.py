"""The cost of durable, deterministic training for a step, and the delay by a checkpoint.

python -m benchmarks.durability. Ours is what `netbuild train` does: the log, a checkpoint every 500
steps, a check for NaN, deterministic algorithms. The bare loop of the digits is hand-written, with
the same batches, fused optimizer, regularizers, lerp and clamp; that of `ei_decision` trains the
same network with the same optimizer. Batches are ready for both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import netbuild
from benchmarks.timing import alternate
from netbuild.builder import build, build_optimizer, build_task
from netbuild.runs.start import start_run
from netbuild.runs.writer import RunWriter
from netbuild.streams import rng_of
from netbuild.system import keep_freed_memory
from netbuild.tasks import ArraysTask, Batch, Task
from netbuild.training import Record, Trainer
from netbuild.training.losses import task_loss

EXAMPLES = Path(__file__).parent.parent / "examples"
DIGITS, DECISION = EXAMPLES / "digits_dale.yaml", EXAMPLES / "ei_decision.yaml"
STEPS = 500  # a turn, with one checkpoint
BATCHES = 50  # of trials, made before
# The cost of steps alone: no evaluation between, and no schedule in either loop.
CHANGES = (
    "training.steps=1000000000",
    "training.optimizer.schedule=null",
    "training.evaluate.every=null",
    f"training.checkpoint.every={STEPS}",
)
OUT = Path(".durability")  # on the disk that is worked on; removed in the end
LARGE = "layers[hidden1].output_dim=3000"


def specification(path: Path, *more: str) -> netbuild.Spec:
    unset = ["training.epochs"] if path == DIGITS else []
    return netbuild.load(path, [*CHANGES, *more], unset=unset)


class Ready:
    """Trials that were made before, again and again."""

    def __init__(self, spec: netbuild.Spec) -> None:
        task, size = build_task(spec), spec.model.training.batch_size
        made = range(BATCHES)
        self.batches = [task.batch(n, size, rng_of(0, "train", n)) for n in made]

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """The batch of a step."""
        return self.batches[step % BATCHES]


def deterministic(function: Callable[[], None]) -> Callable[[], None]:
    """As the commands have it, during the call."""

    def run() -> None:
        torch.set_deterministic_debug_mode("error")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        function()
        torch.set_deterministic_debug_mode("default")

    return run


def recorded(spec: netbuild.Spec, task: Task | None) -> tuple[Callable[[Record], None], Trainer]:
    """A training, and what writes each of its records into a run directory."""
    network = build(spec, device="cpu")
    optimizer = build_optimizer(spec.model.training, network)
    trainer = Trainer.of(spec, network, optimizer, task=task)
    writer: RunWriter = start_run(spec, OUT, trainer)
    return lambda record: writer.put(record, trainer), trainer


def ours(spec: netbuild.Spec, task: Task | None = None) -> Callable[[], None]:
    put, trainer = recorded(spec, task)
    records = trainer.records()

    def run() -> None:
        for record in records:
            put(record)
            if record.kind == "checkpoint":
                return

    return deterministic(run)


def bare_digits() -> Callable[[], None]:
    spec = specification(DIGITS)
    start, task = build(spec, device="cpu"), build_task(spec)
    assert isinstance(task, ArraysTask)
    layers = [start.hidden1, start.hidden2, start.readout]
    network = nn.Sequential(*[nn.Linear(layer.input_dim, layer.output_dim) for layer in layers])
    first, second, third = network
    bounds: list[tuple[Tensor, Tensor]] = []
    for linear, layer in zip(network, layers, strict=True):
        linear.load_state_dict({"weight": layer.weight.detach(), "bias": layer.bias.detach()})
        signs = torch.zeros(layer.weight.shape) if layer.sign is None else layer.sign
        infinity = torch.tensor(torch.inf)
        low, high = torch.where(signs > 0, 0, -infinity), torch.where(signs < 0, 0, infinity)
        gone = ~layer.connected
        bounds.append((low.masked_fill(gone, 0), high.masked_fill(gone, 0)))
    plastic = third, layers[2].plasticity
    signed = [(second, layers[1].sign.float()), (third, layers[2].sign.float())]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    steps = iter(range(10**9))

    def regularizers() -> Tensor:
        dale = sum((0.8 * w.weight * w.weight - 0.2 * w.weight * s).sum() for w, s in signed)
        norm = sum(linear.weight.abs().sum() for linear in network)
        return 1e-5 * dale + 1e-4 * norm

    def run(steps: Iterator[int] = steps) -> None:
        linear, rate = plastic
        for _ in range(STEPS):
            x, y, *_ = task.batch(next(steps), 64)
            output = third(functional.relu(second(functional.relu(first(x)))))
            loss = functional.cross_entropy(output, y) + regularizers()
            loss.backward()
            with torch.no_grad():
                before = linear.weight.clone()
                optimizer.step()
                linear.weight.copy_(torch.lerp(before, linear.weight, rate))
                for each, (low, high) in zip(network, bounds, strict=True):
                    each.weight.clamp_(low, high)
            optimizer.zero_grad()

    return run


def bare_decision(spec: netbuild.Spec, task: Ready) -> Callable[[], None]:
    network = build(spec, device="cpu")
    optimizer = build_optimizer(spec.model.training, network)
    steps = iter(range(10**9))

    def run() -> None:
        for _ in range(STEPS):
            step = next(steps)
            batch = task.batches[step % BATCHES]
            network.set_step(step)  # of its noise
            loss = task_loss("cross_entropy", network(batch.inputs), batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()

    return run


def compare(title: str, functions: dict[str, Callable[[], None]]) -> None:
    seconds = alternate(functions, pairs=9)
    print(f"one step of training, {title}")
    for name, value in seconds.items():
        print(f"  {name:<6} {value / STEPS * 1e6:7.0f} us")
    print(f"  ours / bare = {seconds['ours'] / seconds['bare']:.3f}")


def stall(*more: str) -> None:
    """How long the training waits for a checkpoint of the digits network."""
    put, trainer = recorded(specification(DIGITS, *more, "training.checkpoint.every=3"), None)
    records = trainer.records()
    seconds: list[float] = []
    while len(seconds) < 16:
        record = next(records)
        began = perf_counter()
        put(record)
        if record.kind == "checkpoint":
            seconds.append(perf_counter() - began)
    newest = max(OUT.glob("*/*/checkpoints/*"), key=lambda path: path.stat().st_mtime)
    size = sum(file.stat().st_size for file in newest.iterdir())
    took = f"{median(seconds[1:]) * 1e3:.0f} ms, at most {max(seconds[1:]) * 1e3:.0f} ms"
    print(f"a checkpoint of {size / 1e6:.1f} MB: {took}")


def main() -> None:
    try:
        measure()
    finally:
        shutil.rmtree(OUT, ignore_errors=True)


def measure() -> None:
    keep_freed_memory()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        functions = {"ours": ours(specification(DIGITS)), "bare": bare_digits()}
        compare(f"digits network, threads: {threads}", functions)
    torch.set_num_threads(1)
    spec = specification(DECISION)
    ready = Ready(spec)
    functions = {"ours": ours(spec, ready), "bare": bare_decision(spec, ready)}
    compare("ei_decision, one thread", functions)
    stall()
    stall(LARGE)  # some 10 MB


if __name__ == "__main__":
    main()
