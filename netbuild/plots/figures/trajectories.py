"""Trajectories: the average path of each condition in the plane of most variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.analysis.pca import PCA, pca
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.panels import GREY, figure_of, legend_beside, new_panels, open_frame
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.plots.conditions import Averaged, averaged
from netbuild.results.activity import Activity
from netbuild.results.results import Results, results_of
from netbuild.results.run import Run
from netbuild.results.units import unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
COLUMNS = 3


class Plane(NamedTuple):
    """The first principal components of some points."""

    mean: Array  # (unit,)
    components: Array  # (component, unit), orthonormal; the largest loading of each is positive
    explained: Array  # (component,): the part of the variance along each, in [0, 1]

    def project(self, points: Array) -> Array:
        """(..., unit) to (..., component)."""
        return np.asarray((points - self.mean) @ self.components.T)


@own_look
def trajectories(
    source: Results | Run | Activity,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    units: str | None = None,
    condition: str | None = None,
    align: str | None = None,
    environment: str | None = None,
    trials: int = 500,
    plane: Plane | PCA | None = None,
) -> Drawing:
    """Rates averaged by condition, in the plane of their first two principal components.

    A circle is where the paths begin, a square where each ends; the axes say how much of the
    variance of the averages they hold. A step that fewer than half of a condition's trials reach
    is not drawn. Of several environments each has a panel, all in one plane.

    Args:
        source: a run, its results, or its activity.
        ax: one Axes, for one environment; without it each environment has its own.
        layer: the first one when left out.
        units: a selection of the layer's units, e.g. `kind=motor`, as `Units.where` reads it; the
            plane is then that of their rates.
        condition: a variable of the trials; the coherence, signed, when left out, or the right
            choice. An environment without the variable has one path, of all its trials.
        align: the period from whose start time is counted; `stimulus` when left out.
        environment: one of several, all when left out.
        trials: of a run, how many, of all environments together.
        plane: to draw in, as `principal_plane` gives it, or the `plane` of a study; that of these
            averages when left out.

    Returns the figure and a row a point: environment (where there are several), condition,
    time, pc1, pc2. Raises NetbuildError (exit 2) for networks without time, for what is not there,
    and for several environments in one `ax`.
    """
    activity = results_of(source).activity(trials)
    parts = averaged(activity, layer, condition, align, environment, one=ax is not None)
    if units is not None:
        here = activity.units[parts[0].layer].where(units)
        parts = [part._replace(rates=part.rates[..., here], units=units) for part in parts]
    if (count := parts[0].rates.shape[-1]) < 2:
        what = f"`{units}` is one unit" if units else f"layer `{parts[0].layer}` has one unit"
        raise unusable(f"{what}, which makes no plane")
    if plane is None:
        plane = principal_plane(np.concatenate([part.rates.reshape(-1, count) for part in parts]))
    places = new_panels(len(parts), COLUMNS, 4.0, 3.1) if ax is None else [ax]
    data = [_panel(place, part, plane) for place, part in zip(places, parts, strict=True)]
    if len(parts) > 1:  # one scale, so that panels can be compared
        ends = np.array([[place.get_xlim(), place.get_ylim()] for place in places])
        low, high = ends[..., 0].min(0), ends[..., 1].max(0)
        for place in places:
            place.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return Drawing(figure_of(places[0]), Table(data))


def principal_plane(points: Array, count: int = 2) -> Plane:
    """The `count` directions of most variance of points (point, unit), fewer of fewer units.

    Points with a NaN are left out; raises ValueError with fewer than 2 others.
    """
    known = points[~np.isnan(points).any(-1)]
    if len(known) < 2:
        raise ValueError(f"principal components need at least 2 points; there are {len(known)}")
    found = pca(torch.from_numpy(known), min(count, known.shape[1]))
    return Plane(*(values.numpy() for values in found))


def _panel(ax: Axes, found: Averaged, plane: Plane | PCA) -> Columns:
    paths = np.asarray(plane.project(found.rates))[..., :2]
    begins = []
    for path, name, colour in zip(paths, found.names, found.colours, strict=True):
        here = np.flatnonzero(~np.isnan(path[:, 0]))
        ax.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.3, label=name_of(name))
        begins.append(path[here[0]])
        ax.plot(*path[here[-1]], "s", color=colour, markersize=4.5, zorder=3)
    middle = np.mean(begins, 0)
    ax.plot(*middle, "o", color="white", markeredgecolor=GREY, markersize=6, zorder=3)
    first, second = plane.explained[:2].tolist()
    ax.set(xlabel=f"PC 1 ({first:.0%} of variance)", ylabel=f"PC 2 ({second:.0%} of variance)")
    ax.set_title(f"{found.title}\n○ start, ■ end", fontsize="medium")
    ax.margins(0.08)
    open_frame(ax)
    ax.xaxis.set_major_formatter("{x:g}")
    legend_beside(ax, found.heading)
    return found.columns({}, pc1=paths[..., 0], pc2=paths[..., 1])
