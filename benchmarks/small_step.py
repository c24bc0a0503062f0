"""One training step of a network of 50 units, with each kernel, and of a plain PyTorch loop.

    python -m benchmarks.small_step [--pairs 15]

The network is that of `examples/ei_decision.yaml` (16 trials of 100 steps, noise, |W| times signs),
with two regularizers and clipped gradients. A step is forward, backward and Adam on a batch that is
ready; of ours it also takes the constraints and the search for numbers that are not finite. `bare`
is the matrix products of the recurrence alone.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor
from torch.nn import functional

import netbuild
from benchmarks.ei_decision import SPEC, Plain
from benchmarks.recurrence import bare
from benchmarks.timing import alternate
from netbuild.builder import build, build_optimizer, build_task
from netbuild.streams import rng_of
from netbuild.system import keep_freed_memory
from netbuild.tasks import Batch
from netbuild.training.step import BackPropagation

BATCH, TIME, UNITS, INPUTS = 16, 100, 50, 3
KERNELS = ("compiled", "fused", "reference")
WORDS = [
    "training.clip_grad_norm=1.0",
    "regularizers=[{type: DaleLawL2, Lambda: 1.0e-3, params: [hidden.recurrent.weight]},"
    " {type: FiringRateL2, Lambda: 1.0e-3, layers: [hidden]}]",
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    keep_freed_memory()  # as the commands do
    batch = ready()
    steps = {kernel: ours(kernel, batch) for kernel in KERNELS}
    steps |= {"plain loop": plain(batch), "bare": bare(BATCH, TIME, UNITS)}
    seconds = alternate(steps, pairs=pairs)
    print("one training step of 50 units, 16 trials of 100 steps, one thread, in ms")
    for name, each in seconds.items():
        print(f"  {name:12}{each * 1e3:8.2f}   {each / seconds['compiled']:6.2f} x compiled")


def ready() -> Batch:
    """A batch of the example's task."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the environment's packages
        return build_task(netbuild.load(SPEC)).batch(0, BATCH, rng_of(0, "train", 0))


def ours(kernel: str, batch: Batch) -> Callable[[], object]:
    """The step that `netbuild train` takes."""
    spec = netbuild.load(SPEC, [*WORDS, f"layers[hidden].kernel={kernel}"])
    network = build(spec)
    optimizer = build_optimizer(spec.model.training, network)
    rule = BackPropagation(network, optimizer, spec.model.training)
    numbers = count()
    return lambda: rule.step(next(numbers), batch, factor=1.0, logged=False)


def plain(batch: Batch) -> Callable[[], object]:
    """A step as notebooks write it, with the same two regularizers and clipping."""
    network = Plain()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    inputs = batch.inputs.transpose(0, 1)
    targets = batch.targets.transpose(0, 1).reshape(-1)
    reference = torch.randn(UNITS, UNITS) * network.mask

    def step() -> None:
        rates = network.rates(inputs)
        loss = functional.cross_entropy(network.readout(rates[:, :, :40]).reshape(-1, 3), targets)
        total = loss + 1e-3 * rates.square().mean() + 1e-3 * dale(network.weight, reference)
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def dale(weight: Tensor, reference: Tensor) -> Tensor:
    """NeuroTorch's formula, with alpha 0."""
    return -torch.trace(weight.mT @ reference)


if __name__ == "__main__":
    main()
