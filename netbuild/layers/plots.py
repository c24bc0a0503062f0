"""Drawings of a weight matrix; matplotlib is imported when one is made, and never pyplot."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netbuild.layers.linear import LinearLayer

Words = ParamSpec("Words")
Drawn = TypeVar("Drawn")  # a figure, or a named tuple with one
Weight: TypeAlias = Tensor | NDArray[Any] | Any  # the last is a scipy.sparse array
EXCITATORY, INHIBITORY, FREE = "#b2182b", "#2166ac", "#555555"  # the ends of the map RdBu_r
MOST = 2000  # rows and columns that a figure has pixels for
MOST_SPARSE = 800  # the same of sparse weights: fewer bins have something in each
MOST_LETTERS = 20  # of a name in a figure
PART = 2**22  # connections that are put into their bins at once


def new_figure(width: float = 4.2, height: float = 3.6) -> Figure:
    """A figure in inches, which pyplot does not know and nothing needs to close."""
    from netbuild.layers.figure import OwnFigure, own_style

    with own_style():
        return OwnFigure(figsize=(width, height), layout="constrained")


def new_axes(width: float = 4.2, height: float = 3.6) -> Axes:
    """Axes in a figure of their own."""
    return new_figure(width, height).subplots()


def own_look(draw: Callable[Words, Drawn]) -> Callable[Words, Drawn]:
    """Make a drawing function use our style where it is not given Axes to draw in.

    Whatever the user's matplotlibrc says then has no part in the figure, and long labels are broken
    into lines. Axes that are given stay in the style of whoever made them.
    """

    @wraps(draw)
    def drawn(*args: Words.args, **words: Words.kwargs) -> Drawn:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

        from netbuild.layers.figure import own_style, settle

        if any(isinstance(given, Axes) for given in (*args, *words.values())):
            return draw(*args, **words)
        with own_style():
            found = draw(*args, **words)
            settle(found if isinstance(found, Figure) else found.figure)  # type: ignore[attr-defined]
        return found

    return drawn


def name_of(text: str, most: int = MOST_LETTERS) -> str:
    """A name as figures write it: characters that the font lacks, or that move the cursor, as their
    codes (`\\u4e2d`, `\\x1b`), and in the middle of more than `most` letters an ellipsis.
    """
    seen = "".join(c if _is_drawn(c) else _code(c) for c in text)
    if len(seen) <= most:
        return seen
    half = (most - 1) // 2
    return f"{seen[: most - 1 - half]}…{seen[-half:]}"


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


@cache
def _is_drawn(letter: str) -> bool:
    return letter.isprintable() and ord(letter) in _glyphs()


@cache
def _glyphs() -> frozenset[int]:
    """The characters that matplotlib's own font has."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import get_font

    return frozenset(get_font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())


@own_look
def of_layer(layer: LinearLayer, kind: str, ax: Axes | None = None) -> Figure:
    """The effective weight of a layer: `weight` (the matrix) or `dist` (its distribution)."""
    ax = new_axes() if ax is None else ax
    if kind == "weight":
        return matrix(ax, layer.matrix())
    sign = None if layer.dale == "none" else layer.sign  # signs that bind nothing show nothing
    return distribution(ax, layer.effective_weight.detach(), sign, layer.connected)


def matrix(ax: Axes, weight: Weight, percentile: float = 100) -> Figure:
    """Draw an (output_dim, input_dim) weight, red above zero and blue below.

    The colours end at a percentile of the magnitudes that are not 0; below 100 a few large weights
    do not pale all others. More than 2,000 units, of a sparse weight 800, are drawn as the means of
    neighbours.
    """
    from matplotlib.ticker import MaxNLocator

    values = binned(weight)
    present = np.abs(values[values != 0])
    limit = float(np.percentile(present, percentile)) if present.size else 1.0
    clipped = bool(present.size) and limit < present.max()
    rows, columns = weight.shape
    image = ax.imshow(
        values,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )
    ax.set(xlabel="presynaptic unit", ylabel="postsynaptic unit")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure = ax.get_figure(root=True)
    assert figure is not None
    means = "" if values.shape == tuple(weight.shape) else "mean "
    figure.colorbar(
        image,
        ax=ax,
        label=f"{means}weight",
        extend="both" if clipped else "neither",
        format="{x:g}",
    )
    return figure


def binned(weight: Weight, most: int | None = None) -> NDArray[np.float64]:
    """(output_dim, input_dim), or, of too many units, the means of equal parts of an axis.

    `most` parts: 2,000, and 800 of a scipy.sparse array, if it is left out. Of such an array what
    is not stored counts as 0, and it is never made dense.
    """
    rows, columns = weight.shape
    if not isinstance(weight, (Tensor, np.ndarray)):
        return _binned_sparse(weight.tocsr(), MOST_SPARSE if most is None else most)
    most = MOST if most is None else most
    dense = weight.detach().cpu().numpy() if isinstance(weight, Tensor) else weight
    for axis, count in ((0, rows), (1, columns)):
        if count > most:
            lengths = bin_lengths(count, most)
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            parts = np.add.reduceat(dense, starts, axis=axis, dtype=np.float64)
            dense = parts / (lengths[:, None] if axis == 0 else lengths)
    return np.asarray(dense, np.float64)


def _binned_sparse(weight: Any, most: int) -> NDArray[np.float64]:
    """The means of the parts of a CSR array, from its connections, some at a time."""
    rows, columns = weight.shape
    high, wide = min(rows, most), min(columns, most)
    sums = np.zeros(high * wide)
    for start in range(0, weight.nnz, PART):
        part = slice(start, min(start + PART, weight.nnz))
        i = np.searchsorted(weight.indptr, np.arange(part.start, part.stop), "right") - 1
        j = weight.indices[part].astype(np.int64)
        where = (i * high // rows) * wide + j * wide // columns
        sums += np.bincount(where, weight.data[part], minlength=high * wide)
    lengths = bin_lengths(rows, high)[:, None] * bin_lengths(columns, wide)
    return np.asarray(sums.reshape(high, wide) / lengths)


def bin_lengths(count: int, most: int = MOST) -> NDArray[np.int64]:
    """How many of `count` units are in each of at most so many nearly equal parts."""
    return np.bincount(np.arange(count) * min(count, most) // count)


def distribution(ax: Axes, weight: Tensor, sign: Tensor | None, connected: Tensor | None) -> Figure:
    """Draw a histogram of the existing connections of an (output_dim, input_dim) weight.

    Zero is an edge between two bins, so that no bar mixes signs; weights that are exactly 0, as
    constraints and L1 leave many, are counted in the legend instead of dwarfing the others.
    """
    here = torch.ones_like(weight, dtype=torch.bool) if connected is None else connected
    signs = torch.zeros_like(here, dtype=torch.int8) if sign is None else sign
    values = weight.cpu().double()
    limit = float(values.abs().max()) if values.numel() else 0.0
    bins = np.linspace(-limit, limit, 51) if limit else np.arange(-1.0, 2.0)
    for kind, label, colour in (
        (1, "excitatory", EXCITATORY),
        (-1, "inhibitory", INHIBITORY),
        (0, "free", FREE),
    ):
        chosen = values[(here & (signs == kind)).cpu()].numpy()
        if len(chosen):
            zeros = int((chosen == 0).sum())
            label += f", {zeros:,} at 0" if zeros else ""
            ax.hist(chosen[chosen != 0], bins=bins, label=label, color=colour)  # type: ignore[arg-type]
    ax.set(xlabel="weight", ylabel="connections")
    if ax.has_data():
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.18), fontsize="small")
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
