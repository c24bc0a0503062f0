"""Which variable tells trials apart, and on which side of zero its values are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.plots.drawing import unusable
from netbuild.tasks import right_choices

Array = NDArray[Any]
MOST = 24  # different values that are drawn as they are; more are put together
BINS = 8


class Condition(NamedTuple):
    """A variable of the trials as figures use it."""

    label: str  # "signed coh (%)"
    values: Array  # (trial,)
    signed: bool  # its sign was given to it by the right choice
    unit: str = ""  # of its values; "" where it is not known


def condition_of(trials: Mapping[str, Array], name: str | None = None) -> Condition | None:
    """A variable of the trials; without a name the coherence, None where there is none.

    Coherences, `coh` and `coh_1` and the like, are strengths: they get the sign of the choice that
    they speak for, positive for the second one. Other variables, and coherences that have negative
    values, are taken as they are; `v1-v2` is the difference of two. Raises NetbuildError (exit 2)
    for a variable that is not there.
    """
    if name is None:
        found = [n for n in trials if re.fullmatch(r"coh(_\d+)?", n)]
        if not found:
            return None
        name = found[0]
    first, _, second = name.partition("-")
    parts = [trials[part] for part in (first, second) if part in trials]
    if name not in trials and len(parts) == 2 and all(part.dtype.kind in "biuf" for part in parts):
        return Condition(f"{first} − {second}", parts[0].astype(float) - parts[1], False)
    if name not in trials:
        raise unusable(f"these trials have no variable `{name}`", f"there are {', '.join(trials)}")
    values = trials[name]
    if values.dtype.kind not in "biuf":
        return Condition(name, values, False)
    values = right_choices(values) if name == "answer" else values.astype(float)
    side = _sides(trials, name)
    if re.fullmatch(r"coh(_\d+)?", name) and side is not None and not (values < 0).any():
        return Condition(f"signed {name} (%)", values * side + 0.0, True, "%")
    return Condition(name, values, False)


def _sides(trials: Mapping[str, Array], name: str) -> Array | None:
    """As `_side`, in each environment by itself: they may number their choices differently."""
    kinds = trials.get("environment", np.zeros(len(trials[name])))
    found = np.full(len(kinds), np.nan)
    for kind in np.unique(kinds):
        here = kinds == kind
        known = trials[name][here].astype(float)
        side = _side({n: values[here] for n, values in trials.items()}, name)
        if side is None and not np.isnan(known).all():
            return None
        found[here] = np.nan if side is None else side
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
    """The numbers that trials differ in, without those that say how long they are or what was
    right and chosen.
    """
    own = re.compile(r"steps|sample|answer|target|choice|correct|loss|.*_(start|end)")
    return [
        name
        for name, values in trials.items()
        if values.dtype.kind in "biuf" and len(np.unique(values)) > 1 and not own.fullmatch(name)
    ]


def grouped(values: Array, bins: int = BINS) -> Array:
    """Values as few different ones: where there are more than 24, the means of equal parts."""
    if values.dtype.kind not in "iuf" or len(np.unique(values)) <= MOST:
        return values
    known = ~np.isnan(values)
    edges = np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1])
    which = np.digitize(values, edges)
    found = np.full(len(values), np.nan)
    for part in np.unique(which[known]):
        chosen = known & (which == part)
        found[chosen] = values[chosen].mean()
    return found


def shown(value: Any) -> str:
    """A condition's value in a legend."""
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)
