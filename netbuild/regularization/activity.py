"""Penalties on firing rates: their size, and how unevenly units share them.

r is the activity of one layer, (batch, time, unit) or (batch, unit); B, T, N are its axes.
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

    def forward(self, activity: Mapping[str, Tensor]) -> Tensor:  # type: ignore[override]
        """The raw term, 0-d, of {layer name: (..., unit)}; ValueError for a layer not in it."""
        terms = []
        for name in self.layers:
            if name not in activity:
                near = did_you_mean(name, activity)
                raise ValueError(f"the activity has no layer {name!r}{near}")
            rates = activity[name]
            if name in self.units:
                rates = rates[..., self.units[name].to(rates.device)]
            if self.of == "unit_mean":
                rates = rates.flatten(0, -2).mean(0, keepdim=True)  # (1, N)
            terms.append(self.penalty(rates))
        return sum(terms[1:], terms[0])

    def penalty(self, rates: Tensor) -> Tensor:
        """The penalty of rates (..., N), a mean over all its axes; 0-d."""
        raise NotImplementedError(f"{type(self).__name__} must define penalty")

    def extra_repr(self) -> str:
        """The layers, and of what."""
        return f"Lambda={self.Lambda:g}, layers={', '.join(self.layers)}, of={self.of}"


class FiringRateL1(ActivityRegularization):
    """mean |r|: a cost of each spike, which makes rates sparse."""

    def penalty(self, rates: Tensor) -> Tensor:
        """mean |r|."""
        return rates.abs().mean()


class FiringRateL2(ActivityRegularization):
    """mean r^2 (Song, Yang & Wang 2016, eq. 24): a metabolic cost that high rates pay most of."""

    def penalty(self, rates: Tensor) -> Tensor:
        """mean r^2."""
        return rates.square().mean()


class FiringRateVariance(ActivityRegularization):
    """The variance of the rates across units: 0 when all fire alike.

    `of: unit_mean` compares the units' mean rates, so that none is silent for good while another
    does the work (nn4n's `FiringRateDistLoss` takes its root); `sample` the rates at each moment.
    """

    def penalty(self, rates: Tensor) -> Tensor:
        """The mean over batch and time of the variance over units, divided by N."""
        return rates.var(-1, correction=0).mean()
