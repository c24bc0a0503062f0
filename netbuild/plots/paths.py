"""Trajectories: the average path of each condition in the plane of most variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of, own_look
from netbuild.plots.averages import Averaged, averaged, legend_of
from netbuild.plots.drawing import (
    GREY,
    Columns,
    Drawing,
    Table,
    figure_of,
    open_frame,
    unusable,
)
from netbuild.plots.panels import new_panels
from netbuild.plots.plane import Plane, principal_plane
from netbuild.results.activity import Activity
from netbuild.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
COLUMNS = 3


@own_look
def trajectories(
    source: Run | Activity,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    units: str | None = None,
    condition: str | None = None,
    align: str | None = None,
    environment: str | None = None,
    trials: int = 500,
    plane: Plane | None = None,
) -> Drawing:
    """Rates averaged by condition, in the plane of their first two principal components.

    A circle is where the paths begin, a square where each ends; the axes say how much of the
    variance of the averages they hold. A step at which fewer than half of a condition's trials go
    on is not drawn. Of several environments each has a panel, all in one plane.

    Args:
        source: a run, or its activity.
        ax: one Axes, for one environment; without it each environment has its own.
        layer: the first one when left out.
        units: a selection of the layer's units, e.g. `kind=motor`, as `Units.where` reads it; the
            plane is then that of their rates.
        condition: a variable of the trials; the coherence, signed, when left out, or the right
            choice. An environment without the variable has one path, of all its trials.
        align: the period from whose start time is counted; `stimulus` when left out.
        environment: one of several, all when left out.
        trials: of a run, how many, of all environments together.
        plane: to draw in, as `principal_plane` gives it; that of these averages when left out.

    Returns the figure and a row a point: environment (where there are several), condition,
    time, pc1, pc2. Raises NetbuildError (exit 2) for networks without time, for what is not there,
    and for several environments in one `ax`.
    """
    activity = source.activity(trials) if isinstance(source, Run) else source
    parts = averaged(
        activity,
        trials,
        environment=environment,
        layer=layer,
        condition=condition,
        align=align,
        one=ax is not None,
    )
    if units is not None:
        here = activity.units[parts[0].layer].where(units)
        parts = [part._replace(rates=part.rates[..., here], units=units) for part in parts]
    count = parts[0].rates.shape[-1]
    if count < 2:
        what = f"`{units}` is one unit" if units else f"layer `{parts[0].layer}` has one unit"
        raise unusable(f"{what}, which makes no plane")
    if plane is None:
        plane = principal_plane(np.concatenate([part.rates.reshape(-1, count) for part in parts]))
    columns = min(COLUMNS, len(parts))
    places = new_panels(len(parts), columns, 4.0, 3.1) if ax is None else [ax]
    data = [_panel(place, part, plane) for place, part in zip(places, parts, strict=True)]
    if len(parts) > 1:  # one scale, so that panels can be compared
        ends = np.array([[place.get_xlim(), place.get_ylim()] for place in places])
        for place in places:
            place.set(xlim=_outer(ends[:, 0]), ylim=_outer(ends[:, 1]))
    return Drawing(figure_of(places[0]), Table(data))


def _panel(ax: Axes, found: Averaged, plane: Plane) -> Callable[[], Columns]:
    paths = plane.project(found.rates)
    begins = []
    for path, name, colour in zip(paths, found.names, found.colours, strict=True):
        here = np.flatnonzero(~np.isnan(path[:, 0]))
        ax.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.3, label=name_of(name))
        begins.append(path[here[0]])
        ax.plot(*path[here[-1]], "s", color=colour, markersize=4.5, zorder=3)
    middle = np.mean(begins, 0)
    ax.plot(*middle, "o", color="white", markeredgecolor=GREY, markersize=6, zorder=3)
    ax.set(
        xlabel=f"PC 1 ({plane.explained[0]:.0%} of variance)",
        ylabel=f"PC 2 ({plane.explained[1]:.0%} of variance)",
    )
    ax.set_title(f"{found.title}\n○ start, ■ end", fontsize="medium")
    ax.margins(0.08)
    open_frame(ax)
    ax.xaxis.set_major_formatter("{x:g}")
    legend_of(ax, found)
    return lambda: _columns(found, paths)


def _columns(found: Averaged, paths: Array) -> Columns:
    conditions, times = paths.shape[:2]
    return found.column(conditions * times) | {
        "condition": np.repeat(np.array(found.names), times),
        "time": np.tile(found.time, conditions),
        "pc1": paths[..., 0].ravel(),
        "pc2": paths[..., 1].ravel(),
    }


def _outer(ends: Array) -> tuple[float, float]:
    return float(ends[:, 0].min()), float(ends[:, 1].max())
