"""Activity: the rate of every unit in the trials that are scored, with labels on every axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network, evaluating
from netbuild.results.export import dataset_of, load_npz, save_npz, write_netcdf
from netbuild.results.units import Units, units_from
from netbuild.tasks import Batch, right_choices
from netbuild.training.trials import plain

Array = NDArray[Any]
AT_ONCE = 2**26  # the most values of the activity that are computed at once
MOST_TRIALS = 256  # the most trials that are computed at once


@dataclass(frozen=True, eq=False, repr=False)
class Averages:
    """Rates averaged over the trials of each condition, without the padding."""

    conditions: Array  # (condition,): the values of the variable, in rising order
    rates: dict[str, Array]  # (condition, time, unit) float64; NaN where no trial has that step
    counts: Array  # (condition, time): the trials in each average
    trials: Array  # (condition,): the trials of each condition
    time: Array | None  # (time,): ms from the alignment, or steps without dt; None without time

    def __repr__(self) -> str:
        """The sizes of the arrays."""
        steps = [] if self.time is None else [f"{len(self.time)} steps"]
        layers = [f"{name}: {rates.shape[-1]} units" for name, rates in self.rates.items()]
        return f"Averages({', '.join([f'{len(self.conditions)} conditions', *steps, *layers])})"


@dataclass(frozen=True, eq=False, repr=False)
class Activity(Mapping[str, Array]):
    """Rates of every layer in evaluation trials; `activity["hidden"]` is `.rates["hidden"]`.

    The rate of step k, at k dt ms, is the rate after the input of that step was read. Short trials
    are followed by padding, where all arrays are NaN. Networks without time have arrays
    (trial, unit), and neither `time` nor `mask` nor `steps`.
    """

    rates: dict[str, Array]  # of each layer: (trial, time, unit) float32
    inputs: Array  # (trial, time, input) float32
    units: dict[str, Units]  # of each layer: names, areas, signs, columns, (unit,) each
    trials: dict[str, Array]  # variables, (trial,) each; also `choice` and `correct`
    steps: Array | None = None  # (trial,): the length of each trial
    dt: float | None = None  # ms

    def __getitem__(self, layer: str) -> Array:
        if layer not in self.rates:
            raise KeyError(f"no layer {layer}; there are {', '.join(self.rates)}")
        return self.rates[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rates)

    def __len__(self) -> int:
        return len(self.rates)

    def __repr__(self) -> str:
        """The numbers of trials, steps and units, and of the units in each area."""
        parts = [f"{len(self.inputs)} trials"]
        if self.steps is not None:
            each = "" if self.dt is None else f" of {self.dt:g} ms"
            parts.append(f"{self.inputs.shape[1]} steps{each}")
        for layer, units in self.units.items():
            areas, counts = np.unique(units.area[units.area != ""], return_counts=True)
            listed = ", ".join(f"{area} {n}" for area, n in zip(areas, counts, strict=True))
            parts.append(f"{layer}: {len(units.name)} units" + (f" ({listed})" if listed else ""))
        return f"Activity({', '.join(parts)})"

    @property
    def outputs(self) -> Array:
        """(trial, time, output): the rates of the last layer."""
        return self.rates[list(self.rates)[-1]]

    @property
    def time(self) -> Array | None:
        """(time,): ms from the start of a trial; without `dt`, steps."""
        if self.steps is None:
            return None
        return np.arange(self.inputs.shape[1]) * (1.0 if self.dt is None else self.dt)

    @property
    def mask(self) -> Array | None:
        """(trial, time): True in a trial, False in the padding after it."""
        if self.steps is None:
            return None
        return np.arange(self.inputs.shape[1]) < self.steps[:, None]

    @property
    def periods(self) -> tuple[str, ...]:
        """The periods of the trials; `<period>_start` and `<period>_end` in `trials` are steps.

        `answer`, the steps in which a choice counts, is not listed.
        """
        starts = [name.removesuffix("_start") for name in self.trials if name.endswith("_start")]
        return tuple(name for name in starts if f"{name}_end" in self.trials and name != "answer")

    def points(self, layer: str) -> Array:
        """(point, unit): the rates of every step of every trial, without the padding."""
        mask = self.mask
        return self[layer] if mask is None else self[layer][mask]

    def where(self, chosen: Array) -> Activity:
        """Some of the trials, as in `activity.where(activity.trials["environment"] == "go")`.

        `chosen` is (trial,) bool. Steps beyond the longest chosen trial are left out, and variables
        and periods that no chosen trial has. Raises ValueError for any other array.
        """
        chosen = np.asarray(chosen)
        if chosen.dtype != np.bool_ or chosen.shape != (len(self.inputs),):
            wanted = f"a truth value for each of {len(self.inputs)} trials"
            raise ValueError(f"`chosen` is {wanted}, not {chosen.dtype} {chosen.shape}")
        steps = None if self.steps is None else self.steps[chosen]
        end = None if steps is None else int(steps.max(initial=0))
        absent = {name for name, values in self.trials.items() if _is_absent(name, values[chosen])}
        absent |= {f"{n.removesuffix('_start')}_end" for n in absent if n.endswith("_start")}
        return Activity(
            {name: rates[chosen][:, :end] for name, rates in self.rates.items()},
            self.inputs[chosen][:, :end],
            self.units,
            {n: values[chosen] for n, values in self.trials.items() if n not in absent},
            steps,
            self.dt,
        )

    def mean_by(self, condition: str | Array, *, align: str | None = None) -> Averages:
        """Rates averaged over the trials of each condition.

        Args:
            condition: a column of `trials`, or a value for each trial, (trial,). Trials whose value
                is NaN or "" are left out.
            align: a period. Time is counted from its start, and trials without the period are left
                out. None: time is counted from the start of the trial.

        Raises ValueError for an unknown column or period, and for an array of another length.
        """
        values = self._values(condition)
        starts = self._starts(align)
        kept = ~is_missing(values) & (starts >= 0)
        conditions, trials = np.unique(values[kept], return_counts=True)
        timeless = self.steps is None  # treated as a single step
        steps = np.ones(len(self.inputs), np.int64) if self.steps is None else self.steps
        rates = {name: r[:, None] if timeless else r for name, r in self.rates.items()}
        before = int(starts[kept].max(initial=0))
        after = int((steps - starts)[kept].max(initial=int(timeless)))
        counts = np.zeros((len(conditions), before + after), np.int64)
        sums = {n: np.zeros((*counts.shape, r.shape[-1])) for n, r in rates.items()}
        for c, condition in enumerate(conditions):
            group = kept & (values == condition)
            for start in np.unique(starts[group]):  # trials with the same start are added together
                here = group & (starts == start)
                longest = int(steps[here].max())
                window = slice(before - start, before - start + longest)
                inside = (np.arange(longest) < steps[here][:, None])[..., None]
                counts[c, window] += inside[..., 0].sum(0)
                for name, r in rates.items():
                    seen = r[here][:, :longest]
                    sums[name][c, window] += np.sum(seen, 0, where=inside, dtype=np.float64)
        divisor = np.where(counts, counts, np.nan)[..., None]
        means = {name: total / divisor for name, total in sums.items()}
        if timeless:
            means = {name: mean[:, 0] for name, mean in means.items()}
            return Averages(conditions, means, counts[:, 0], trials, None)
        time = (np.arange(before + after) - before) * (1.0 if self.dt is None else self.dt)
        return Averages(conditions, means, counts, trials, time)

    def _values(self, condition: str | Array) -> Array:
        if isinstance(condition, str):
            if condition not in self.trials:
                known = ", ".join(self.trials)
                raise ValueError(f"trials have no variable `{condition}`; there are {known}")
            return self.trials[condition]
        values = np.asarray(condition)
        if values.shape != (len(self.inputs),):
            wanted = f"a value for each of {len(self.inputs)} trials"
            raise ValueError(f"a condition is {wanted}, not an array {values.shape}")
        return values

    def _starts(self, align: str | None) -> Array:
        if align is None:
            return np.zeros(len(self.inputs), np.int64)
        if align not in (*self.periods, "answer") or f"{align}_start" not in self.trials:
            known = ", ".join(self.periods) or "none"
            raise ValueError(f"trials have no period `{align}`; there are {known}")
        return self.trials[f"{align}_start"].astype(np.int64)

    # Files

    def to_arrays(self) -> dict[str, Array]:
        """The names and arrays of a saved activity: `rates/<layer>`, `units/<layer>/name` ..."""
        found: dict[str, Array] = {"format": np.array("netbuild activity 1")}
        if self.dt is not None:
            found["dt"] = np.array(self.dt)
        if self.time is not None and self.steps is not None:
            found |= {"time": self.time, "steps": self.steps}
        found["inputs"] = self.inputs
        for layer, rates in self.rates.items():
            found[f"rates/{layer}"] = rates
            for what, values in self.units[layer].arrays().items():
                found[f"units/{layer}/{what}"] = values
        return found | {f"trials/{name}": values for name, values in self.trials.items()}

    def save(self, path: str | Path) -> None:
        """Write the activity as .npz, in place of an existing file; NetbuildError (exit 7)."""
        save_npz(Path(path), self.to_arrays())

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`; raises NetbuildError (exit 10) without the extra `xarray`.

        It has `inputs` and a variable for each layer, (trial, time, <layer>_unit), whose units have
        their names, areas, signs and columns. The trials' variables are coordinates along `trial`,
        time is in ms where the spec has a dt, and padding is NaN.
        """
        steps = () if self.time is None else ("time",)
        variables: dict[str, Any] = {"inputs": (("trial", *steps, "input"), self.inputs)}
        for layer, rates in self.rates.items():
            variables[layer] = (("trial", *steps, f"{layer}_unit"), rates)
        coordinates: dict[str, Any] = {}
        if self.time is not None:
            unit = {"units": "step" if self.dt is None else "ms"}
            coordinates["time"] = ("time", self.time, unit)
        units = {f"{layer}_unit": (layer, self.units[layer]) for layer in self.rates}
        taken = {*variables, *units, "trial", "input", "time"}
        taken |= {f"{layer}_{label}" for layer in self.rates for label in ("area", "sign")}
        for name, values in self.trials.items():
            coordinates[f"trial_{name}" if name in taken else name] = ("trial", values)
        return dataset_of(variables, coordinates, units)

    def save_netcdf(self, path: str | Path) -> None:
        """Write the activity as netCDF; NetbuildError (exit 10) without the extra `xarray`."""
        write_netcdf(self.to_xarray(), Path(path))


