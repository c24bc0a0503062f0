"""The regularizers, and the table of them; `terms` has their formulas, and NeuroTorch their names.

To add one, write its class, and list it in REGULARIZATIONS and in `__all__`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from netbuild.regularization import terms
from netbuild.regularization.arguments import NEEDED, arguments, bounded, did_you_mean
from netbuild.regularization.base import LAMBDA, BaseRegularization

__all__ = [
    "L1",
    "L2",
    "REGULARIZATIONS",
    "ActivityRegularization",
    "DaleHinge",
    "DaleLaw",
    "DaleLawL2",
    "ExcRatioTargetRegularization",
    "FiringRateL1",
    "FiringRateL2",
    "FiringRateVariance",
    "InhRatioTargetRegularization",
    "Lp",
    "WeightsDistance",
]

Activity: TypeAlias = Mapping[str, Tensor]  # layer name to rates (..., unit)
# Arguments of every norm; the words of `norm` and `reduction` are in `arguments.WORDS`.
NORM: dict[str, Any] = {"norm": "entrywise", "squared": False, "reduction": "sum"}


# Norms


class Lp(BaseRegularization):
    """sum_k ||W_k||_p over the parameters W_k.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        p: the order, >= 1; `math.inf` is the largest magnitude.
        norm: "entrywise" (default) or "matrix", the norm induced on 2-D parameters (p = 1, 2 or
            inf), which moves only one column (p=1), one singular direction (p=2) or one row.
        squared: square each norm.
        reduction: "sum" over the entries of each parameter, or their "mean" (entrywise only), so
            that Lambda need not follow the size of the layer. The mean is over the whole matrix,
            absent connections included, in dense and in sparse storage.

    Raises:
        ValueError: p < 1, an unknown norm or reduction, a mean of a matrix norm, or a matrix norm
            of a weight in sparse storage.
    """

    takes = arguments(params=NEEDED, Lambda=LAMBDA, p=1.0, **NORM, optimizer=None)
    p: float
    norm: str
    squared: bool
    reduction: str

    def prepare(self) -> None:
        """Refuse combinations that are not norms."""
        self.p = math.inf if self.p == math.inf else bounded("p", self.p, 1.0, math.inf)
        if self.norm != "matrix":
            return
        if self.p not in (1, 2, math.inf):
            raise ValueError(f"a matrix norm has p = 1, 2 or inf, not {self.p:g}")
        if self.reduction == "mean":
            raise ValueError("a matrix norm has no mean over entries; use reduction='sum'")
        for index, name in enumerate(self.param_names):
            if self.places(index) is not None:
                raise ValueError(
                    f"{name} is stored for its connections alone, and norm='matrix' needs the "
                    "whole matrix; use norm='entrywise', or dense storage"
                )

    def term(self, index: int, weight: Tensor) -> Tensor:
        """||W||_p of one parameter."""
        if self.norm == "matrix":
            return terms.matrix_norm(weight, self.p, self.squared)
        if self.reduction == "sum":
            return terms.lp(weight, self.p, self.squared)
        return terms.lp(weight, self.p, self.squared, True, self.entries(index))


class L1(Lp):
    """The sum of magnitudes, sum_k sum_ij |w_ij|: the lasso, which drives weights to zero."""

    takes = arguments(params=NEEDED, Lambda=LAMBDA, **NORM, optimizer=None)
    p = 1.0


class L2(Lp):
    """The Euclidean length, sum_k sqrt(sum_ij w_ij^2); `squared=True` is the sum of squares.

    Only the squared one is weight decay: its gradient is 2 W, that of the length is W / ||W||.
    """

    takes = arguments(params=NEEDED, Lambda=LAMBDA, **NORM, optimizer=None)
    p = 2.0


# References


class WeightsDistance(Lp):
    """sum_k ||W_k - R_k||_p: how far weights are from a reference, magnitudes included.

    Args:
        params, reference_weights, Lambda: see `BaseRegularization`.
        p, norm, squared, reduction, optimizer: see `Lp`; norm="matrix" is || |W - R| ||_p, of
            magnitudes.
    """

    takes = arguments(
        params=NEEDED, reference_weights=NEEDED, Lambda=LAMBDA, p=1.0, **NORM, optimizer=None
    )

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The distance of one parameter from its reference."""
        difference = weight - self.reference(index)
        # The induced norm is taken of the magnitudes, as NeuroTorch does; entrywise is the same.
        return super().term(index, difference.abs() if self.norm == "matrix" else difference)


