"""The whole training of `examples/ei_decision.yaml` against a plain PyTorch loop on its batches.

python -m benchmarks.ei_decision [STEPS]. The plain loop is written as notebooks write it: a module
that steps through time in Python, |W| times a mask at each step, and the batch made between steps.
A second comparison is of the loops alone: both are given batches that were made before.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import netbuild
from netbuild.builder import build_task
from netbuild.streams import rng_of
from netbuild.system import keep_freed_memory
from netbuild.tasks import Batch, Task, unseen_trials, validation_trials

SPEC = Path(__file__).parent.parent / "examples" / "ei_decision.yaml"
PAIRS = 3
READY = 200  # batches that are made before, and used in turn


class Plain(nn.Module):
    """40 excitatory and 10 inhibitory units, and a readout of the excitatory ones."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Linear(3, 50)
        self.weight = nn.Parameter(torch.empty(50, 50))
        self.bias = nn.Parameter(torch.zeros(50))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        with torch.no_grad():
            self.weight[:, :40] /= 4
        signs = torch.cat([torch.ones(40), -torch.ones(10)])
        self.mask = signs.tile(50, 1) * (1 - torch.eye(50))
        self.readout = nn.Linear(40, 3)
        self.alpha, self.noise = 0.2, math.sqrt(2 * 0.2) * 0.15

    def step(self, u: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """v and r one step later, having read u (batch, 3)."""
        v, r = state
        weight = self.weight.abs() * self.mask
        total = self.input(u) + functional.linear(r, weight, self.bias)
        v = v * (1 - self.alpha) + total * self.alpha + self.noise * torch.randn_like(v)
        return v, torch.relu(v)

    def rates(self, x: Tensor) -> Tensor:
        """(time, batch, 3) to (time, batch, 50)."""
        state = torch.zeros(x.shape[1], 50), torch.zeros(x.shape[1], 50)
        rates = []
        for u in x:
            state = self.step(u, state)
            rates.append(state[1])
        return torch.stack(rates)

    def forward(self, x: Tensor) -> Tensor:
        """(time, batch, 3) to (time, batch, 3)."""
        return self.readout(self.rates(x)[:, :, :40])


class Ready:
    """The task of the spec, with batches and trials to score that are there."""

    def __init__(self) -> None:
        spec = netbuild.load(SPEC)
        self.task = build_task(spec)
        self.batches = [
            self.task.batch(step, 16, rng_of(0, "train", step)) for step in range(READY)
        ]
        trials = spec.model.training.evaluate.trials
        self.chosen_on = validation_trials(self.task, 0, trials)
        self.scored = unseen_trials(self.task, 0, trials)

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        """A batch of the list."""
        return self.batches[step % READY]

    def validation(self) -> Batch | None:
        """The trials of the evaluations during the training."""
        return self.chosen_on

    def evaluation(self) -> Batch:
        """The trials of the final score."""
        return self.scored


def plain(steps: int, task: Task) -> float:
    """Seconds of the loop."""
    network = Plain()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    began = time.perf_counter()
    for step in range(steps):
        batch = task.batch(step, 16, rng_of(0, "train", step))
        output = network(batch.inputs.transpose(0, 1))
        targets = batch.targets.transpose(0, 1).reshape(-1)
        loss = functional.cross_entropy(output.reshape(-1, 3), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()
    return time.perf_counter() - began


def ours(steps: int) -> float:
    """Seconds of the command, from its start to its end, evaluation and files included."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "train",
            str(SPEC),
            "--out",
            folder,
            "--set",
            f"training.steps={steps}",
            "--quiet",
        ]
        code = "from netbuild.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)
    return time.perf_counter() - began


def ours_inside(steps: int, task: Task) -> float:
    """Seconds of the training alone, evaluation and files included."""
    with tempfile.TemporaryDirectory() as folder:
        spec = netbuild.load(SPEC, [f"training.steps={steps}"])
        began = time.perf_counter()
        netbuild.train(spec, folder, task=task)
        return time.perf_counter() - began


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command does
    print(f"ei_decision, {steps:,} steps, one thread, median of {PAIRS} pairs")
    neurogym, ready = build_task(netbuild.load(SPEC)), Ready()
    ours_inside(20, ready)  # loads what is loaded once
    told = (
        ("netbuild train (the command)", "plain PyTorch loop", ours, neurogym),
        (
            "netbuild on ready batches",
            "plain loop on these",
            partial(ours_inside, task=ready),
            ready,
        ),
    )
    for name, other, run, task in told:
        pairs = [(run(steps), plain(steps, task)) for _ in range(PAIRS)]
        mine, peer = sorted(pairs, key=lambda pair: pair[1] / pair[0])[PAIRS // 2]
        print(f"  {name:30}{mine:6.1f} s")
        print(f"  {other:30}{peer:6.1f} s   {peer / mine:.2f} x ours")


if __name__ == "__main__":
    main()
