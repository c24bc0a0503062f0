"""A panel for every linear map of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netbuild.layers import LinearLayer, Network
from netbuild.plots.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4


def layers(network: Network, kind: str = "weights") -> Figure:
    """The weight matrix of every linear layer, or the distribution of its weights."""
    maps = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, LinearLayer)
    }
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    figure = new_figure(4.2 * columns, 3.6 * rows)
    for position, (name, layer) in enumerate(maps.items(), 1):
        axes = figure.add_subplot(rows, columns, position)
        layer.plot_layer("weight" if kind == "weights" else "dist", ax=axes)
        axes.set_title(name)
    return figure
