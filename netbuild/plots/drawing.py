"""What every figure shares: colours, legends, and data that can be written."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
Columns = dict[str, Array]

# Okabe & Ito 2008, told apart with any colour vision; black and yellow are left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
GREY = "#777777"
WIDEST, HANDLE = 52, 6  # letters: of a legend above a panel of 4 inches, and of a line in it
# How a cell begins that spreadsheets compute: somebody else may have named the units.
FORMULA = re.compile(r"^[=+\-@\t\r]")


class Table(Mapping[str, Array]):
    """Columns of one length, made of their parts when a column is first asked for.

    Every row repeats names, which of a matrix of 2,000 x 2,000 weights are 640 MB of text.
    """

    def __init__(self, parts: Sequence[Callable[[], Columns]]) -> None:
        self._parts = parts
        self._made: Columns | None = None

    def _columns(self) -> Columns:
        if self._made is None:
            made = [make() for make in self._parts]
            self._made = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        return self._made

    def __getitem__(self, name: str) -> Array:
        return self._columns()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns())

    def __len__(self) -> int:
        return len(self._columns())

    def __repr__(self) -> str:
        """The names of the columns, where they are made already; never the numbers."""
        return "Table()" if self._made is None else f"Table({', '.join(self._made)})"


class Drawing(NamedTuple):
    """A figure, and the numbers in it: columns of one length, a row a point."""

    figure: Figure
    data: Mapping[str, Array]


def figure_of(ax: Axes) -> Figure:
    """The figure that axes are in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def open_frame(ax: Axes) -> None:
    """Remove the upper and right sides of the frame, and write y as `2e-05` in each label.

    matplotlib would write the common factor of the labels above the axis, where names stand.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.yaxis.set_major_formatter("{x:g}")


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
    """A legend above the axes, where it covers nothing; of long names in one column."""
    labels = ax.get_legend_handles_labels()[1]
    if not labels:
        return
    longest = max(len(line) for label in labels for line in label.split("\n"))
    if columns * (longest + HANDLE) > WIDEST:
        columns = 1
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


def unusable(what: str, hint: str = "") -> NetbuildError:
    """The error of a figure that what is given cannot show."""
    return NetbuildError(what, Exit.USAGE, hint)
