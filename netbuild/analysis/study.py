"""The fixed points of a network that has learnt a task: its constant inputs, and where to start.

B trials, T time, I inputs, N units, C conditions, S starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netbuild.analysis.fixed_points import FixedPoints, distinct, fixed_points
from netbuild.analysis.pca import PCA, pca
from netbuild.layers import Network, evaluating
from netbuild.layers.ctrnn import CTRNNLayer
from netbuild.results.activity import is_missing
from netbuild.streams import rng_of
from netbuild.tasks import Batch

DEFAULT_PERIOD = "stimulus"
MOST_CONDITIONS = 32


class Trajectories(NamedTuple):
    """The inputs and states of one recurrent layer in some trials."""

    inputs: Tensor
    """(B, T, I): what the layer reads."""
    states: Tensor
    """(B, T, N): the potentials v in the formulation `current`, the rates r in others."""


def recurrent_layers(network: Network) -> dict[str, CTRNNLayer]:
    """The recurrent layers of a network, by name, in order."""
    return {
        name: module for name, module in network.named_children() if isinstance(module, CTRNNLayer)
    }


def trajectories(network: Network, layer: str, x: Tensor) -> Trajectories:
    """Run a network without noise on x, (B, T, input), and record one of its recurrent layers.

    The network's modes and gradients are left as they were.

    Raises:
        ValueError: no such recurrent layer.
    """
    module = recurrent_layers(network).get(layer)
    if module is None:
        known = ", ".join(recurrent_layers(network)) or "none"
        raise ValueError(f"no recurrent layer {layer!r}; there are: {known}")
    read: list[Tensor] = []

    def listen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        read.append(given[0])

    with evaluating(network):
        hook = module.register_forward_pre_hook(listen)
        try:
            network(x)
        finally:
            hook.remove()
        return Trajectories(read[0], _states(module, read[0]))


def _states(layer: CTRNNLayer, u: Tensor) -> Tensor:
    """(B, T, I) to the states after each step, (B, T, N)."""
    params, state = layer.parameters_of_step(), layer.initial(len(u))
    states = u.new_empty((*u.shape[:2], layer.size))
    for t in range(u.shape[1]):
        state = layer.step(u[:, t], state, params)
        states[:, t] = state.rate if state.potential is None else state.potential
    return states


@dataclass(frozen=True)
class Study:
    """Fixed points of one layer, and the trials that they were found from."""

    layer: str
    formulation: str
    period: str
    """The period of the trials whose inputs were averaged; "" for whole trials, or given inputs."""
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
        period: the period of a trial whose mean input is kept constant: `stimulus` when left out,
            and the whole trial where no period has that name.
        condition: variables of the trials, such as `coh`: one input, and one set of points, for
            each combination of their values.
        inputs: (C, I), the constant inputs of the layer, in place of averages.
        starts: how many states to start from in each condition, drawn from all steps of all
            trials.
        seed: of that draw.
        **settings: those of `fixed_points`.

    Raises:
        ValueError: no recurrent layer, an unknown period, variable or layer, more than 32
            conditions, inputs of another width, and what `fixed_points` raises.
    """
    layers = recurrent_layers(network)
    if not layers:
        raise ValueError("the network has no recurrent layer")
    name = next(iter(layers)) if layer is None else layer
    seen = trajectories(network, name, batch.inputs.to(next(network.parameters()).device))
    trials = batch.trials or {}
    count, time = seen.states.shape[:2]
    within = np.arange(time) < np.asarray(trials.get("steps", np.full(count, time)))[:, None]
    if inputs is None:
        if period is None:
            period = DEFAULT_PERIOD if f"{DEFAULT_PERIOD}_start" in trials else ""
        names, u, which = _averages(seen.inputs, _steps(period, trials, within), condition, trials)
    elif period is not None or condition:
        raise ValueError("give either inputs, or a period and conditions whose inputs to average")
    else:
        period, which = "", np.full(count, -1)
        names, u = _given(inputs.to(seen.inputs.device), layers[name].input_dim)
    labels, u, which = _distinct(names, u, which)
    x = _drawn(seen.states, within, starts, seed)
    points = fixed_points(
        layers[name], u.repeat_interleave(len(x), 0), x.repeat(len(u), 1), **settings
    )
    formulation = layers[name].formulation
    return Study(name, formulation, period, labels, which, points, seen, within, batch.trials)


def _given(inputs: Tensor, width: int) -> tuple[list[str], Tensor]:
    """A name for each of the given inputs (C, I), and the inputs."""
    if inputs.ndim != 2 or inputs.shape[1] != width:
        raise ValueError(f"inputs must be (conditions, {width}); got {tuple(inputs.shape)}")
    return [", ".join(f"{value:g}" for value in row) for row in inputs.tolist()], inputs


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
    columns = [np.asarray(trials[name]) for name in condition]
    values = [column.tolist() for column in columns]
    rows = list(zip(*values, strict=True)) if columns else [()] * len(u)
    known = steps.any(1)
    for column in columns:
        known &= ~is_missing(column)
    combinations = sorted({rows[trial] for trial in np.flatnonzero(known)})
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
    names: list[str], u: Tensor, which: NDArray[np.int64]
) -> tuple[tuple[str, ...], Tensor, NDArray[np.int64]]:
    """Conditions in which the layer reads the same input are merged into one."""
    inputs, merged = distinct(u)
    new = merged.cpu().numpy()
    labels = tuple(
        " or ".join(name for name, place in zip(names, new, strict=True) if place == i)
        for i in range(len(inputs))
    )
    return labels, inputs, np.where(which < 0, -1, new[which])


def _drawn(states: Tensor, within: NDArray[np.bool_], starts: int, seed: int) -> Tensor:
    """`starts` of the states of all trials and steps, (S, N); all of them if there are fewer."""
    flat = np.flatnonzero(within)
    rng = rng_of(seed, "fixed points")
    chosen = rng.choice(flat, size=min(starts, len(flat)), replace=False)
    return states.flatten(0, 1)[torch.from_numpy(chosen).to(states.device)]


def labelled(study: Study, dt: float | None = None) -> dict[str, NDArray[Any]]:
    """All results by name, as arrays that can be saved without pickle.

    `states`, `rates` (point, unit); `q`, `speed`, `fixed`, `starts`, `stability`, `unstable`,
    `kinks`, `condition` (point,); `jacobians` (point, unit, unit), where the last axis is the unit
    that moves others; `multipliers`, `time_constants`, `frequencies` (point, unit); `inputs`
    (condition, input); `condition_labels`, `lost`, `lost_q` (condition,); `pca_mean` (unit,),
    `pca_components` (component, unit), `pca_explained` (component,); `layer`, `formulation`,
    `period`, `time_unit` (); `dt` ().

    With `dt` times are in ms and frequencies in turns a ms, else in steps.
    """
    points, plane = study.points, study.plane
    step = 1.0 if dt is None else dt
    found = {field.name: getattr(points, field.name) for field in fields(points)}
    found |= {"speed": points.speed, "unstable": points.unstable}
    found |= {"time_constants": points.time_constants(step)}
    found |= {"frequencies": points.frequencies(step)}
    found |= {f"pca_{name}": values for name, values in plane._asdict().items()}
    found |= {"condition_labels": study.labels, "period": study.period, "layer": study.layer}
    found |= {"formulation": study.formulation, "time_unit": "step" if dt is None else "ms"}
    arrays = {
        name: value.numpy() if isinstance(value, Tensor) else np.array(value, dtype=np.str_)
        for name, value in found.items()
    }
    return arrays | {"dt": np.array(step)}


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
