"""The eigenvalues of a recurrent weight in the complex plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import new_axes, own_look
from netbuild.drawing.panels import GREY, PALETTE, figure_of, open_frame
from netbuild.drawing.table import Drawing
from netbuild.layers.spectrum import spectral_radius
from netbuild.results.maps import LabelledMap
from netbuild.results.results import Results, results_of
from netbuild.results.run import Run
from netbuild.results.units import unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 8000  # units of a dense map; their eigenvalues take minutes
MOST_SPARSE = 1000  # of a sparse one, which LAPACK takes as a matrix
LARGEST, BASIS, RESTARTS = 20, 100, 6  # eigenvalues of larger sparse maps, and ARPACK's effort


@own_look
def eigenvalues(
    source: Results | Run | LabelledMap | Mapping[str, LabelledMap],
    ax: Axes | None = None,
    *,
    layer: str | None = None,
) -> Drawing:
    """The eigenvalues of the effective recurrent weight, the unit circle and the spectral radius.

    Args:
        source: a run, its results, its maps (`run.maps()`), or one of them.
        layer: a recurrent layer; the first one when left out.

    Of a sparse map with more than 1,000 units, which is not made dense, those of the 20 largest
    that ARPACK finds are drawn. Returns the figure and a row an eigenvalue, the largest first:
    real, imaginary. Raises NetbuildError (exit 2) where no layer is recurrent, or a dense map has
    more than 8,000 units.
    """
    from matplotlib.ticker import MaxNLocator

    weight = _recurrent(results_of(source).maps, layer).weight
    count = weight.shape[0]
    values, radius = _spectrum(weight)
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
    some = "" if len(values) == count else f"\n{len(values)} of {count:,} eigenvalues"
    ax.set_title(f"spectral radius {radius:.3g}, dashed: 1{some}", fontsize="medium")
    open_frame(ax)
    return Drawing(figure_of(ax), {"real": values.real, "imaginary": values.imag})


def _recurrent(maps: Mapping[str, LabelledMap], layer: str | None) -> LabelledMap:
    """The map that was given alone, or that of the layer, or the first recurrent one."""
    if [*maps] == [""]:
        return maps[""]
    known = {n.removesuffix(".recurrent"): m for n, m in maps.items() if "recurrent" in n}
    if not known:
        raise unusable("eigenvalues are of recurrent layers, and there is none")
    name = next(iter(known)) if layer is None else layer.removesuffix(".recurrent")
    if name not in known:
        raise unusable(f"no recurrent layer `{name}`", f"there are {', '.join(known)}")
    return known[name]


def _spectrum(weight: NDArray[Any] | Any) -> tuple[NDArray[np.complex128], float]:
    """Eigenvalues of a matrix or a scipy.sparse array, the largest first; the spectral radius."""
    count = weight.shape[0]
    sparse = not isinstance(weight, np.ndarray)
    if not sparse and count > MOST:
        what = f"the eigenvalues of {count:,} units; at most {MOST:,} are drawn"
        raise unusable(what, "`netbuild inspect` shows the spectral radius, whatever the size")
    if not np.isfinite(weight.data if sparse else weight).all():
        raise unusable("this weight holds NaN or Inf, so it has no eigenvalues")
    if sparse and count > MOST_SPARSE:
        return _largest(weight)
    dense: NDArray[Any] = weight if isinstance(weight, np.ndarray) else weight.toarray()
    values = np.linalg.eigvals(dense.astype(np.float64)).astype(np.complex128)
    values = values[np.argsort(-np.abs(values), kind="stable")]
    return values, float(np.abs(values[0]))


def _largest(weight: Any) -> tuple[NDArray[np.complex128], float]:
    """The largest eigenvalues of a scipy.sparse array, those of them that are found."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    radius = spectral_radius(weight)
    if not radius:  # all are 0, and rounding would scatter them
        return np.zeros(1, np.complex128), 0.0
    start = np.random.default_rng(0).normal(size=weight.shape[0])
    words = {"v0": start, "ncv": BASIS, "maxiter": RESTARTS, "tol": 1e-3}
    try:
        values = eigs(
            weight.astype(np.float64), LARGEST, which="LM", return_eigenvectors=False, **words
        )
    except ArpackNoConvergence as stopped:
        values = stopped.eigenvalues
    if not len(values):
        what = f"none of the largest eigenvalues of {weight.shape[0]:,} units was found"
        raise unusable(what, f"the spectral radius is {radius:.3g}")
    return values[np.argsort(-np.abs(values), kind="stable")], radius
