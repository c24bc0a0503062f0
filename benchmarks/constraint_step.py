"""A training step under all three masks, 1024 x 1024, batch 64: what do the constraints cost?

python -m benchmarks.constraint_step. Ours is a LinearLayer with signs, 30 % of the connections and
a plasticity mask, fused Adam and `attach`; once with plasticity 0 or 1, once also with 0.5. The
floors are torch.nn.Linear without constraints, with torch's default Adam and with the same fused
Adam. The peer is nn4n 1.1.1, whose constraints are methods that the training loop calls.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.timing import alternate
from netbuild.layers import LinearLayer, attach

UNITS, BATCH = 1024, 64


def masks(levels: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs, connections and plasticity of these levels, (presynaptic, postsynaptic)."""
    rng = np.random.default_rng(0)
    signs = np.where(np.arange(UNITS) < 0.8 * UNITS, 1.0, -1.0)[:, None].repeat(UNITS, axis=1)
    return (
        signs,
        (rng.random((UNITS, UNITS)) < 0.3).astype(float),
        rng.choice(levels, (UNITS, UNITS)),
    )


def step_of(
    layer: nn.Module, optimizer: torch.optim.Optimizer, project: Callable[[], object] | None = None
) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, UNITS, generator=generator)
    target = torch.randn(BATCH, UNITS, generator=generator)

    def step() -> None:
        optimizer.zero_grad()
        functional.mse_loss(layer(x), target).backward()
        optimizer.step()
        if project is not None:
            project()

    return step


def ours(*levels: float) -> Callable[[], None]:
    signs, connected, plasticity = masks(levels)
    layer = LinearLayer(
        *(UNITS, UNITS),
        ei_mask=signs,
        sparsity_mask=connected,
        plasticity_mask=plasticity,
        seed=0,
    )
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    attach(layer, optimizer)
    return step_of(layer, optimizer)


def unconstrained(**words: bool) -> Callable[[], None]:
    layer = nn.Linear(UNITS, UNITS)
    return step_of(layer, torch.optim.Adam(layer.parameters(), **words))


def peer() -> Callable[[], None] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nn4n.layer import LinearLayer as PeerLayer
    except ImportError:
        return None
    signs, connected, plasticity = (torch.tensor(m, dtype=torch.float32) for m in masks((0.0, 1.0)))
    layer = PeerLayer(
        {
            "input_dim": UNITS,
            "output_dim": UNITS,
            "weights": "uniform",
            "biases": "uniform",
            "ei_mask": signs.int(),
            "sparsity_mask": connected,
            "plasticity_mask": plasticity,
        }
    )
    optimizer = torch.optim.Adam(layer.parameters())
    return step_of(layer, optimizer, layer.enforce_constraints)


def main() -> None:
    torch.set_num_threads(2)
    functions = {
        "ours, plasticity 0 or 1, fused Adam": ours(0.0, 1.0),
        "ours, plasticity 0, 0.5 or 1, fused Adam": ours(0.0, 0.5, 1.0),
        "unconstrained, torch's default Adam": unconstrained(),
        "unconstrained, fused Adam": unconstrained(fused=True),
    }
    if (theirs := peer()) is not None:
        functions["nn4n 1.1.1, three masks, default Adam"] = theirs
    seconds = alternate(functions, pairs=15)
    own, partial, *_ = seconds.values()
    print(f"one training step, {UNITS} x {UNITS}, batch {BATCH}, {torch.get_num_threads()} threads")
    for name, value in seconds.items():
        ratios = f"ours / this = {own / value:.2f} ({partial / value:.2f} with plasticity 0.5)"
        print(f"  {name:<42} {value * 1e3:7.2f} ms   {ratios}")


if __name__ == "__main__":
    main()
