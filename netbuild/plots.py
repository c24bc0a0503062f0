"""Figures of a whole network or run. Each takes data in and returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netbuild.layers import LinearLayer, Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4


def layers(network: Network, kind: str = "weights") -> Figure:
    """The weight matrix of every linear layer, or the distribution of its weights."""
    from matplotlib.figure import Figure

    maps = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, LinearLayer)
    }
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    for position, (name, layer) in enumerate(maps.items(), 1):
        axes = figure.add_subplot(rows, columns, position)
        layer.plot_layer("weight" if kind == "weights" else "dist", ax=axes)
        axes.set_title(name)
    return figure


def learning(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and accuracy against steps: training as lines, the test set as points."""
    from matplotlib.figure import Figure

    train = [line for line in metrics if line["kind"] == "train"]
    test = [line for line in metrics if line["kind"] == "evaluation"]
    keys = [key for key in ("loss", "accuracy") if any(key in line for line in [*train, *test])]
    figure = Figure(figsize=(4.8 * max(len(keys), 1), 3.6), layout="constrained")
    for position, key in enumerate(keys, 1):
        axes = figure.add_subplot(1, len(keys), position)
        axes.plot(
            [line["step"] for line in train if key in line],
            [line[key] for line in train if key in line],
            color="C0",
            linewidth=1,
            label="training batches",
        )
        scored = [line for line in test if key in line]
        axes.plot(
            [line["step"] for line in scored],
            [line[key] for line in scored],
            "o-",
            color="C1",
            label="test set" if scored else None,
        )
        axes.set(xlabel="step", ylabel=key)
        axes.legend(frameon=False)
    return figure
