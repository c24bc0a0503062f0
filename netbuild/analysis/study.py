"""The fixed points of a network that has learnt a task: which inputs to hold, where to start.

B trials, T time, I inputs, N units, C conditions, S starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.analysis.fixed_points import FixedPoints, fixed_points
from netbuild.analysis.pca import PCA, pca
from netbuild.analysis.trajectories import Trajectories, recurrent_layers, trajectories
from netbuild.layers import Network
from netbuild.streams import rng_of
from netbuild.tasks import Batch

DEFAULT_PERIOD = "stimulus"
MOST_CONDITIONS = 32


@dataclass(frozen=True)
class Study:
    """Fixed points of one layer, and what they were found from."""

    layer: str
    formulation: str
    period: str
    """The period of the trials whose inputs were averaged; "" is all of it, or given inputs."""
    labels: tuple[str, ...]
    """(C,) a name for each condition, as "coh=6.4"."""
    which: NDArray[np.int64]
    """(B,) the condition of each trial, -1 where inputs were given."""
    points: FixedPoints
    trajectories: Trajectories
    """The trials that the starts were drawn from."""
    within: NDArray[np.bool_]
    """(B, T): which steps are of a trial, and not of its padding."""
    trials: Mapping[str, Any] | None
    """The trials' own variables, (B,) each."""

    @cached_property
    def plane(self) -> PCA:
        """The first two principal components of all states of all trials; one, of one unit."""
        states = self.trajectories.states.cpu()[torch.from_numpy(self.within)]
        return pca(states, min(2, states.shape[1]))


def study(
    network: Network,
    batch: Batch,
    *,
    layer: str | None = None,
    period: str | None = None,
    condition: Sequence[str] = (),
    inputs: Tensor | None = None,
    starts: int = 256,
    seed: int = 0,
    **settings: Any,
) -> Study:
    """Find the fixed points of a recurrent layer under the inputs of a task.

    Args:
        network: the network.
        batch: trials, as `run.batch(256)` gives them.
        layer: the recurrent layer; the first one when left out.
        period: the period of a trial whose inputs are averaged and then held: `stimulus` when left
            out, and the whole trial where there is none of that name.
        condition: variables of the trials, such as `coh`: one input, and one set of points, for
            each combination of their values.
        inputs: (C, I), what the layer is to read, instead of averages.
        starts: how many states to start from in each condition, drawn from all steps of all
            trials.
        seed: of that draw.
        **settings: those of `fixed_points`.

    Raises:
        ValueError: no recurrent layer, a period, variable or layer that is not there, more than 32
            conditions, inputs of another width, and what `fixed_points` raises.
    """
    layers = recurrent_layers(network)
    if not layers:
        raise ValueError("the network has no recurrent layer")
    name = next(iter(layers)) if layer is None else layer
    seen = trajectories(network, name, batch.inputs.to(next(network.parameters()).device))
    trials = batch.trials or {}
    within = _within(seen, trials)
    if inputs is None:
        period = _period(trials) if period is None else period
        labels, u, which = _averages(seen.inputs, _steps(period, trials, within), condition, trials)
    elif period is not None or condition:
        raise ValueError("given inputs are of no period and no condition")
    elif inputs.ndim != 2 or inputs.shape[1] != layers[name].input_dim:
        expected = f"(conditions, {layers[name].input_dim})"
        raise ValueError(f"inputs must be {expected}; got {tuple(inputs.shape)}")
    else:
        period, u, which = "", inputs.to(seen.inputs.device), np.full(len(within), -1)
        labels = [", ".join(f"{value:g}" for value in row) for row in inputs.tolist()]
    labels, u, which = _distinct(labels, u, which)
    x = _drawn(seen.states, within, starts, seed)
    found = fixed_points(
        layers[name], u.repeat_interleave(len(x), 0), x.repeat(len(u), 1), **settings
    )
    return Study(
        name,
        layers[name].formulation,
        period,
        tuple(labels),
        which,
        found,
        seen,
        within,
        batch.trials,
    )


def _within(seen: Trajectories, trials: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(B, T): steps of a trial, without its padding."""
    count, time = seen.states.shape[:2]
    steps = np.asarray(trials.get("steps", np.full(count, time)))
    return np.arange(time) < steps[:, None]


def _period(trials: Mapping[str, Any]) -> str:
    return DEFAULT_PERIOD if f"{DEFAULT_PERIOD}_start" in trials else ""


def _steps(period: str, trials: Mapping[str, Any], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(B, T): the steps of a period, "" being the whole trial."""
    if not period:
        return within
    if f"{period}_start" not in trials:
        known = [name.removesuffix("_start") for name in trials if name.endswith("_start")]
        known = [name for name in known if name != "answer"]
        raise ValueError(f"trials have no period {period!r}; there are: {_listed(known)}")
    start, end = (np.asarray(trials[f"{period}_{edge}"])[:, None] for edge in ("start", "end"))
    step = np.arange(within.shape[1])
    return within & (start <= step) & (step < end)


def _averages(
    u: Tensor, steps: NDArray[np.bool_], condition: Sequence[str], trials: Mapping[str, Any]
) -> tuple[list[str], Tensor, NDArray[np.int64]]:
    """The mean input of each combination of values, (C, I); their names; that of each trial."""
    for name in condition:
        if name not in trials or np.asarray(trials[name]).ndim != 1:
            raise ValueError(f"trials have no variable {name!r}; there are: {_listed(trials)}")
    columns = [np.asarray(trials[name]).tolist() for name in condition]
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(u)
    present = {rows[trial] for trial in np.flatnonzero(steps.any(1))}
    combinations = sorted(row for row in present if not any(map(is_missing, row)))
    if not combinations:
        raise ValueError("no trial has a step of that period")
    if len(combinations) > MOST_CONDITIONS:
        what = f"{' and '.join(condition)} have {len(combinations):,} combinations of values"
        raise ValueError(f"{what}; at most {MOST_CONDITIONS} are looked at")
    places = {values: place for place, values in enumerate(combinations)}
    which = np.array([places.get(row, -1) for row in rows])
    means = [
        u[torch.from_numpy(steps & (which == place)[:, None]).to(u.device)].double().mean(0)
        for place in places.values()
    ]
    labels = [
        ", ".join(f"{name}={_short(value)}" for name, value in zip(condition, values, strict=True))
        for values in combinations
    ]
    return [label or "mean input" for label in labels], torch.stack(means), which


def _distinct(
    labels: list[str], u: Tensor, which: NDArray[np.int64]
) -> tuple[list[str], Tensor, NDArray[np.int64]]:
    """Conditions in which the layer reads the same are one."""
    found: dict[tuple[float, ...], list[int]] = {}
    for place, row in enumerate(u.tolist()):
        found.setdefault(tuple(row), []).append(place)
    new = np.full(len(labels) + 1, -1)  # the last one is that of -1
    for place, group in enumerate(found.values()):
        new[group] = place
    names = [" or ".join(labels[place] for place in group) for group in found.values()]
    return names, u[[group[0] for group in found.values()]], new[which]


def _drawn(states: Tensor, within: NDArray[np.bool_], starts: int, seed: int) -> Tensor:
    """States of all trials and steps, (S, N), fewer than asked for where there are no more."""
    flat = np.flatnonzero(within)
    rng = rng_of(seed, "fixed points")
    chosen = rng.choice(flat, size=min(starts, len(flat)), replace=False)
    return states.flatten(0, 1)[torch.from_numpy(chosen).to(states.device)]


def is_missing(value: object) -> bool:
    """Whether a value of a trial's variable says that there is none: NaN, or "" of text."""
    return value != value or value == ""


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
