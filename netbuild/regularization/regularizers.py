"""Regularizers: terms of the loss that depend on weights or on rates, and their weighted sum.

The total loss is the task's plus sum_k Lambda Lambda_k R_k. A `BaseRegularization` is one R_k with
its Lambda_k; a `RegularizationList` holds them by name, with a Lambda for all. The formulas stand
in `terms`; a class here says what they are applied to. The names are NeuroTorch's.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypedDict, Unpack, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netbuild.regularization import terms
from netbuild.regularization.arguments import bounded, did_you_mean, refuse_unknown
from netbuild.regularization.references import (
    DaleWords,
    References,
    given_references,
    reference_signs,
)
from netbuild.regularization.targets import GivenTensors, NamedParameters, Params

__all__ = [
    "L1",
    "L2",
    "REGULARIZATIONS",
    "ActivityRegularization",
    "BaseRegularization",
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

LAMBDA = 1.0  # the weight of a term that is given none
Optimizer: TypeAlias = torch.optim.Optimizer | None
Norm: TypeAlias = Literal["entrywise", "matrix"]
Reduction: TypeAlias = Literal["sum", "mean"]
Of: TypeAlias = Literal["sample", "unit_mean"]
Activity: TypeAlias = Mapping[str, Tensor]  # layer name to rates (..., unit)


class Common(TypedDict, total=False):
    """The words that every regularization of parameters takes."""

    Lambda: float
    optimizer: Optimizer


class BaseRegularization(nn.Module):
    """A penalty on some parameters: `regularization()` is `Lambda * regularization.forward()`.

    A subclass defines `term`, the penalty of one parameter, or overrides `forward`.
    Parameters that are frozen (`requires_grad=False`) are left out of the sum; with none left
    it is a zero that can be backpropagated. Hooks of `nn.Module` see the raw term.

    Args:
        params: an iterable of tensors, a dict of them by name, or `NamedParameters`. They are
            never registered: neither `parameters()` nor `state_dict()` lists them.
        Lambda: the weight of the term in the loss, >= 0.
        optimizer: steps on this term alone in `on_optimization_end`; needed only there.

    Raises:
        TypeError: params are not floating-point tensors, or Lambda is not a number.
        ValueError: Lambda is negative or not finite.
    """

    _zero: Tensor
    # True: forward takes the network's activity, and the steps of its trials (None: all count).
    needs_activity: ClassVar[bool] = False
    more_words: ClassVar[Iterable[str]] = Common.__annotations__  # words taken as **words

    def __init__(self, params: Params, Lambda: float = LAMBDA, optimizer: Optimizer = None) -> None:
        super().__init__()
        self.targets = params if isinstance(params, NamedParameters) else GivenTensors(params)
        self.Lambda = bounded("Lambda", Lambda, 0.0, math.inf)
        self.optimizer = optimizer
        like = next(iter(self.get_params()), torch.empty(()))
        # A buffer, so that the zero of a sum over no parameter follows `.to()` as weights do.
        self.register_buffer("_zero", like.new_zeros(()), persistent=False)

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any], params: Params | None = None) -> Self:
        """The regularization that `{"type": "DaleLawL2", "alpha": 0.8, ...}` describes.

        Args:
            struct: the constructor's own words; `type`, which may be left out, is the class's
                name.
            params: used when the struct has none.

        Raises:
            ValueError: a wrong type, an unknown word (the nearest right one is named), no params.
        """
        words, known = dict(struct), cls.words()
        if words.pop("type", cls.__name__) != cls.__name__:
            raise ValueError(f"{cls.__name__}.from_dict was given the type {struct['type']!r}")
        refuse_unknown(words, known, cls.__name__)
        if "params" in known:
            if words.get("params") is None:
                words["params"] = params
            if words["params"] is None:
                raise ValueError(f"{cls.__name__} needs params, in the dict or beside it")
        return cls(**words)

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """The words that the constructor, and with it `from_dict`, understands."""
        given = inspect.signature(cls).parameters.values()
        more = [cls.more_words if p.kind is p.VAR_KEYWORD else (p.name,) for p in given]
        return tuple(dict.fromkeys(word for words in more for word in words))

    @classmethod
    def default_name(cls) -> str:
        """The class's name in snake case: `DaleLawL2` is `dale_law_l2`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def param_names(self) -> tuple[str, ...]:
        """One name per parameter, for messages: its own, its key in the dict, or `params[0]`."""
        return self.targets.names

    def get_params(self) -> list[Tensor]:
        """All parameters as the term reads them, in the order given, frozen ones among them."""
        return self.targets.read()

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The penalty of parameter number `index`, whose value is `weight`; a 0-d tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define term or forward")

    def forward(self) -> Tensor:
        """The raw term, without Lambda: the sum over all parameters that learn; 0-d."""
        found = [self.term(index, weight) for index, weight in self.targets.learnable()]
        return sum(found[1:], found[0]) if found else self.zero()

    def raw(self, *args: Any) -> Tensor:
        """The raw term as `forward` gives it, with the hooks of `nn.Module` run."""
        result: Tensor = super().__call__(*args)
        return result

    def __call__(self, *args: Any) -> Tensor:
        """`Lambda` times the raw term: a 0-d tensor that can be backpropagated."""
        return self.Lambda * self.raw(*args)

    def zero(self) -> Tensor:
        """A 0-d zero that can be backpropagated."""
        return torch.zeros_like(self._zero, requires_grad=True)

    def on_optimization_end(self, trainer: object) -> None:
        """Take one step of the term's own optimizer on it; without an optimizer, do nothing."""
        step_on(self, self.optimizer)

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """What a progress bar may show: the weighted term, by the regularization's name."""
        with torch.no_grad():
            return {self.default_name(): self().item()}

    def extra_repr(self) -> str:
        """The constructor's words that are numbers or text, and the number of parameters."""
        values = {word: getattr(self, word, None) for word in self.words()}
        shown = [
            f"{word}={value:g}" if isinstance(value, float) else f"{word}={value}"
            for word, value in values.items()
            if isinstance(value, (bool, float, str, tuple))
        ]
        return ", ".join([*shown, f"params={len(self.param_names)}"])