class DaleLawL2(BaseRegularization):
    """Dale's law and small weights: sum_k Tr(W^T (alpha W - (1 - alpha) S)), S = sign(reference).

    Every weight with a reference sign is pulled to (1 - alpha) / (2 alpha) times this sign (0.125
    for alpha = 0.8), where the loss is negative; every weight without one (S = 0) is pulled to 0.

    Args:
        params, reference_weights, Lambda, optimizer, draw_options: see `BaseRegularization`.
        alpha: in [0, 1]; 0 is Dale's law alone, 1 the sum of squares alone.
    """

    takes = arguments(
        draws=True, params=NEEDED, alpha=0.8, reference_weights=None, Lambda=LAMBDA, optimizer=None
    )
    alpha: float

    def prepare(self) -> None:
        """No reference has been compared row by row yet."""
        self._by_unit: dict[int, tuple[tuple[int, int], bool]] = {}

    def forward(self) -> Tensor:
        """The raw term; 0-d."""
        learnable = self.learnable()
        if not learnable:
            return self.zero()
        signs = [self._signs(index) for index, _ in learnable]
        weights = [weight for _, weight in learnable]
        return terms.dale_l2_sum(weights, signs, self.alpha, self.Lambda)

    def _signs(self, index: int) -> Tensor:
        """The reference, or the first row of a large reference whose rows are all alike."""
        reference = self.reference(index)
        if reference.numel() < terms.LARGE or reference.is_meta:
            return reference
        memory = (reference.data_ptr(), reference._version)  # changes when it is moved or written
        if self._by_unit.get(index, (None,))[0] != memory:
            self._by_unit[index] = memory, terms.rows_are_alike(reference)
        alike = self._by_unit[index][1]
        return reference[(0,) * (reference.dim() - 1)] if alike else reference


class DaleLaw(DaleLawL2):
    """Dale's law alone: -sum_k <W, S>, which is `DaleLawL2` with alpha = 0.

    It is unbounded below: with nothing else in the loss to stop them, weights of the right sign
    grow without limit. `DaleHinge` stops once the signs are right.
    """

    takes = arguments(
        draws=True, params=NEEDED, reference_weights=None, Lambda=LAMBDA, optimizer=None
    )
    alpha = 0.0


class DaleHinge(BaseRegularization):
    """The magnitudes of wrong signs: sum_k sum_ij relu(-s_ij w_ij)^p; 0 once the signs are right.

    Args:
        params, reference_weights, Lambda, optimizer, draw_options: see `BaseRegularization`.
        p: the power, >= 1. With p = 1 every wrong weight is pushed equally hard.
    """

    takes = arguments(
        draws=True, params=NEEDED, reference_weights=None, Lambda=LAMBDA, p=1.0, optimizer=None
    )
    p: float

    def prepare(self) -> None:
        """Refuse powers below 1."""
        self.p = bounded("p", self.p, 1.0, math.inf)

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The summed violations of one parameter."""
        return terms.dale_hinge(weight, self.reference(index), self.p)


# Ratios of signs


class ExcRatioTargetRegularization(BaseRegularization):
    """Pulls the share of excitatory weights to a target: sum_k |m(W_k) + 1 - 2 target|.

    m(W) is the mean of softsign(w) = w / (1 + |w|) over the entries that are not exactly 0 (an
    absent connection has no sign): a stand-in for the mean sign that has a gradient. It also
    rewards larger weights, and is about 0.5 for weights that are small whatever their signs; so
    the true share is reported, and this surrogate only as `surrogate=True`.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        exc_target_ratio: the wanted share of excitatory weights, in [0, 1].
    """

    takes = arguments(params=NEEDED, exc_target_ratio=0.8, Lambda=LAMBDA, optimizer=None)
    exc_target_ratio: float

    def term(self, index: int, weight: Tensor) -> Tensor:
        """How far one parameter's surrogate is from the target; in [0, 2]."""
        return terms.exc_ratio(weight, self.exc_target_ratio)

    def get_params_exc_ratio(self, surrogate: bool = False) -> list[float]:
        """The excitatory share of each parameter: of its nonzero weights, those above 0.

        NaN for a parameter that is all zero. `surrogate=True` gives (m(W) + 1) / 2 in its place,
        which the loss uses.
        """
        with torch.no_grad():
            if surrogate:
                return [(terms.mean_softsign(w).item() + 1) / 2 for w in self.get_params()]
            return [terms.positive_share(weight) for weight in self.get_params()]

    def get_params_inh_ratio(self, surrogate: bool = False) -> list[float]:
        """The inhibitory share of each parameter: 1 - the excitatory one."""
        return [1 - ratio for ratio in self.get_params_exc_ratio(surrogate)]

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """The weighted term, and the true shares of each parameter."""
        exc, inh = self.get_params_exc_ratio(), self.get_params_inh_ratio()
        return super().on_pbar_update(trainer) | {"exc_ratio": exc, "inh_ratio": inh}


