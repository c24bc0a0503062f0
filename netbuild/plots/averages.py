"""Rates averaged by condition, in each environment by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of
from netbuild.errors import NetbuildError
from netbuild.plots.conditions import Condition, condition_of, grouped, shown
from netbuild.plots.drawing import colours, legend_beside, unusable
from netbuild.plots.panels import Span
from netbuild.results.activity import Activity
from netbuild.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
MOST_ENVIRONMENTS = 24  # that have a panel each
# After the coherence: what is right, as an untrained network may always choose the same.
FALLBACKS = ("answer", "choice")
MOST_NAMES = 9  # in one column of a legend
LONGER = 60  # letters of names that have more room
CROWDED = 20  # names, above which every second one is left out


class Averaged(NamedTuple):
    """A layer's rates by condition, where at least half of the condition's trials go on."""

    environment: str  # "" where the trials are not of several
    layer: str
    label: str  # of the variable; "" where nothing tells the trials apart
    names: list[str]  # of the conditions
    colours: list[Any]
    rates: Array  # (condition, time, unit), NaN where too few trials go on
    time: Array  # (time,)
    time_label: str
    periods: list[Period]
    trials: int  # in the averages
    units: str = ""  # which of the layer's, where not all

    @property
    def title(self) -> str:
        """What is averaged."""
        environment = f"{name_of(self.environment)}: " if self.environment else ""
        units = f" {name_of(self.units, LONGER)}" if self.units else ""
        return f"{environment}{name_of(self.layer)}{units}, {self.trials} trials"

    def column(self, rows: int) -> dict[str, Array]:
        """The environment as a column of a table, where there are several."""
        return {"environment": np.full(rows, self.environment)} if self.environment else {}

    @property
    def seen(self) -> tuple[float, float]:
        """The first and the last time at which there is an average."""
        times = self.time[~np.isnan(self.rates).all((0, 2))]
        return float(times[0]), float(times[-1])

    @property
    def heading(self) -> str:
        """The variable, over the names of the conditions."""
        return name_of(self.label).replace("signed ", "signed\n").replace(" − ", " −\n")


class Period(NamedTuple):
    """A period of the trials, in the time of the figure."""

    name: str
    start: float
    latest: float  # start, of any trial
    end: float  # the latest one

    @property
    def span(self) -> Span:
        """Where its name belongs: over all of it, or over the times at which it may start."""
        if self.latest > self.start:
            return Span(f"{name_of(self.name)} starts", self.start, self.latest)
        return Span(name_of(self.name), self.start, self.end)


def averaged(
    source: Run | Activity,
    trials: int,
    *,
    environment: str | None,
    layer: str | None,
    condition: str | None,
    align: str | None,
    one: bool,
) -> list[Averaged]:
    """Averages by a variable, in time from a period's start, one of each environment.

    Without a name the variable is the coherence, else the right choice; the alignment is to
    `stimulus` where all trials have one, else to their start. Where environments are together, one
    without the variable or period that is named is averaged over all trials, or from their start.
    Raises NetbuildError (exit 2) for what none has, and for several environments if only `one`
    can be drawn.
    """
    activity = source.activity(trials) if isinstance(source, Run) else source
    if activity.time is None:
        raise unusable("this network has no time: a task with whole trials gives it some")
    name = next(iter(activity)) if layer is None else layer
    if name not in activity:
        raise unusable(f"there is no layer `{name}`", f"there are {', '.join(activity)}")
    parts = _environments(activity, environment, whole=condition == "environment")
    if one and len(parts) > 1:
        what = f"one panel cannot show {len(parts)} environments"
        raise unusable(what, f"`environment` names one of {', '.join(parts)}")
    conditions = {kind: _condition(part, condition) for kind, part in parts.items()}
    if condition is not None and not any(conditions.values()):
        condition_of(next(iter(parts.values())).trials, condition)  # says what there is
    aligns = {kind: _alignment(part, align) for kind, part in parts.items()}
    if align is not None and not any(aligns.values()):
        known = ", ".join(dict.fromkeys(p for part in parts.values() for p in part.periods))
        raise unusable(f"trials have no period `{align}`", f"there are {known or 'none'}")
    return [
        _averaged(kind, part, name, conditions[kind], aligns[kind]) for kind, part in parts.items()
    ]


def _environments(activity: Activity, name: str | None, *, whole: bool) -> dict[str, Activity]:
    """The activity of each environment that is drawn, by its name; of one alone it is ""."""
    column = activity.trials.get("environment", np.full(len(activity.inputs), ""))
    kinds = [str(kind) for kind in np.unique(column)]
    if name is not None and name not in kinds:
        known = ", ".join(kinds)
        hint = f"there are {known}" if known else "these trials tell of none"
        raise unusable(f"there is no environment `{name}`", hint)
    if len(kinds) == 1 or (name is None and whole):
        return {"": activity}
    chosen = kinds if name is None else [name]
    if len(chosen) > MOST_ENVIRONMENTS:
        what = f"{len(chosen)} environments are more than the {MOST_ENVIRONMENTS} that are drawn"
        raise unusable(what, f"`environment` names one of {', '.join(chosen)}")
    return {kind: activity.where(column == kind) for kind in chosen}


def _condition(activity: Activity, name: str | None) -> Condition | None:
    """The variable that is named, or the first that tells trials apart; None for what is not."""
    try:
        found = condition_of(activity.trials, name)
    except NetbuildError:
        return None
    if found is not None or name is not None:
        return found
    known = (condition_of(activity.trials, word) for word in FALLBACKS if word in activity.trials)
    return next((one for one in known if one and not np.isnan(one.values).all()), None)


def _alignment(activity: Activity, name: str | None) -> str | None:
    known = (*activity.periods, "answer")
    if name is not None:
        return name if name in known and f"{name}_start" in activity.trials else None
    all_have = "stimulus" in known and (activity.trials["stimulus_start"] >= 0).all()
    return "stimulus" if all_have else None


def _averaged(
    environment: str, activity: Activity, layer: str, found: Condition | None, align: str | None
) -> Averaged:
    values = np.zeros(len(activity.inputs)) if found is None else grouped(found.values)
    mean = activity.mean_by(values, align=align)
    assert mean.time is not None
    if not len(mean.conditions):
        what = "period" if found is None else found.label
        raise unusable(f"no trial of {environment or 'these'} has a value of {what}")
    enough = mean.counts * 2 >= mean.counts.max(1, keepdims=True)
    return Averaged(
        environment,
        layer,
        "" if found is None else found.label,
        ["all trials"] if found is None else [shown(value) for value in mean.conditions],
        colours(mean.conditions),
        np.where(enough[..., None], mean.rates[layer], np.nan),
        mean.time,
        f"time from {align or 'trial start'} ({'steps' if activity.dt is None else 'ms'})",
        _periods(activity, align),
        int(mean.trials.sum()),
    )


def _periods(activity: Activity, align: str | None) -> list[Period]:
    """Where the periods begin and end, in the time of the figure."""
    dt = 1.0 if activity.dt is None else activity.dt
    zero = np.zeros(len(activity.inputs)) if align is None else activity.trials[f"{align}_start"]
    found = []
    for name in activity.periods:
        begins, ends = (activity.trials[f"{name}_{edge}"] for edge in ("start", "end"))
        here = (begins >= 0) & (zero >= 0) & (ends > begins)
        if here.any():
            starts, stops = ((part - zero)[here] * dt for part in (begins, ends))
            first, latest = float(starts.min()), float(starts.max())
            if not begins[here].any():  # the trial itself, which needs no line
                latest = first
            found.append(Period(name, first, latest, float(stops.max())))
    return found


def legend_of(ax: Axes, found: Averaged) -> None:
    """The conditions beside an axis; of very many every second one or fewer."""
    handles, names = ax.get_legend_handles_labels()
    legend_beside(ax, found.heading)
    step = -(-len(names) // CROWDED)
    if len(names) > MOST_NAMES:
        ax.legend(
            handles[::step],
            names[::step],
            title=found.heading or None,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.03),
            ncols=-(-len(names[::step]) // MOST_NAMES),
            frameon=False,
            fontsize="x-small",
            title_fontsize="small",
            handlelength=1.0,
            columnspacing=0.8,
            labelspacing=0.3,
            borderaxespad=0.3,
        )
