"""Panels: several axes in one figure, names of what lies between two places of an axis, and a panel
for every linear map of a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from netbuild.drawing.look import name_of, new_figure, own_look
from netbuild.layers import Network, linear_maps
from netbuild.plots.drawing import GREY, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
LETTER, LINE = 4.6, 10.0  # points: the mean width of a small letter, and from line to line
BESIDE = 0.8  # of its width is left to an axis beside which there is a legend


class Span(NamedTuple):
    """A part of the x axis, and what it is called."""

    name: str
    start: float
    end: float


def new_panels(
    count: int, columns: int, width: float, height: float, margin: float = 0.0, **shared: Any
) -> list[Axes]:
    """Axes of a new figure, row by row; each panel is of that size in inches.

    `margin` is what the figure is higher than its panels, `shared` as of `Figure.subplots`.
    """
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows + margin)
    grid: list[Axes] = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for empty in grid[count:]:
        empty.remove()
    return grid[:count]


def name_spans(ax: Axes, spans: Sequence[Span], low: float, high: float) -> float:
    """Write the names of spans above an axis that goes from low to high.

    Names that would run into each other go to a second line, and so on. Returns the height of all
    lines, in points.
    """
    inches = ax.get_position().width * figure_of(ax).get_figwidth()
    wide = BESIDE * 72 * inches
    ends: list[float] = []  # of the last name in each line, in points
    for span in sorted(spans, key=lambda span: span.start + span.end):
        name = name_of(span.name)
        length = LETTER * len(name)
        middle = ((span.start + span.end) / 2 - low) / (high - low) * wide
        middle = max(min(middle, wide - length / 2), length / 2)
        free = [i for i, end in enumerate(ends) if middle - length / 2 > end + LETTER]
        line = free[0] if free else len(ends)
        ends[line:line + 1] = [middle + length / 2]  # fmt: skip
        ax.annotate(
            name,
            (middle / wide, 1.0),
            (0, 3 + LINE * line),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            fontsize="small",
            color=GREY,
        )
    return LINE * len(ends)


@own_look
def layers(network: Network, kind: str = "weights") -> Figure:
    """The weight matrix of every linear layer, or the distribution of its weights."""
    maps = linear_maps(network)
    places = new_panels(len(maps), min(COLUMNS, len(maps)), 4.2, 3.6)
    for axes, (name, layer) in zip(places, maps.items(), strict=True):
        layer.plot_layer("weight" if kind == "weights" else "dist", ax=axes)
        axes.set_title(name_of(name, 60))
    return figure_of(places[0])