def is_missing(values: Array) -> Array:
    """(trial,): where a variable has no value, which is NaN among numbers and "" among texts."""
    values = plain(values)
    return np.asarray(values == "" if values.dtype.kind == "U" else np.isnan(values.astype(float)))


def _is_absent(name: str, values: Array) -> bool:
    """Whether no trial has a variable, or the period whose start the variable is."""
    missing = is_missing(values)
    if name.endswith("_start"):
        missing = missing | (values == -1)
    return bool(missing.all()) and len(values) > 0


def load_activity(path: str | Path) -> Activity:
    """Read a file that `Activity.save` wrote; raises NetbuildError (exit 4) for any other file."""
    arrays = load_npz(Path(path))
    try:
        if str(arrays["format"]) != "netbuild activity 1":
            raise KeyError("format")
        rates = _below(arrays, "rates/")
        return Activity(
            rates=rates,
            inputs=arrays["inputs"],
            units={n: units_from(_below(arrays, f"units/{n}/")) for n in rates},
            trials=_below(arrays, "trials/"),
            steps=arrays.get("steps"),
            dt=float(arrays["dt"]) if "dt" in arrays else None,
        )
    except (KeyError, TypeError, ValueError):
        raise NetbuildError(f"{path} is not a saved activity", Exit.DATA) from None


