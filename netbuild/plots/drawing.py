"""What every figure shares: colours, legends, and data that can be written."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
Table = dict[str, Array]

# Okabe & Ito 2008, told apart with any colour vision; black and yellow are left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
GREY = "#777777"
# How a cell begins that spreadsheets compute: somebody else may have named the units.
FORMULA = re.compile(r"^[=+\-@\t\r]")


class Drawing(NamedTuple):
    """A figure, and the numbers in it: columns of one length, a row a point."""

    figure: Figure
    data: Table


def figure_of(ax: Axes) -> Figure:
    """The figure that axes are in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def open_frame(ax: Axes) -> None:
    """Take the upper and right sides of the frame away."""
    ax.spines[["top", "right"]].set_visible(False)


def legend_beside(ax: Axes, title: str = "") -> None:
    """A legend to the right of the axes, where it covers nothing."""
    if not ax.get_legend_handles_labels()[0]:
        return
    ax.legend(
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.03),
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        handlelength=1.2,
        borderaxespad=0.3,
    )


def legend_above(ax: Axes, columns: int = 2) -> None:
    """A legend above the axes, where it covers nothing."""
    if not ax.get_legend_handles_labels()[0]:
        return
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize="small",
        handlelength=1.2,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def colours(values: Array) -> list[Any]:
    """A colour for each of the rising values.

    Values on both sides of zero have two hues, the paler the nearer to zero, which is grey;
    numbers of one sign go from dark to bright; few numbers and names have colours of their own.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    numbers = values.dtype.kind in "iuf"
    if numbers and len(values) > 2 and values[0] < 0 < values[-1]:
        found: list[Any] = []
        for value in values:
            side = values[np.sign(values) == np.sign(value)]
            rank = np.sum(np.abs(side) <= abs(value)) / len(side)
            hue = np.array(to_rgb(PALETTE[0] if value > 0 else PALETTE[1]))
            found.append(
                to_rgb(GREY) if value == 0 else tuple(1 - (0.25 + 0.75 * rank) * (1 - hue))
            )
        return found
    if numbers and len(values) > 2:
        return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, len(values))]
    return [PALETTE[i % len(PALETTE)] for i in range(len(values))]


def write_table(path: Path, data: Mapping[str, Array]) -> bytes:
    """The bytes of a table as .csv or .npz, by the path's ending; NetbuildError for others.

    In a .csv, text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npz":
        np.savez(buffer, allow_pickle=False, **data)
    elif path.suffix.lower() == ".csv":
        import polars

        frame = polars.DataFrame(dict(data))
        text = polars.col(polars.String)
        looks = text.str.contains(FORMULA.pattern)
        escaped = polars.when(looks).then(polars.lit("'") + text).otherwise(text)
        frame = frame.with_columns(escaped.name.keep())
        frame.rename(_no_formula).write_csv(buffer)
    else:
        raise NetbuildError(f"{path}: data are .csv or .npz", Exit.USAGE)
    return buffer.getvalue()


def _no_formula(name: str) -> str:
    return f"'{name}" if FORMULA.match(name) else name


def stacked(parts: Sequence[Table]) -> Table:
    """Tables of the same columns, one below the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def unusable(what: str, hint: str = "") -> NetbuildError:
    """The error of a figure that what is given cannot show."""
    return NetbuildError(what, Exit.USAGE, hint)