def step_on(loss: nn.Module, optimizer: Optimizer) -> None:
    """One step of `optimizer` on `loss()`, which leaves no gradient behind."""
    if optimizer is None:
        return
    optimizer.zero_grad()
    # Only into the parameters of this optimizer: other gradients belong to the task's own step.
    own = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if own:
        loss().backward(inputs=own)
        optimizer.step()
        optimizer.zero_grad()


# Norms


class NormWords(TypedDict, total=False):
    """The words of `Lp` that `L1`, `L2` and `WeightsDistance` take too."""

    norm: Norm
    squared: bool
    reduction: Reduction
    optimizer: Optimizer


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

    def __init__(
        self,
        params: Params,
        Lambda: float = LAMBDA,
        p: float = 1,
        norm: Norm = "entrywise",
        squared: bool = False,
        reduction: Reduction = "sum",
        optimizer: Optimizer = None,
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        self.p = math.inf if p == math.inf else bounded("p", p, 1.0, math.inf)
        self.norm, self.squared, self.reduction = norm, squared, reduction
        for name, value, known in (("norm", norm, Norm), ("reduction", reduction, Reduction)):
            if value not in get_args(known):
                words = ", ".join(get_args(known))
                raise ValueError(f"{name} must be one of {words}, not {value!r}")
        if norm == "matrix":
            self._check_matrix_norm()

    def _check_matrix_norm(self) -> None:
        if self.p not in (1, 2, math.inf):
            raise ValueError(f"a matrix norm has p = 1, 2 or inf, not {self.p:g}")
        if self.reduction == "mean":
            raise ValueError("a matrix norm has no mean over entries; use reduction='sum'")
        for index, name in enumerate(self.param_names):
            if self.targets.places(index) is not None:
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
        return terms.lp(weight, self.p, self.squared, True, self.targets.entries(index))


class L1(Lp):
    """The sum of magnitudes, sum_k sum_ij |w_ij|: the lasso, which drives weights to zero."""

    more_words = NormWords.__annotations__

    def __init__(self, params: Params, Lambda: float = LAMBDA, **words: Unpack[NormWords]) -> None:
        super().__init__(params, Lambda, 1, **words)


class L2(Lp):
    """The Euclidean length, sum_k sqrt(sum_ij w_ij^2); `squared=True` is the sum of squares.

    Only the squared one is weight decay: its gradient is 2 W, that of the length is W / ||W||.
    """

    more_words = NormWords.__annotations__

    def __init__(self, params: Params, Lambda: float = LAMBDA, **words: Unpack[NormWords]) -> None:
        super().__init__(params, Lambda, 2, **words)


# References


class ReferencedRegularization(BaseRegularization):
    """A regularization with one reference per parameter: the buffers reference_0 and so on.

    References move with `.to()`, are saved by `state_dict()`, and are never the caller's memory.
    """

    def hold_references(self, references: Sequence[Tensor]) -> None:
        """Register `references`, one per parameter; nobody else may own their memory."""
        for index, reference in enumerate(references):
            self.register_buffer(f"reference_{index}", reference)

    def reference(self, index: int) -> Tensor:
        """The reference of parameter number `index`, of the parameter's shape."""
        return self._buffers[f"reference_{index}"]  # type: ignore[return-value]

    @property
    def reference_weights(self) -> list[Tensor]:
        """All references, in the parameters' order."""
        return [self.reference(index) for index in range(len(self.param_names))]


class WeightsDistance(ReferencedRegularization, Lp):
    """sum_k ||W_k - R_k||_p: how far weights are from a reference, magnitudes included.

    Args:
        params, Lambda: see `BaseRegularization`.
        reference_weights: one per parameter, of its shape, or a dict by the parameters' names.
        p, words: see `Lp`; norm="matrix" is || |W - R| ||_p, of magnitudes.
    """

    more_words = NormWords.__annotations__

    def __init__(
        self,
        params: Params,
        reference_weights: References,
        Lambda: float = LAMBDA,
        p: float = 1,
        **words: Unpack[NormWords],
    ) -> None:
        super().__init__(params, Lambda, p, **words)
        self.hold_references(given_references(self.targets, reference_weights))

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The distance of one parameter from its reference."""
        difference = weight - self.reference(index)
        # The induced norm is taken of the magnitudes, as NeuroTorch does; entrywise is the same.
        return super().term(index, difference.abs() if self.norm == "matrix" else difference)


class SignWords(Common, DaleWords, total=False):
    """The words that all regularizers with reference signs take."""


class SignRegularization(ReferencedRegularization):
    """A regularization with one reference sign per weight.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        reference_weights: one per parameter, of its shape (or a dict by the parameters' names);
            only the signs are kept, and 0 is no reference sign. Use `WeightsDistance` for
            magnitudes. None draws them.
        dale_words: `inh_ratio`, `rho`, `inh_first`, `seed` of `draw_dale_reference`, for drawn
            references only.

    Raises:
        TypeError: references and dale words together.
        ValueError: an unknown dale word, or a ratio, the number of references or a shape is out of
            bounds.
    """

    more_words = SignWords.__annotations__

    def __init__(
        self,
        params: Params,
        reference_weights: References | None = None,
        Lambda: float = LAMBDA,
        optimizer: Optimizer = None,
        **dale_words: Unpack[DaleWords],
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        owner = type(self).__name__
        self.hold_references(reference_signs(self.targets, reference_weights, dale_words, owner))


class DaleLawL2(SignRegularization):
    """Dale's law and small weights: sum_k Tr(W^T (alpha W - (1 - alpha) S)), S = sign(reference).

    Every weight with a reference sign is pulled to (1 - alpha) / (2 alpha) times this sign (0.125
    for alpha = 0.8), where the loss is negative; every weight without one (S = 0) is pulled to 0.

    Args:
        params, reference_weights, words: see `SignRegularization`.
        alpha: in [0, 1]; 0 is Dale's law alone, 1 the sum of squares alone.
    """

    def __init__(
        self,
        params: Params,
        alpha: float = 0.8,
        reference_weights: References | None = None,
        **words: Unpack[SignWords],
    ) -> None:
        super().__init__(params, reference_weights, **words)
        self.alpha = bounded("alpha", alpha)
        self._by_unit: dict[int, tuple[tuple[int, int], bool]] = {}

    def forward(self) -> Tensor:
        """The raw term; 0-d."""
        learnable = self.targets.learnable()
        if not learnable:
            return self.zero()
        weights = [weight for _, weight in learnable]
        return terms.dale_l2_sum(
            weights, [self._signs(index) for index, _ in learnable], self.alpha
        )

    def _signs(self, index: int) -> Tensor:
        """The reference, or the first row of a large reference whose rows are all alike."""
        reference = self.reference(index)
        if reference.numel() < terms.LARGE or reference.is_meta:
            return reference
        memory = (reference.data_ptr(), reference._version)  # another one once moved or written to
        if self._by_unit.get(index, (None,))[0] != memory:
            self._by_unit[index] = memory, terms.rows_are_alike(reference)
        return reference.view(-1, reference.shape[-1])[0] if self._by_unit[index][1] else reference


class DaleLaw(DaleLawL2):
    """Dale's law alone: -sum_k <W, S>, which is `DaleLawL2` with alpha = 0.

    It is unbounded below: with nothing else in the loss to stop them, weights of the right sign
    grow for ever. `DaleHinge` stops once the signs are right.
    """

    def __init__(
        self,
        params: Params,
        reference_weights: References | None = None,
        **words: Unpack[SignWords],
    ) -> None:
        super().__init__(params, 0.0, reference_weights, **words)


class DaleHinge(SignRegularization):
    """The magnitudes of wrong signs: sum_k sum_ij relu(-s_ij w_ij)^p; 0 once the signs are right.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        reference_weights, dale_words: see `DaleLawL2`.
        p: the power, >= 1. With p = 1 every wrong weight is pushed equally hard.
    """

    def __init__(
        self,
        params: Params,
        reference_weights: References | None = None,
        p: float = 1,
        **words: Unpack[SignWords],
    ) -> None:
        super().__init__(params, reference_weights, **words)
        self.p = bounded("p", p, 1.0, math.inf)

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
        params, words: see `BaseRegularization`.
        exc_target_ratio: the wanted share of excitatory weights, in [0, 1].
    """

    def __init__(
        self, params: Params, exc_target_ratio: float = 0.8, **words: Unpack[Common]
    ) -> None:
        super().__init__(params, **words)
        self.exc_target_ratio = bounded("exc_target_ratio", exc_target_ratio)

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

    def __init__(
        self, params: Params, inh_target_ratio: float = 0.2, **words: Unpack[Common]
    ) -> None:
        target = bounded("inh_target_ratio", inh_target_ratio)
        super().__init__(params, 1 - target, **words)
        self.inh_target_ratio = target


# Firing rates


class ActivityRegularization(BaseRegularization):
    """A penalty on the rates of some layers, summed over them; a subclass defines `penalty`.

    Args:
        layers: the names of the layers, as a network's activity has them.
        Lambda: the weight of the term, >= 0.
        of: `sample`: of the rate of each unit at each step of each trial. `unit_mean`: of each
            unit's mean rate over batch and time, in which opposite rates cancel, as nn4n does.
        units: for each layer the positions of the units whose rates are meant; of a layer that it
            does not name, all.

    Raises:
        ValueError: no layer, or another word for `of`.
    """

    needs_activity: ClassVar[bool] = True

    def __init__(
        self,
        layers: str | Iterable[str],
        Lambda: float = LAMBDA,
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
        if name in self.units:
            rates = rates[..., self.units[name].to(rates.device)]
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