def _below(arrays: Mapping[str, Array], start: str) -> dict[str, Array]:
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}


def compute_rates(network: Network, inputs: torch.Tensor) -> dict[str, Array]:
    """The rates of every layer in evaluation mode, (trial, ..., unit), computed in parts."""
    found: dict[str, Array] = {}
    with evaluating(network):
        _, first = network(inputs[:1], return_activity=True)
        per_trial = sum(rates.numel() for rates in first.values())
        size = max(1, min(MOST_TRIALS, AT_ONCE // max(per_trial, 1)))
        for start in range(0, len(inputs), size):
            _, part = network(inputs[start : start + size], return_activity=True)
            for name, rates in part.items():
                if name not in found:
                    shape = (len(inputs), *rates.shape[1:])
                    found[name] = np.empty(shape, np.float32)
                found[name][start : start + size] = rates.float().cpu().numpy()
    return found


def activity_of(
    rates: dict[str, Array],
    batch: Batch,
    trials: dict[str, Array],
    *,
    units: dict[str, Units],
    dt: float | None = None,
) -> Activity:
    """The activity of a batch from its rates; sets the padding to NaN.

    A variable `steps` of the trials gives their lengths; without it all trials are equally long.
    """
    inputs = batch.inputs.float().cpu().numpy().copy()
    if inputs.ndim == 2:
        return Activity(rates, inputs, units, trials, dt=dt)
    longest = inputs.shape[1]
    steps: Array = np.full(len(inputs), longest, np.int64)
    given = trials.get("steps")
    if given is not None and given.dtype.kind in "iu" and given.max(initial=0) <= longest:
        steps = given.astype(np.int64)
    padding = np.arange(longest) >= steps[:, None]
    if padding.any():
        for array in (inputs, *rates.values()):
            array[padding] = np.nan
    return Activity(rates, inputs, units, trials, steps, dt)


def selectivity(activity: Activity, layer: str) -> Array:
    """(unit,): d' = (m1 - m0) / sqrt((s1^2 + s0^2) / 2) between trials of two right choices.

    m and s are the mean and the standard deviation over trials of a trial's mean rate in its period
    `stimulus`, or in the whole trial if it has no such period. Trials in which no choice is right
    are left out. A unit that never changes has 0. Raises NetbuildError (exit 2) unless there are
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
        rates = np.sum(rates, 1, where=inside[..., None]) / inside.sum(1, keepdims=True)
    first, second = (rates[right == kind] for kind in kinds)
    spread = np.sqrt((first.var(0) + second.var(0)) / 2)
    difference = second.mean(0) - first.mean(0)
    return np.asarray(difference / np.where(spread > 0, spread, np.inf))
