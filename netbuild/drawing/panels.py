"""Panels of a figure: their colours, their legends, and names along their x axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: any colour vision tells them apart. Black and yellow are left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
GREY = "#777777"
DASHED: dict[str, Any] = {
    "linewidth": 0.7,
    "linestyle": (0, (2, 2)),
    "color": GREY,
    "zorder": 0,
}  # a boundary
LONGER = 60  # letters of a name that may take the whole width of a panel
WIDEST, HANDLE = 52, 6  # the width of a legend above a panel of 4 inches, and of a handle: letters
LETTER, LINE = 4.6, 10.0  # the mean width of a small letter, and the line spacing, in points
BESIDE = 0.8  # the part of a panel's width that a legend beside the axes leaves to them
MOST_ROWS = 9  # of a legend beside its axes
CROWDED = 20  # entries of a legend beside its axes; above, every second entry is left out


class Span(NamedTuple):
    """A part of the x axis, and its name."""

    name: str
    start: float
    end: float


def figure_of(ax: Axes) -> Figure:
    """The figure that axes are in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def new_panels(
    count: int, columns: int, width: float, height: float, margin: float = 0.0, **shared: Any
) -> list[Axes]:
    """Axes of a new figure, row by row; `width` and `height` of each panel are in inches.

    `margin` is added to the height of the figure, and `shared` goes to `Figure.subplots`.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows + margin)
    grid: list[Axes] = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for empty in grid[count:]:
        empty.remove()
    return grid[:count]


def open_frame(ax: Axes) -> None:
    """Remove the upper and right sides of the frame, and write y as `2e-05` in each label.

    matplotlib would write the common factor of the labels above the axis, where names stand.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.yaxis.set_major_formatter("{x:g}")


def legend_beside(ax: Axes, title: str = "") -> None:
    """A legend to the right of the axes; where there are very many entries, some are left out."""
    handles, names = ax.get_legend_handles_labels()
    if not handles:
        return
    step = -(-len(names) // CROWDED)
    look: dict[str, Any] = {"fontsize": "small", "handlelength": 1.2}
    if len(names) > MOST_ROWS:
        look = {"fontsize": "x-small", "handlelength": 1.0, "columnspacing": 0.8}
        look |= {"labelspacing": 0.3, "ncols": -(-len(names[::step]) // MOST_ROWS)}
    ax.legend(
        handles[::step],
        names[::step],
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.03),
        frameon=False,
        title_fontsize="small",
        borderaxespad=0.3,
        **look,
    )


def legend_above(ax: Axes, columns: int = 2) -> None:
    """A legend above the axes; long names stand in one column."""
    labels = ax.get_legend_handles_labels()[1]
    if not labels:
        return
    longest = max(len(line) for label in labels for line in label.split("\n"))
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns if columns * (longest + HANDLE) <= WIDEST else 1,
        frameon=False,
        fontsize="small",
        handlelength=1.2,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def name_spans(ax: Axes, spans: Sequence[Span], low: float, high: float) -> float:
    """Write the names of spans above an axis that goes from low to high.

    A name that would run into another one goes to a second line, and so on. Returns the height of
    all lines, in points.
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


def colours(values: NDArray[Any]) -> list[Any]:
    """A colour for each of some rising values.

    Values on both sides of zero have two hues, which fade to grey at zero; numbers of one sign go
    from dark to bright; names, and one or two numbers, have colours of the palette.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if values.dtype.kind not in "iuf" or len(values) <= 2:
        return [PALETTE[i % len(PALETTE)] for i in range(len(values))]
    if not values[0] < 0 < values[-1]:
        return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, len(values))]

    def faded(value: float) -> Any:
        if value == 0:
            return to_rgb(GREY)
        side = values[np.sign(values) == np.sign(value)]
        rank = np.sum(np.abs(side) <= abs(value)) / len(side)
        hue = np.array(to_rgb(PALETTE[0] if value > 0 else PALETTE[1]))
        return tuple(1 - (0.25 + 0.75 * rank) * (1 - hue))

    return [faded(value) for value in values]
