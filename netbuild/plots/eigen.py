"""The eigenvalues of a recurrent weight in the complex plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from netbuild.plots.drawing import GREY, PALETTE, Drawing, figure_of, new_axes, open_frame, unusable
from netbuild.training import Run
from netbuild.training.maps import LabelledMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 8000  # units; their eigenvalues take minutes


def eigenvalues(
    source: Run | LabelledMap | Mapping[str, LabelledMap],
    ax: Axes | None = None,
    *,
    layer: str | None = None,
) -> Drawing:
    """The eigenvalues of the effective recurrent weight, the unit circle and the spectral radius.

    Args:
        source: a run, its maps (`run.maps()`), or one of them.
        layer: a recurrent layer; the first one when left out.

    Returns the figure and a row an eigenvalue, the largest first: real, imaginary. Raises
    NetbuildError (exit 2) where no layer is recurrent, or has more than 8,000 units.
    """
    from matplotlib.ticker import MaxNLocator

    if isinstance(source, LabelledMap):
        one = source
    else:
        maps = source.maps() if isinstance(source, Run) else source
        known = {n.removesuffix(".recurrent"): m for n, m in maps.items() if "recurrent" in n}
        if not known:
            raise unusable("eigenvalues are of recurrent layers, and there is none")
        name = next(iter(known)) if layer is None else layer.removesuffix(".recurrent")
        if name not in known:
            raise unusable(f"no recurrent layer `{name}`", f"there are {', '.join(known)}")
        one = known[name]
    count = one.weight.shape[0]
    if count > MOST:
        what = f"the eigenvalues of {count:,} units; at most {MOST:,} are drawn"
        raise unusable(what, "`netbuild inspect` shows the spectral radius, whatever the size")
    weight = one.weight if isinstance(one.weight, np.ndarray) else one.weight.toarray()
    values = np.linalg.eigvals(weight.astype(np.float64))
    values = values[np.argsort(-np.abs(values), kind="stable")]
    radius = float(np.abs(values[0]))
    ax = new_axes(3.4, 3.2) if ax is None else ax
    turn = np.linspace(0, 2 * np.pi, 361)
    ax.axhline(0, color="#dddddd", linewidth=0.8, zorder=0)
    ax.axvline(0, color="#dddddd", linewidth=0.8, zorder=0)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    ax.plot(values.real, values.imag, "o", color=PALETTE[0], markersize=3.5, alpha=0.8, mew=0)
    end = 1.1 * max(1.0, radius)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.set(xlim=(-end, end), ylim=(-end, end))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    ax.set_title(f"spectral radius {radius:.3g}, dashed: 1", fontsize="medium")
    open_frame(ax)
    return Drawing(figure_of(ax), {"real": values.real, "imaginary": values.imag})
