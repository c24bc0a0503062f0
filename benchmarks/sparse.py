"""Sparse recurrences against their bare kernels, against dense ones, and with more connections.

    python -m benchmarks.sparse [--units 139255 --connections 15000000 --batch 8 --time 10]
                                [--threads 2] [--pairs 5] [--only bare dense growth crossover]

All are forward + backward of a leaky relu recurrence, with the gradients of the weights and of the
drive. `bare` is the sum of three kernels, each alone and with memory that is already allocated: a
sparse product for each step forward, one with the transpose for each step backward, and one sampled
product over all time steps for the weights' gradient. The wirings are random, with log-normal
degrees. Whole training steps are in `sparse_training`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import alternate
from netbuild.kernels import SparseWeight, State, activation, pattern, recurrence
from netbuild.kernels.sparse import back_matrix, matrix
from netbuild.system import keep_freed_memory
from netbuild.wiring import Wiring, from_pairs

ALPHA = 0.2
RELU = activation("relu")
TABLES = ("bare", "dense", "growth", "crossover")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=139_255)
    parser.add_argument("--connections", type=int, default=15_000_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--time", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # for all alike, as the commands do
    print(f"leaky relu recurrence, forward + backward, float32, threads: {given.threads}")
    size = (given.units, given.batch, given.time)
    if "bare" in given.only:
        against_bare(*size, given.connections, given.pairs)
    if "dense" in given.only:
        against_dense(10_000, 0.005, given.pairs)
    if "growth" in given.only:
        growth(*size, given.connections, given.pairs)
    if "crossover" in given.only:
        crossover(given.pairs)


def against_bare(units: int, batch: int, time: int, connections: int, pairs: int) -> None:
    """Ours and the bare kernels in turns; the ratio is the median of the rounds' ratios."""
    weight, seconds = draw(units, connections)
    print(f"\n{units:,} units, {connections:,} connections, batch {batch}, {time} steps")
    print(f"  the pattern, with its transpose: {seconds:.2f} s")
    ours = training_step(weight, batch, time)
    kernels = bare(weight, batch, time)
    for run in (ours, *kernels.values()):
        run()
    rounds = []
    for _ in range(pairs):
        turn = {"ours": seconds_of(ours)}
        turn |= {name: seconds_of(kernel) for name, kernel in kernels.items()}
        rounds.append(turn)
    for name in ("ours", *kernels):
        print(f"  {name:22}{median(turn[name] for turn in rounds) * 1e3:9.0f} ms")
    ratios = [turn["ours"] / sum(turn[name] for name in kernels) for turn in rounds]
    print(f"  ours / bare: {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})", flush=True)


def draw(units: int, connections: int, seed: int = 0) -> tuple[SparseWeight, float]:
    """A random weight whose values need a gradient, and the seconds that its pattern took."""
    wiring = random_wiring(units, connections, seed)
    start = perf_counter()
    where = pattern(torch.from_numpy(wiring.starts), torch.from_numpy(wiring.sources), units)
    seconds = perf_counter() - start
    generator = torch.Generator().manual_seed(seed)
    scale = math.sqrt(units / connections)
    values = torch.randn(connections, generator=generator).mul_(scale).requires_grad_()
    return SparseWeight(values, where), seconds


