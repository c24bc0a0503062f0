"""Rates averaged by condition, as trajectories and rates draw them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.plots.conditions import condition_of, grouped, shown
from netbuild.plots.drawing import colours, unusable
from netbuild.training import Run
from netbuild.training.activity import Activity

Array = NDArray[Any]


class Averaged(NamedTuple):
    """A layer's rates by condition, where at least half of the condition's trials go on."""

    layer: str
    label: str  # of the variable
    names: list[str]  # of the conditions
    colours: list[Any]
    rates: Array  # (condition, time, unit), NaN where too few trials go on
    time: Array  # (time,)
    unit_of_time: str
    periods: dict[str, tuple[float, float]]  # start and end of those that all trials share


def activity_from(source: Run | Activity, trials: int) -> Activity:
    """An activity as it is, or that of a run."""
    return source.activity(trials) if isinstance(source, Run) else source


def layer_of(activity: Activity, layer: str | None) -> str:
    """The layer that is drawn: the one that is named, or the first."""
    name = next(iter(activity)) if layer is None else layer
    if name not in activity:
        raise unusable(f"there is no layer `{name}`", f"there are {', '.join(activity)}")
    return name


def averaged(
    activity: Activity, layer: str | None, condition: str | None, align: str | None
) -> Averaged:
    """Averages by a variable, in time from a period's start; raises NetbuildError (exit 2).

    Without a name the variable is the coherence, else what is chosen, else the environment; the
    alignment is to `stimulus` where all trials have one, else to their start.
    """
    if activity.time is None:
        raise unusable("this network has no time: a task with whole trials gives it some")
    name = layer_of(activity, layer)
    found = condition_of(activity.trials, condition)
    for fallback in ("choice", "environment"):
        if found is None and fallback in activity.trials:
            found = condition_of(activity.trials, fallback)
    if found is None:
        known = ", ".join(activity.trials) or "none"
        raise unusable("nothing tells these trials apart", f"their variables are {known}")
    if align is None and "stimulus" in activity.periods:
        align = "stimulus" if (activity.trials["stimulus_start"] >= 0).all() else None
    try:
        mean = activity.mean_by(grouped(found.values), align=align)
    except ValueError as error:
        raise unusable(str(error)) from None
    assert mean.time is not None
    enough = mean.counts * 2 >= mean.counts.max(1, keepdims=True)
    rates = np.where(enough[..., None], mean.rates[name], np.nan)
    return Averaged(
        name,
        found.label,
        [shown(value) for value in mean.conditions],
        colours(mean.conditions),
        rates,
        mean.time,
        "steps" if activity.dt is None else "ms",
        _periods(activity, align),
    )


def _periods(activity: Activity, align: str | None) -> dict[str, tuple[float, float]]:
    """Where periods begin and end, in the time of the figure, if they do so in every trial."""
    dt = 1.0 if activity.dt is None else activity.dt
    zero = 0 if align is None else activity.trials[f"{align}_start"]
    found = {}
    for name in activity.periods:
        starts = np.unique(activity.trials[f"{name}_start"] - zero)
        ends = np.unique(activity.trials[f"{name}_end"] - zero)
        if len(starts) == len(ends) == 1:
            found[name] = float(starts[0] * dt), float(ends[0] * dt)
    return found
