"""A whole training step of a fly's brain: 139,255 units, 15.0 million connections, on the CPU.

python -m benchmarks.sparse_training [UNITS CONNECTIONS]. Batch 8, 10 time steps: forward, backward,
fused Adam and the projection of signs, in sparse storage. The peak of the resident
memory of the whole process is printed too. Presynaptic units have signs, degrees are heavy-tailed.
"""

from __future__ import annotations

import resource
import sys
from statistics import median
from time import perf_counter

import numpy as np
import torch

from netbuild import wiring
from netbuild.layers import CTRNNLayer, attach, verify
from netbuild.system import keep_freed_memory

UNITS, CONNECTIONS = 139_255, 15_000_000
BATCH, STEPS, CHANNELS = 8, 10, 3


def wiring_of(units: int, connections: int) -> wiring.Wiring:
    """Distinct pairs of units, whose in- and out-degrees are log-normal."""
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(2):
        share = np.cumsum(rng.lognormal(0.0, 1.0, units))
        drawn = rng.random(connections * 21 // 20, dtype=np.float32) * np.float32(share[-1])
        ends.append(np.searchsorted(share, drawn).clip(max=units - 1))
    pairs = np.unique(ends[1] * units + ends[0])
    pairs = pairs[np.sort(rng.permutation(len(pairs))[:connections])]
    return wiring.from_targets(units, units, pairs // units, pairs % units)


def peak() -> float:
    """The largest resident memory so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def layer_of(units: int, connections: int) -> CTRNNLayer:
    wires = wiring_of(units, connections)
    signs = np.where(np.arange(units) < 0.75 * units, 1.0, -1.0)
    return CTRNNLayer(
        CHANNELS,
        units,
        alpha=0.2,
        recurrent={
            "storage": "sparse",
            "weight": {"init": "normal", "std": 0.02},
            "sparsity_mask": wires,
            "ei_mask": signs,
        },
        seed=0,
    )


def main(units: int = UNITS, connections: int = CONNECTIONS) -> None:
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # as the commands do
    keep_freed_memory()
    start = perf_counter()
    layer = layer_of(units, connections)
    count = layer.recurrent.weight.numel()
    print(f"{units:,} units, {count:,} connections, batch {BATCH}, {STEPS} steps, 2 threads")
    print(f"  wiring and layer                 {perf_counter() - start:6.2f} s, {peak():.2f} GB")
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4, fused=True)
    attach(layer, optimizer)
    x = torch.randn(BATCH, STEPS, CHANNELS, generator=torch.Generator().manual_seed(0))
    found: dict[str, list[float]] = {"forward": [], "backward": [], "Adam and projection": []}
    for _ in range(8):
        optimizer.zero_grad()
        ticks = [perf_counter()]
        loss = layer(x).square().mean()
        ticks.append(perf_counter())
        loss.backward()
        ticks.append(perf_counter())
        optimizer.step()
        ticks.append(perf_counter())
        for name, a, b in zip(found, ticks, ticks[1:], strict=False):
            found[name].append(b - a)
    for name, seconds in found.items():
        print(f"  {name:<32} {median(seconds[2:]):6.3f} s")
    whole = [sum(parts) for parts in zip(*found.values(), strict=True)]
    print(f"  one whole training step          {median(whole[2:]):6.3f} s  (to beat: 1.2 s)")
    print(f"  peak resident memory             {peak():6.2f} GB (to beat: 3 GB)")
    start = perf_counter()
    bad = sum(check.violations for check in verify(layer))
    print(f"  verify: {bad} violations             {perf_counter() - start:6.3f} s")
    start = perf_counter()
    radius = layer.get_specs(spectrum=True)["spectral_radius"]
    print(f"  get_specs: spectral radius {radius:.3f} {perf_counter() - start:6.2f} s")
    print(f"  peak resident memory             {peak():6.2f} GB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
