"""Rates against time, averaged by condition: of one unit, or of those of one sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of, own_look
from netbuild.plots.averages import LONGER, Averaged, averaged, legend_of
from netbuild.plots.drawing import (
    GREY,
    Columns,
    Drawing,
    Table,
    figure_of,
    open_frame,
)
from netbuild.plots.panels import Span, name_spans, new_panels
from netbuild.results.activity import Activity
from netbuild.results.units import Units
from netbuild.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
KINDS = ("excitatory", "inhibitory")  # a panel each


@own_look
def rates(
    source: Run | Activity,
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

    A line is where a period starts in every trial; a pale band holds all starts of one that starts
    earlier in some trials than in others.

    Args:
        source: a run, or its activity.
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
    labels = activity.units[parts[0].layer]
    kinds: Sequence[str | None] = [units]
    if ax is None and units is None and {1, -1} <= set(labels.sign.tolist()):
        kinds = KINDS
    panels = [(part, kind) for part in parts for kind in kinds]
    grid = _grid(len(parts), len(kinds)) if ax is None else [ax]
    data = [_panel(a, part, labels, kind) for a, (part, kind) in zip(grid, panels, strict=True)]
    for i, (place, (part, _)) in enumerate(zip(grid, panels, strict=True)):
        first, last = i % len(kinds) == 0, i % len(kinds) == len(kinds) - 1
        one_column = len(parts) == 1
        if last or not one_column:
            place.set_xlabel(part.time_label)
        if first or not one_column:
            _head(place, part, titled=first)
        if first if one_column else last:
            legend_of(place, part)
    return Drawing(figure_of(grid[0]), Table(data))


def _grid(environments: int, kinds: int) -> list[Axes]:
    """A row for each environment, or, of one alone, a row for each kind of units."""
    if environments == 1:
        return new_panels(kinds, 1, 4.0, 2.0, 0.8, sharex=True)
    return new_panels(environments * kinds, kinds, 4.0, 2.6, sharex="row")


def _head(ax: Axes, found: Averaged, *, titled: bool) -> None:
    """The periods' names above an axis, and above them what is averaged."""
    spans = [seen for p in found.periods if (seen := _seen(p.span, found)) is not None]
    height = name_spans(ax, spans, *ax.get_xlim())
    if titled:
        ax.set_title(found.title, fontsize="medium", pad=height + 5)


def _panel(ax: Axes, found: Averaged, labels: Units, units: str | None) -> Callable[[], Columns]:
    which, what = _chosen(labels, units)
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
            style = (0, (2, 2))
            ax.axvline(period.start, color=GREY, linewidth=0.7, linestyle=style, zorder=0)
    ax.set_ylabel(f"rate (a.u.)\n{name_of(what, LONGER)}")
    open_frame(ax)
    return lambda: _columns(found, mean, units or "all")


def _columns(found: Averaged, mean: Array, units: str) -> Columns:
    conditions, times = mean.shape
    return found.column(mean.size) | {
        "units": np.full(mean.size, units),
        "condition": np.repeat(np.array(found.names), times),
        "time": np.tile(found.time, conditions),
        "rate": mean.ravel(),
    }


def _seen(span: Span, found: Averaged) -> Span | None:
    """The part of a span that is drawn."""
    first, last = found.seen
    start, end = max(span.start, first), min(span.end, last)
    return span._replace(start=start, end=end) if start < end else None


def _chosen(labels: Units, units: str | None) -> tuple[Array, str]:
    """(unit,) bool: which units are meant; and the words for them."""
    if units is None:
        return np.ones(len(labels.name), bool), f"mean of {len(labels.name)} units"
    which = labels.where(units)
    return which, f"mean of {which.sum()} {units}" if units not in labels.name else units
