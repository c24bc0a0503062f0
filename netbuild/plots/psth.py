"""Rates against time, averaged by condition: of one unit, or of those of one sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.plots.averages import Averaged, activity_from, averaged
from netbuild.plots.drawing import (
    GREY,
    Drawing,
    Table,
    figure_of,
    legend_beside,
    new_figure,
    open_frame,
    stacked,
    unusable,
)
from netbuild.training import Run
from netbuild.training.activity import Activity
from netbuild.training.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
KINDS = {"excitatory": 1, "inhibitory": -1}


def rates(
    source: Run | Activity,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    units: str | None = None,
    condition: str | None = None,
    align: str | None = None,
    trials: int = 500,
) -> Drawing:
    """Average rates of each condition against time, with the boundaries of the periods.

    Args:
        source: a run, or its activity.
        ax: one Axes; without it there is a panel for the excitatory and one for the inhibitory
            units, where a layer has both.
        layer: the first one when left out.
        units: `excitatory`, `inhibitory`, an area's name (the mean of such units), or one unit's
            name, e.g. `hidden_17`. The mean of all when left out.
        condition, align, trials: as of `trajectories`.

    Returns the figure and a row a point: units, condition, time, rate. Raises NetbuildError
    (exit 2) for networks without time, and for what is not there.
    """
    activity = activity_from(source, trials)
    found = averaged(activity, layer, condition, align)
    labels = activity.units[found.layer]
    panels: Sequence[str | None] = [units]
    if ax is None and units is None and {1, -1} <= set(labels.sign.tolist()):
        panels = list(KINDS)
    if ax is None:
        figure = new_figure(4.0, 2.0 * len(panels) + 0.6)
        all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0].tolist()
    else:
        all_axes = [ax]
    parts = [_panel(a, found, labels, chosen) for a, chosen in zip(all_axes, panels, strict=True)]
    all_axes[-1].set_xlabel(f"time ({found.unit_of_time})")
    legend_beside(all_axes[0], found.label.replace("signed ", "signed\n"))
    return Drawing(figure_of(all_axes[0]), stacked(parts))


def _panel(ax: Axes, found: Averaged, labels: Units, units: str | None) -> Table:
    which, what = _chosen(found, labels, units)
    mean = found.rates[..., which].mean(-1)
    for line, name, colour in zip(mean, found.names, found.colours, strict=True):
        ax.plot(found.time, line, color=colour, linewidth=1.3, label=name)
    _mark_periods(ax, found)
    ax.set_ylabel(f"rate\n{what}")
    open_frame(ax)
    conditions, times = mean.shape
    return {
        "units": np.full(mean.size, units or "all"),
        "condition": np.repeat(np.array(found.names), times),
        "time": np.tile(found.time, conditions),
        "rate": mean.ravel(),
    }


def _chosen(found: Averaged, labels: Units, units: str | None) -> tuple[Array, str]:
    """(unit,) bool: which units are meant; and the words for them."""
    if units is None:
        return np.ones(len(labels.name), bool), f"mean of {len(labels.name)} units"
    if units in labels.name:
        return labels.name == units, units
    which = labels.sign == KINDS[units] if units in KINDS else labels.area == units
    if not which.any():
        hint = (
            f"`excitatory`, `inhibitory`, an area, or one of {labels.name[0]} .. {labels.name[-1]}"
        )
        raise unusable(f"layer `{found.layer}` has no unit called `{units}`", hint)
    return which, f"mean of {which.sum()} {units}"


def _mark_periods(ax: Axes, found: Averaged) -> None:
    """A line where a period begins, and the periods' names above the axes."""
    last = float(np.nanmax(np.where(np.isnan(found.rates).all((0, 2)), np.nan, found.time)))
    for name, (start, end) in found.periods.items():
        if start > found.time[0]:
            ax.axvline(start, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)
        wide = min(end, last) - start > 0.12 * (last - found.time[0])
        if not wide or not ax.get_subplotspec() or not ax.get_subplotspec().is_first_row():  # type: ignore[union-attr]
            continue
        middle = (start + min(end, last)) / 2
        place = ax.get_xaxis_transform()
        ax.text(middle, 1.02, name, transform=place, ha="center", fontsize="small", color=GREY)
