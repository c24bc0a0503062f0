"""Drawings of one weight matrix on given axes; matplotlib is imported when one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.drawing.panels import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Weight: TypeAlias = Tensor | NDArray[Any] | Any  # the last is a scipy.sparse array
EXCITATORY, INHIBITORY, FREE = "#b2182b", "#2166ac", "#555555"  # the ends of the map RdBu_r
MOST = 2000  # rows and columns that a figure has pixels for
MOST_SPARSE = 800  # the same for sparse weights, where smaller bins would mostly be empty
PART = 2**22  # connections that are put into their bins at once


def matrix(ax: Axes, weight: Weight, percentile: float = 100) -> Figure:
    """Draw an (output_dim, input_dim) weight, red above zero and blue below.

    The colours end at a percentile of the magnitudes that are not 0; with a percentile below 100 a
    few large weights do not make all others pale. Above 2,000 units (800 of a sparse weight) each
    pixel is a mean of neighbours.
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
    means = "" if values.shape == tuple(weight.shape) else "mean "
    figure_of(ax).colorbar(
        image,
        ax=ax,
        label=f"{means}weight",
        extend="both" if clipped else "neither",
        format="{x:g}",
    )
    return figure_of(ax)


def binned(weight: Weight, most: int | None = None) -> NDArray[np.float64]:
    """(output_dim, input_dim), or, of too many units, the means of equal parts of an axis.

    There are at most `most` parts; the default is 2,000, and 800 for a scipy.sparse array. Such an
    array is never made dense; entries that it does not store count as 0.
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
    return figure_of(ax)
