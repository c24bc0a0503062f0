"""Trajectories: the average path of each condition in the plane of most variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netbuild.plots.averages import activity_from, averaged
from netbuild.plots.drawing import (
    GREY,
    Drawing,
    figure_of,
    legend_beside,
    new_axes,
    open_frame,
    unusable,
)
from netbuild.plots.plane import Plane, principal_plane
from netbuild.training import Run
from netbuild.training.activity import Activity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def trajectories(
    source: Run | Activity,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    condition: str | None = None,
    align: str | None = None,
    trials: int = 500,
    plane: Plane | None = None,
) -> Drawing:
    """Rates averaged by condition, in the plane of their first two principal components.

    A circle is where the paths begin, a square where each ends; the axes say how much of the
    variance of the averages they hold. A step at which fewer than half of a condition's trials go
    on is not drawn.

    Args:
        source: a run, or its activity.
        layer: the first one when left out.
        condition: a variable of the trials; the coherence, signed, when left out.
        align: the period from whose start time is counted; `stimulus` when left out.
        trials: of a run, how many.
        plane: to draw in, as `principal_plane` gives it; that of these averages when left out.

    Returns the figure and a row a point: condition, time, pc1, pc2. Raises NetbuildError (exit 2)
    for networks without time, and for what is not there.
    """
    found = averaged(activity_from(source, trials), layer, condition, align)
    conditions, times, units = found.rates.shape
    if units < 2:
        raise unusable(f"layer `{found.layer}` has one unit, which makes no plane")
    plane = principal_plane(found.rates.reshape(-1, units)) if plane is None else plane
    paths = plane.project(found.rates)
    ax = new_axes() if ax is None else ax
    begins, ends = [], []
    for path, name, colour in zip(paths, found.names, found.colours, strict=True):
        here = np.flatnonzero(~np.isnan(path[:, 0]))
        if not len(here):
            continue
        ax.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.3, label=name)
        begins.append(path[here[0]])
        end = path[here[-1]]
        ends.append(end)
        ax.plot(*end, "s", color=colour, markersize=4.5, zorder=3)
    middle = np.mean(begins, 0)
    ax.plot(*middle, "o", color="white", markeredgecolor=GREY, markersize=6, zorder=3)
    ax.annotate("start", middle, (0, 7), textcoords="offset points", ha="center", color=GREY)
    ax.set(
        xlabel=f"PC 1 ({plane.explained[0]:.0%} of variance)",
        ylabel=f"PC 2 ({plane.explained[1]:.0%} of variance)",
    )
    ax.margins(0.08)
    open_frame(ax)
    legend_beside(ax, found.label.replace(" (%)", " (%)").replace("signed ", "signed\n"))
    data = {
        "condition": np.repeat(np.array(found.names), times),
        "time": np.tile(found.time, conditions),
        "pc1": paths[..., 0].ravel(),
        "pc2": paths[..., 1].ravel(),
    }
    return Drawing(figure_of(ax), data)
