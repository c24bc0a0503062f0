"""How well each unit tells two right choices apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError
from netbuild.results.activity import Activity
from netbuild.tasks import right_choices

Array = NDArray[Any]


def selectivity(activity: Activity, layer: str) -> Array:
    """(unit,): d' = (m1 - m0) / sqrt((s1^2 + s0^2) / 2) between trials of two right choices.

    m and s are mean and standard deviation, over trials, of a trial's mean rate in its period
    `stimulus`, or, where it has none, in all of it. Trials in which no choice is right are left
    out. 0 for a unit that never changes. Raises NetbuildError (exit 2) where there are other than
    two right choices.
    """
    given = activity.trials.get("answer", activity.trials.get("target"))
    if given is None or given.ndim != 1 or given.dtype.kind not in "biuf":
        raise NetbuildError("these trials have no right choices to select between", Exit.USAGE)
    right = right_choices(given)
    kinds = np.unique(right[~np.isnan(right)])
    if len(kinds) != 2:
        what = f"selectivity is between two right choices; these trials have {len(kinds)}"
        raise NetbuildError(what, Exit.USAGE)
    rates = activity[layer].astype(np.float64)
    if activity.steps is not None:
        inside = np.array(activity.mask)
        if "stimulus" in activity.periods:
            step = np.arange(rates.shape[1])
            start, end = (activity.trials[f"stimulus_{edge}"][:, None] for edge in ("start", "end"))
            seen = (start <= step) & (step < end) & inside
            inside = np.where(seen.any(1, keepdims=True), seen, inside)
        total = np.sum(rates, 1, where=inside[..., None])
        rates = total / inside.sum(1, keepdims=True)
    first, second = (rates[right == kind] for kind in kinds)
    difference = second.mean(0) - first.mean(0)
    spread = np.sqrt((first.var(0) + second.var(0)) / 2)
    spread = np.where(spread > 0, spread, np.inf)
    return np.asarray(difference / spread)
