"""Penalties on firing rates: their size, and how unevenly units share them.

r is the activity of one layer, (batch, time, unit) or (batch, unit); B, T, N are its axes.

A mean over batch and time is the mean over the trials of each trial's mean over its own steps:
what a trial costs does not depend on how long the others are. Where all trials are of one length,
it is the mean over all values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.regularization.arguments import did_you_mean
from netbuild.regularization.base import BaseRegularization

Of = Literal["sample", "unit_mean"]


class ActivityRegularization(BaseRegularization):
    """A penalty on the activity of some layers, summed over them.

    Args:
        layers: the names of the layers, as a network's activity has them.
        Lambda: the weight of the term, >= 0.
        units: of each layer the positions of the units whose rates are meant; of a layer that it
            does not name, all.
        of: `sample`: of the rate of each unit at each step of each trial. `unit_mean`: of each
            unit's mean rate over batch and time, in which opposite rates cancel, as nn4n does.

    Raises:
        ValueError: no layer, or another word for `of`.
    """

    needs_activity: ClassVar[bool] = True

    def __init__(
        self,
        layers: str | Iterable[str],
        Lambda: float = 1.0,
        of: Of = "sample",
        units: Mapping[str, Sequence[int] | NDArray[np.integer[Any]]] | None = None,
    ) -> None:
        super().__init__((), Lambda)
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers)
        if not self.layers:
            raise ValueError(f"{type(self).__name__} needs the name of a layer")
        if of not in get_args(Of):
            known = " or ".join(map(repr, get_args(Of)))
            raise ValueError(f"of must be {known}, not {of!r}{did_you_mean(str(of), get_args(Of))}")
        self.of = of
        self.units = {name: torch.as_tensor(which) for name, which in (units or {}).items()}

    def forward(  # type: ignore[override]
        self, activity: Mapping[str, Tensor], steps: Tensor | None = None
    ) -> Tensor:
        """The raw term; 0-d.

        Args:
            activity: {layer name: (..., unit)}.
            steps: (batch,) integers: how many steps each trial of a (batch, time, unit) has; what
                follows is padding and costs nothing. None: all steps count.

        Raises:
            ValueError: a layer that is not in the activity, or another number of steps than trials.
        """
        terms = []
        for name in self.layers:
            if name not in activity:
                near = did_you_mean(name, activity)
                raise ValueError(f"the activity has no layer {name!r}{near}")
            rates = activity[name]
            if name in self.units:
                rates = rates[..., self.units[name].to(rates.device)]
            shares = None if steps is None or rates.ndim < 3 else shares_of(steps, rates)
            if shares is not None:  # NaN in padding would reach the gradient of what is real
                rates = rates.masked_fill((shares == 0)[..., None], 0.0)
            if self.of == "unit_mean":
                terms.append(self.penalty(_mean_of_each(rates, shares)))
            else:
                terms.append(self.penalty(rates, shares))
        return sum(terms[1:], terms[0])

    def penalty(self, rates: Tensor, shares: Tensor | None = None) -> Tensor:
        """The penalty of rates (..., N), a mean over all its axes; 0-d.

        `shares` (B, T), where given, is how much each step counts in the mean; see `shares_of`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define penalty")

    def extra_repr(self) -> str:
        """The layers, and of what."""
        return f"Lambda={self.Lambda:g}, layers={', '.join(self.layers)}, of={self.of}"


class FiringRateL1(ActivityRegularization):
    """mean |r|: a cost of each spike, which makes rates sparse."""

    def penalty(self, rates: Tensor, shares: Tensor | None = None) -> Tensor:
        """mean |r|."""
        if shares is None:
            return rates.abs().mean()
        return _shared(rates.abs().mean(-1), shares)


class FiringRateL2(ActivityRegularization):
    """mean r^2 (Song, Yang & Wang 2016, eq. 24): a metabolic cost that high rates pay most of."""

    def penalty(self, rates: Tensor, shares: Tensor | None = None) -> Tensor:
        """mean r^2."""
        if shares is None:
            return rates.square().mean()
        return _shared(rates.square().mean(-1), shares)


class FiringRateVariance(ActivityRegularization):
    """The variance of the rates across units: 0 when all fire alike.

    `of: unit_mean` compares the units' mean rates, so that none is silent for good while another
    does the work (nn4n's `FiringRateDistLoss` takes its root); `sample` the rates at each moment.
    """

    def penalty(self, rates: Tensor, shares: Tensor | None = None) -> Tensor:
        """The mean over batch and time of the variance over units, divided by N."""
        if shares is None:
            return rates.var(-1, correction=0).mean()
        return _shared(rates.var(-1, correction=0), shares)


def shares_of(steps: Tensor, rates: Tensor) -> Tensor:
    """How much each step counts in the mean over batch and time, (B, T); the sum is 1.

    Every trial that has steps counts alike, and in it every step; padding counts 0.

    Args:
        steps: (batch,) integers: the steps of each trial, none above T.
        rates: (batch, time, unit), whose dtype and device the shares have.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    if rates.ndim != 3 or steps.shape != rates.shape[:1]:
        raise ValueError(
            "steps and rates must be (batch,) and (batch, time, unit); "
            f"got shapes {tuple(steps.shape)} and {tuple(rates.shape)}"
        )
    steps = steps.to(rates.device)
    there = torch.arange(rates.shape[1], device=rates.device) < steps.unsqueeze(1)
    trials = (steps > 0).sum().clamp(min=1)
    return there.to(rates.dtype) / (steps.clamp(min=1) * trials).unsqueeze(1)


def _shared(values: Tensor, shares: Tensor) -> Tensor:
    """The mean of values (B, T) by shares; 0-d. What is NaN or Inf in padding is left out."""
    return (values.where(shares > 0, 0.0) * shares).sum()


def _mean_of_each(rates: Tensor, shares: Tensor | None) -> Tensor:
    """The mean of each unit over batch and time, (1, N)."""
    if shares is None:
        return rates.flatten(0, -2).mean(0, keepdim=True)
    each = shares.unsqueeze(-1)
    return (rates.where(each > 0, 0.0) * each).sum((0, 1)).unsqueeze(0)