def random_wiring(units: int, connections: int, seed: int = 0) -> Wiring:
    """Distinct random pairs; the units' chances to send and to receive are log-normal."""
    rng = np.random.default_rng(seed)
    sends, receives = (np.cumsum(rng.lognormal(size=units)) for _ in range(2))
    found = np.zeros(0, np.int64)
    while len(found) < connections:
        more = int((connections - len(found)) * 1.1) + 1
        pre, post = (
            np.searchsorted(chances, rng.random(more) * chances[-1])
            for chances in (sends, receives)
        )
        found = np.unique(np.concatenate((found, post * units + pre)))
    kept = np.sort(rng.permutation(found)[:connections])
    return from_pairs(units, units, kept % units, kept // units)[0]


def training_step(weight: Tensor | SparseWeight, batch: int, time: int) -> Callable[[], object]:
    values = weight.values if isinstance(weight, SparseWeight) else weight
    units = len(weight.pattern.rows) - 1 if isinstance(weight, SparseWeight) else len(weight)
    drive = torch.randn(time, units, batch).mT.requires_grad_()
    rest = torch.zeros(batch, units)
    if not isinstance(weight, SparseWeight):
        drive = drive.detach().contiguous().requires_grad_()
    grad = torch.randn_like(drive)

    def step() -> None:
        values.grad = drive.grad = None
        rates, _ = recurrence(
            drive, weight, ALPHA, State(rest, rest), formulation="current", activation=RELU
        )
        rates.backward(grad)

    return step


def bare(weight: SparseWeight, batch: int, time: int) -> dict[str, Callable[[], object]]:
    units, width = len(weight.pattern.rows) - 1, batch * time
    forward, back = matrix(weight), back_matrix(weight)
    state, out = torch.randn(units, batch), torch.zeros(units, batch)
    posts, pres = torch.randn(units, width), torch.randn(units, width)
    gradient = matrix(SparseWeight(torch.zeros(len(weight.values)), weight.pattern))

    def products(by: Tensor) -> Callable[[], object]:
        def run() -> None:
            for _ in range(time):
                torch.addmm(out, by, state, beta=0, out=out)

        return run

    def sampled() -> None:
        torch.sparse.sampled_addmm(gradient, posts, pres.mT, beta=0, out=gradient)

    return {"forward": products(forward), "transposed": products(back), "sampled": sampled}


def seconds_of(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def against_dense(units: int, density: float, pairs: int) -> None:
    batch, time = 32, 10
    print(f"\n{units:,} units, density {density:.1%}, batch {batch}, {time} steps", flush=True)
    sparse, dense = candidates(units, density, batch, time)
    for run in (sparse, dense):
        run()
    rounds = []
    for _ in range(min(pairs, 3)):
        ours = median(seconds_of(sparse) for _ in range(5))
        rounds.append((ours, seconds_of(dense)))
    ours, theirs = (median(times) for times in zip(*rounds, strict=True))
    ratio = median(d / s for s, d in rounds)
    print(f"  sparse {ours * 1e3:.1f} ms, dense {theirs * 1e3:.0f} ms: dense / sparse {ratio:.0f}")


def candidates(
    units: int, density: float, batch: int, time: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same recurrence, sparse and dense."""
    weight, _ = draw(units, round(units * units * density))
    full = matrix(weight).to_dense().requires_grad_()
    return training_step(weight, batch, time), training_step(full, batch, time)


def growth(units: int, batch: int, time: int, connections: int, pairs: int) -> None:
    """Milliseconds a time step from 10^5 connections on, and the slope between both ends."""
    print(f"\n{units:,} units, batch {batch}, {time} steps: ms a time step")
    sizes = [n for n in (100_000, 300_000, 1_000_000, 3_000_000) if n < connections]
    times = []
    for count in (*sizes, connections):
        step = training_step(draw(units, count)[0], batch, time)
        step()
        times.append(median(seconds_of(step) for _ in range(pairs)) / time)
        print(f"  {count:12,}{times[-1] * 1e3:10.2f} ms", flush=True)
    x, y = np.log((*sizes, connections)), np.log(times)
    slopes = ", ".join(f"{slope:.2f}" for slope in np.diff(y) / np.diff(x))
    print(f"  log-log slope {np.polyfit(x, y, 1)[0]:.2f}; between neighbours {slopes}")


def crossover(pairs: int) -> None:
    """Dense / sparse by density; where it crosses 1, sparse storage starts to pay."""
    batch, time = 32, 10
    densities = (0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
    print(f"\nbatch {batch}, {time} steps: dense / sparse by density")
    print(f"{'units':>8}{''.join(f'{density:8.0%}' for density in densities)}")
    for units in (500, 1000, 2000, 4000):
        ratios = []
        for density in densities:
            sparse, dense = candidates(units, density, batch, time)
            seconds = alternate({"sparse": sparse, "dense": dense}, pairs=min(pairs, 3))
            ratios.append(seconds["dense"] / seconds["sparse"])
        print(f"{units:8}{''.join(f'{ratio:8.2f}' for ratio in ratios)}", flush=True)


if __name__ == "__main__":
    main()
