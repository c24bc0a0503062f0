"""Rates against time, averaged by condition: of one unit, or of those of one sign."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import panels
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.plots.conditions import Averaged, averaged
from netbuild.results.activity import Activity
from netbuild.results.results import Results, results_of
from netbuild.results.run import Run
from netbuild.results.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
KINDS = ("excitatory", "inhibitory")  # a panel each


@own_look
def rates(
    source: Results | Run | Activity,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    units: str | None = None,
    condition: str | None = None,
    align: str | None = None,
    environment: str | None = None,
    trials: int = 500,
) -> Drawing:
    """Average rates of each condition against time, with the boundaries of the periods.

    A line is where a period starts in every trial; a pale band holds all starts of a period that
    starts earlier in some trials than in others.

    Args:
        source: a run, its results, or its activity.
        ax: one Axes, for one environment; without it there are panels for each environment, and
            for its excitatory and its inhibitory units, where a layer has both.
        layer: the first one when left out.
        units: a selection, of which the mean is drawn: `excitatory`, `inhibitory`, an area, one
            unit's name, e.g. `hidden_17`, or by a node table, `kind=motor`, as `Units.where` reads
            it. All when left out.
        condition, align, environment, trials: as of `trajectories`.

    Returns the figure and a row a point: environment (where there are several), units,
    condition, time, rate. Raises NetbuildError (exit 2) for networks without time, for what is not
    there, and for several environments in one `ax`.
    """
    activity = results_of(source).activity(trials)
    parts = averaged(activity, layer, condition, align, environment, one=ax is not None)
    labels = activity.units[parts[0].layer]
    kinds: Sequence[str | None] = [units]
    if ax is None and units is None and {1, -1} <= set(labels.sign.tolist()):
        kinds = KINDS
    alone = len(parts) == 1
    grid = iter(_grid(len(parts), len(kinds)) if ax is None else [ax])
    data = []
    for part, (i, kind) in product(parts, enumerate(kinds)):
        place = next(grid)
        data.append(_panel(place, part, labels, kind))
        first, last = i == 0, i == len(kinds) - 1
        if last or not alone:
            place.set_xlabel(part.time_label)
        if first or not alone:
            _head(place, part, titled=first)
        if (alone and first) or (last and not alone):
            panels.legend_beside(place, part.heading)
    return Drawing(panels.figure_of(place), Table(data))


def _grid(environments: int, kinds: int) -> list[Axes]:
    """A row for each environment, or, of one alone, a row for each kind of units."""
    if environments == 1:
        return panels.new_panels(kinds, 1, 4.0, 2.0, 0.8, sharex=True)
    return panels.new_panels(environments * kinds, kinds, 4.0, 2.6, sharex="row")


def _head(ax: Axes, found: Averaged, *, titled: bool) -> None:
    """The periods' names above an axis, and above them what is averaged."""
    first, last = found.seen
    spans = [
        panels.Span(name, max(start, first), min(end, last))
        for name, start, end in (period.span for period in found.periods)
        if max(start, first) < min(end, last)
    ]
    height = panels.name_spans(ax, spans, *ax.get_xlim())
    if titled:
        ax.set_title(found.title, fontsize="medium", pad=height + 5)


def _panel(ax: Axes, found: Averaged, labels: Units, units: str | None) -> Columns:
    which, words = _chosen(labels, units)
    mean = found.rates[..., which].mean(-1)
    for line, name, colour in zip(mean, found.names, found.colours, strict=True):
        ax.plot(found.time, line, color=colour, linewidth=1.3, label=name_of(name))
    first, last = found.seen
    ax.set_xlim(first, last)
    for period in found.periods:
        low, high = max(period.start, first), min(period.latest, last)
        if low < high:
            ax.axvspan(low, high, color="#ececec", linewidth=0, zorder=0)
        elif first < period.start == period.latest < last:
            ax.axvline(period.start, **panels.DASHED)
    ax.set_ylabel(f"rate (a.u.)\n{name_of(words, panels.LONGER)}")
    panels.open_frame(ax)
    return found.columns({"units": units or "all"}, rate=mean)


def _chosen(labels: Units, units: str | None) -> tuple[Array, str]:
    """(unit,) bool: the units that a selection means; and the words for them."""
    if units is None:
        return np.ones(len(labels.name), bool), f"mean of {len(labels.name)} units"
    which = labels.where(units)
    return which, f"mean of {which.sum()} {units}" if units not in labels.name else units