class InhRatioTargetRegularization(ExcRatioTargetRegularization):
    """Pulls the share of inhibitory weights to a target; see `ExcRatioTargetRegularization`."""

    takes = arguments(params=NEEDED, inh_target_ratio=0.2, Lambda=LAMBDA, optimizer=None)
    inh_target_ratio: float

    def prepare(self) -> None:
        """The excitatory target is what the inhibitory one leaves."""
        self.exc_target_ratio = 1 - self.inh_target_ratio


# Firing rates


class ActivityRegularization(BaseRegularization):
    """A penalty on the rates of some layers, summed over them; a subclass defines `penalty`.

    Args:
        layers: the names of the layers, as a network's activity has them.
        Lambda: the weight of the term, >= 0.
        of: `sample`: of the rate of each unit at each step of each trial. `unit_mean`: of each
            unit's mean rate over batch and time, in which opposite rates cancel, as nn4n does.
        units: for each layer the positions of the units that are penalised; of a layer that it
            does not name, all.

    Raises:
        ValueError: no layer, or another value of `of`.
    """

    takes = arguments(layers=NEEDED, Lambda=LAMBDA, of="sample", units=None)
    needs_activity: ClassVar[bool] = True
    layers: Iterable[str]
    of: str
    units: Mapping[str, Any] | None

    def prepare(self) -> None:
        """Refuse an empty list of layers; positions of units become buffers."""
        self.layers = (self.layers,) if isinstance(self.layers, str) else tuple(self.layers)
        if not self.layers:
            raise ValueError(f"{type(self).__name__} needs the name of a layer")
        given, self.units = self.units or {}, {}  # {layer name: name of the buffer}
        for number, (name, which) in enumerate(given.items()):
            self.units[name] = f"units_{number}"
            self.register_buffer(self.units[name], torch.as_tensor(which).clone(), persistent=False)

    def forward(  # type: ignore[override]
        self, activity: Activity, steps: Tensor | None = None
    ) -> Tensor:
        """The raw term; 0-d.

        Args:
            activity: {layer name: (..., unit)}.
            steps: (batch,) integers: how many steps each trial of a (batch, time, unit) has; what
                follows is padding and costs nothing. None: all steps count.

        Raises:
            ValueError: a layer that is not in the activity, or another number of steps than trials.
        """
        found = [self._of_layer(name, activity, steps) for name in self.layers]
        return sum(found[1:], found[0])

    def _of_layer(self, name: str, activity: Activity, steps: Tensor | None) -> Tensor:
        if name not in activity:
            raise ValueError(f"the activity has no layer {name!r}{did_you_mean(name, activity)}")
        rates = activity[name]
        if self.units and name in self.units:
            rates = rates[..., self.get_buffer(self.units[name])]
        step_weights = None
        if steps is not None and rates.ndim >= 3:
            step_weights = terms.weights_of_steps(steps, rates)
            # NaN in padding would reach the gradient of the steps before it.
            rates = rates.masked_fill((step_weights == 0)[..., None], 0.0)
        if self.of == "unit_mean":
            return self.penalty(terms.mean_rates(rates, step_weights))
        return self.penalty(rates, step_weights)

    def penalty(self, rates: Tensor, step_weights: Tensor | None = None) -> Tensor:
        """The penalty of rates (..., N), a mean over all its axes; 0-d.

        `step_weights` (B, T), where given, is the weight of each step in the mean.
        """
        raise NotImplementedError(f"{type(self).__name__} must define penalty")


class FiringRateL1(ActivityRegularization):
    """mean |r|: a cost of each spike, which makes rates sparse."""

    penalty = staticmethod(terms.rate_l1)


class FiringRateL2(ActivityRegularization):
    """mean r^2 (Song, Yang & Wang 2016, eq. 24): a metabolic cost that high rates pay most of."""

    penalty = staticmethod(terms.rate_l2)


class FiringRateVariance(ActivityRegularization):
    """The variance of the rates across units: 0 when all fire alike.

    `of: unit_mean` compares the units' mean rates, so that none is silent for good while another
    does the work (nn4n's `FiringRateDistLoss` takes its root); `sample` the rates at each moment.
    """

    penalty = staticmethod(terms.rate_variance)


# Every `type` that a struct or a spec may name.
REGULARIZATIONS: dict[str, type[BaseRegularization]] = {
    kind.__name__: kind
    for kind in (
        *(Lp, L1, L2, DaleLaw, DaleLawL2, DaleHinge),
        *(ExcRatioTargetRegularization, InhRatioTargetRegularization, WeightsDistance),
        *(FiringRateL1, FiringRateL2, FiringRateVariance),
    )
}
