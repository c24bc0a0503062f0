"""A step of the trainer against a bare hand-written loop, on the digits network.

python -m benchmarks.trainer_step. The bare loop has the same batches, fused optimizer,
regularizers, lerp and clamp, and neither log nor guard; ours is `Trainer.records()`, each written
to `metrics.jsonl`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import netbuild
from benchmarks.timing import alternate
from netbuild.builder import build, build_optimizer, build_task
from netbuild.tasks import ArraysTask
from netbuild.training.trainer import Trainer
from netbuild.training.writer import RunWriter

SPEC = Path(__file__).parent.parent / "examples" / "digits_dale.yaml"
STEPS = 200  # a turn
# The cost of a step alone: no evaluation between, and no schedule in either loop.
CHANGES = [
    "training.steps=1000000000",
    "training.optimizer.schedule=null",
    "training.evaluate.every=null",
]


def specification() -> netbuild.Spec:
    return netbuild.load(SPEC, CHANGES, unset=["training.epochs"])


def ours() -> Callable[[], None]:
    spec = specification()
    network, task = build(spec, device="cpu"), build_task(spec)
    optimizer = build_optimizer(spec.model.training, network)
    trainer = Trainer(network, task, spec.model.training, optimizer, seed=spec.model.seed)
    records = trainer.records()
    writer = RunWriter(Path(tempfile.mkdtemp()), {}, -1)

    def run() -> None:
        target = trainer.step + STEPS
        while trainer.step < target:
            record = next(records)
            writer.log(record.kind, record.step, record.values)

    return run


def bare() -> Callable[[], None]:
    spec = specification()
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


def main() -> None:
    for threads in (1, 2):
        torch.set_num_threads(threads)
        seconds = alternate({"ours": ours(), "bare": bare()}, pairs=15)
        print(f"one step of training, digits network, threads: {threads}")
        for name, value in seconds.items():
            print(f"  {name:<6} {value / STEPS * 1e6:7.0f} us")
        print(f"  ours / bare = {seconds['ours'] / seconds['bare']:.2f}")


if __name__ == "__main__":
    main()
