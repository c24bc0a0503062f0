"""What figures of activity show: rates averaged by a condition, for each environment separately."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of
from netbuild.drawing.panels import LONGER, Span, colours
from netbuild.errors import NetbuildError
from netbuild.results.activity import Activity
from netbuild.results.units import unusable
from netbuild.tasks import right_choices

Array = NDArray[Any]
MOST_VALUES = 24  # of a condition; where there are more, neighbours are put together
BINS = 8
MOST_ENVIRONMENTS = 24  # that have a panel each
# The conditions of trials without coherences. The right choice comes first, since an untrained
# network may make the same choice in every trial.
FALLBACKS = ("answer", "choice")


class Condition(NamedTuple):
    """A variable of the trials as figures use it."""

    label: str  # "signed coh (%)"
    values: Array  # (trial,)
    unit: str = ""  # "%" of coherences that have the sign of the choice they speak for


def condition_of(trials: Mapping[str, Array], name: str | None = None) -> Condition | None:
    """A variable of the trials; without a name the coherence, None where there is none.

    Coherences, `coh` and `coh_1` and the like, are strengths: they get the sign of the choice that
    they speak for, positive for the second one. Other variables, and coherences that have negative
    values, are taken as they are; `v1-v2` is the difference of two. Raises NetbuildError (exit 2)
    for a variable that is not there.
    """
    if name is None:
        name = next((n for n in trials if re.fullmatch(r"coh(_\d+)?", n)), None)
        if name is None:
            return None
    first, _, second = name.partition("-")
    parts = [trials[part] for part in (first, second) if part in trials]
    if name not in trials and len(parts) == 2 and all(part.dtype.kind in "biuf" for part in parts):
        return Condition(f"{first} − {second}", parts[0].astype(float) - parts[1])
    if name not in trials:
        raise unusable(f"these trials have no variable `{name}`", f"there are {', '.join(trials)}")
    values = trials[name]
    if values.dtype.kind not in "biuf":
        return Condition(name, values)
    values = right_choices(values) if name == "answer" else values.astype(float)
    side = _sides(trials, name)
    if re.fullmatch(r"coh(_\d+)?", name) and side is not None and not (values < 0).any():
        return Condition(f"signed {name} (%)", values * side + 0.0, "%")
    return Condition(name, values)


def _sides(trials: Mapping[str, Array], name: str) -> Array | None:
    """As `_side`, for each environment: they may number their choices differently."""
    kinds = trials.get("environment", np.zeros(len(trials[name])))
    found = np.full(len(kinds), np.nan)
    for kind in np.unique(kinds):
        here = kinds == kind
        side = _side({n: values[here] for n, values in trials.items()}, name)
        if side is not None:
            found[here] = side
        elif not np.isnan(trials[name][here].astype(float)).all():
            return None
    return found


def _side(trials: Mapping[str, Array], name: str) -> Array | None:
    """(trial,) -1 or 1: which of two choices a coherence speaks for; None without two choices.

    Of two modalities with coherences `coh_1` and `coh_2`, that of the context speaks for the right
    choice and the other one for `other_choice`.
    """
    right = trials.get("ground_truth", trials.get("answer"))
    if right is None or right.dtype.kind not in "iuf":
        return None
    choices = np.unique(right[~np.isnan(right.astype(float))])
    if len(choices) != 2:
        return None
    meant = right
    modality = re.fullmatch(r"coh_([12])", name)
    if modality and {"context", "other_choice"} <= trials.keys():
        relevant = trials["context"] == int(modality[1]) - 1
        meant = np.where(relevant, right, trials["other_choice"])
    return np.where(meant == choices[1], 1.0, -1.0)


def variables(trials: Mapping[str, Array]) -> list[str]:
    """The numeric variables that may be a condition: those that differ between trials.

    Lengths, right answers and what the network made of a trial are none.
    """
    own = re.compile(r"steps|sample|answer|target|choice|correct|loss|.*_(start|end)")
    return [
        name
        for name, values in trials.items()
        if values.dtype.kind in "biuf" and len(np.unique(values)) > 1 and not own.fullmatch(name)
    ]


def grouped(values: Array, bins: int = BINS) -> Array:
    """Values as few different ones: where there are more than 24, the means of equal parts."""
    if values.dtype.kind not in "iuf" or len(np.unique(values)) <= MOST_VALUES:
        return values
    known = ~np.isnan(values)
    edges = np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1])
    which = np.digitize(values, edges)
    found = np.full(len(values), np.nan)
    for part in np.unique(which[known]):
        chosen = known & (which == part)
        found[chosen] = values[chosen].mean()
    return found


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)


# Averages


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


class Averaged(NamedTuple):
    """A layer's rates by condition, at times that at least half of the condition's trials reach."""

    environment: str  # "" where the trials are not of several
    layer: str
    label: str  # of the condition; "" where all trials are one condition
    names: list[str]  # of the condition's values
    colours: list[Any]
    rates: Array  # (value, time, unit), NaN where too few trials are that long
    time: Array  # (time,)
    time_label: str
    periods: list[Period]
    trials: int  # in the averages
    units: str = ""  # the selection of the layer's units, where not all are drawn

    @property
    def title(self) -> str:
        """What is averaged."""
        environment = f"{name_of(self.environment)}: " if self.environment else ""
        units = f" {name_of(self.units, LONGER)}" if self.units else ""
        return f"{environment}{name_of(self.layer)}{units}, {self.trials} trials"

    @property
    def seen(self) -> tuple[float, float]:
        """The first and the last time at which there is an average."""
        times = self.time[~np.isnan(self.rates).all((0, 2))]
        return float(times[0]), float(times[-1])

    @property
    def heading(self) -> str:
        """The condition, over the names of its values."""
        return name_of(self.label).replace("signed ", "signed\n").replace(" − ", " −\n")

    def columns(self, labels: Mapping[str, str], **values: Array) -> dict[str, Array]:
        """(value, time) arrays as columns of a table; every row has the same labels before them."""
        count, times = len(self.names), len(self.time)
        if self.environment:
            labels = {"environment": self.environment, **labels}
        return (
            {name: np.full(count * times, label) for name, label in labels.items()}
            | {"condition": np.repeat(np.array(self.names), times)}
            | {"time": np.tile(self.time, count)}
            | {name: array.ravel() for name, array in values.items()}
        )


def averaged(
    activity: Activity,
    layer: str | None,
    condition: str | None,
    align: str | None,
    environment: str | None,
    *,
    one: bool,
) -> list[Averaged]:
    """Averages by a variable, in time from a period's start, one of each environment.

    Without a name the variable is the coherence, else the right choice; the alignment is to
    `stimulus` where all trials have one, else to their start. Where environments are together, one
    without the variable or period that is named is averaged over all trials, or from their start.
    Raises NetbuildError (exit 2) for what none has, and for several environments if only `one`
    can be drawn.
    """
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
        condition_of(next(iter(parts.values())).trials, condition)  # raises, with what there is
    aligns = {kind: _alignment(part, align) for kind, part in parts.items()}
    if align is not None and not any(aligns.values()):
        known = ", ".join(dict.fromkeys(p for part in parts.values() for p in part.periods))
        raise unusable(f"trials have no period `{align}`", f"there are {known or 'none'}")
    return [
        _averaged(kind, part, name, conditions[kind], aligns[kind]) for kind, part in parts.items()
    ]


def _environments(activity: Activity, name: str | None, *, whole: bool) -> dict[str, Activity]:
    """The activity of each environment that is drawn, by its name; "" where there is only one."""
    column = activity.trials.get("environment", np.full(len(activity.inputs), ""))
    kinds = [str(kind) for kind in np.unique(column)]
    if name is not None and name not in kinds:
        raise no_environment(name, kinds)
    if len(kinds) == 1 or (name is None and whole):
        return {"": activity}
    chosen = kinds if name is None else [name]
    if len(chosen) > MOST_ENVIRONMENTS:
        what = f"{len(chosen)} environments are more than the {MOST_ENVIRONMENTS} that are drawn"
        raise unusable(what, f"`environment` names one of {', '.join(chosen)}")
    return {kind: activity.where(column == kind) for kind in chosen}


def no_environment(name: str, kinds: list[str]) -> NetbuildError:
    """The error of an environment that is none of those that there are."""
    known = ", ".join(kinds)
    hint = f"there are {known}" if known else "these trials do not say their environment"
    return unusable(f"there is no environment `{name}`", hint)


def _condition(activity: Activity, name: str | None) -> Condition | None:
    """The variable of that name, or the first one that differs between trials; None without any."""
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
        where = f" of {environment}" if environment else ""
        raise unusable(f"no trial{where} has a value of {what}")
    enough = mean.counts * 2 >= mean.counts.max(1, keepdims=True)
    return Averaged(
        environment,
        layer,
        "" if found is None else found.label,
        ["all trials"] if found is None else [_shown(value) for value in mean.conditions],
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
            if not begins[here].any():  # a period that is the whole trial needs no line
                latest = first
            found.append(Period(name, first, latest, float(stops.max())))
    return found
