"""Regularizations that know what a connectome is: signs, their ratio, and a reference.

A reference has the shape of its parameter, (output_dim, input_dim) on a torch weight: axis 1 is
presynaptic. References are buffers: they move with `.to()`, are saved by `state_dict()`, and are
never the caller's own memory.

Of a weight in sparse storage a reference is kept for the connections alone. It may be given so,
(connection,), or as the whole matrix, which is read at the connections: what it holds elsewhere
would add to a term (a distance, say) what no weight can change, and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias, TypedDict, Unpack

import torch
from torch import Tensor
from torch.nn.functional import softsign

from netbuild.regularization.arguments import bounded, refuse_unknown
from netbuild.regularization.base import BaseRegularization
from netbuild.regularization.dale import LARGE, common_row, dale_total
from netbuild.regularization.norms import Lp, Norm, Reduction
from netbuild.regularization.parameters import Params
from netbuild.regularization.references import as_references, dale_generator, draw_dale_reference

References: TypeAlias = Iterable[Any] | Mapping[str, Any]


class DaleWords(TypedDict, total=False):
    """How to draw references, in the words of `draw_dale_reference`."""

    inh_ratio: float
    rho: float
    inh_first: bool
    seed: int


DALE_WORDS = tuple(DaleWords.__annotations__)


class ReferencedRegularization(BaseRegularization):
    """A regularization with one reference per parameter: buffers reference_0 and on."""

    def hold_references(self, references: Sequence[Tensor]) -> None:
        """Register `references`, which must be nobody else's memory, in the parameters' order."""
        for index, reference in enumerate(references):
            self.register_buffer(f"reference_{index}", reference)

    def reference(self, index: int) -> Tensor:
        """The reference of parameter number `index`, of the parameter's shape."""
        return self._buffers[f"reference_{index}"]  # type: ignore[return-value]

    @property
    def reference_weights(self) -> list[Tensor]:
        """All references, in the parameters' order."""
        return [self.reference(index) for index in range(len(self.param_names))]


class DaleLawL2(ReferencedRegularization):
    """Dale's law and small weights: sum_k Tr(W^T (alpha W - (1 - alpha) S)), S = sign(reference).

    Every weight with an opinion is pulled to (1 - alpha) / (2 alpha) times its sign (0.125 for
    alpha = 0.8), where the loss is negative; every weight without one (S = 0) is pulled to 0.

    Args:
        params: see `BaseRegularization`.
        alpha: in [0, 1]; 0 is Dale's law alone, 1 the sum of squares alone.
        reference_weights: one per parameter, of its shape (or a dict by the parameters' names);
            only the signs are kept, and 0 is no opinion. Use `WeightsDistance` for magnitudes.
            None draws them.
        Lambda, optimizer: see `BaseRegularization`.
        dale_words: `inh_ratio`, `rho`, `inh_first`, `seed` of `draw_dale_reference`, for drawn
            references only.

    Raises:
        TypeError: references and dale words together.
        ValueError: an unknown dale word, or alpha, a ratio, the number of references or a shape
            is out of bounds.

    The formula is NeuroTorch's; `regularization.dale` says how it is computed.
    """

    more_words: ClassVar[tuple[str, ...]] = DALE_WORDS

    def __init__(
        self,
        params: Params,
        alpha: float = 0.8,
        reference_weights: References | None = None,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
        **dale_words: Unpack[DaleWords],
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        self.alpha = bounded("alpha", alpha)
        self._rows: dict[int, tuple[Tensor, int, Tensor]] = {}
        self.hold_references(dale_signs(self, reference_weights, dale_words))

    def forward(self) -> Tensor:
        """The raw term; 0-d."""
        learnable = self.learnable()
        if not learnable:
            return self.zero()
        weights = [weight for _, weight in learnable]
        return dale_total(weights, [self._signs(index) for index, _ in learnable], self.alpha)

    def _signs(self, index: int) -> Tensor:
        """The reference, or the one row of a large reference whose rows are all alike."""
        reference = self.reference(index)
        if reference.numel() < LARGE or reference.is_meta:
            return reference
        seen, version, signs = self._rows.get(index, (None, 0, reference))
        # Looked at again when `.to()` has replaced the buffer or something has written into it.
        if seen is not reference or version != reference._version:
            signs = common_row(reference)
            self._rows[index] = (reference, reference._version, signs)
        return signs

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self._rows.clear()  # `.to()` moves buffers, and would leave these where they were
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_rows": {}}  # a copy or a pickle makes its own when it is called

    def extra_repr(self) -> str:
        """Alpha, for `print`."""
        return f"alpha={self.alpha:g}, {super().extra_repr()}"


class DaleLaw(DaleLawL2):
    """Dale's law alone: -sum_k <W, S>, which is `DaleLawL2` with alpha = 0.

    It is unbounded below: with nothing else in the loss to stop them, weights of the right sign
    grow for ever. `DaleHinge` stops once the signs are right.
    """

    def __init__(
        self,
        params: Params,
        reference_weights: References | None = None,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
        **dale_words: Unpack[DaleWords],
    ) -> None:
        super().__init__(params, 0.0, reference_weights, Lambda, optimizer, **dale_words)


class DaleHinge(ReferencedRegularization):
    """The magnitudes of wrong signs: sum_k sum_ij relu(-s_ij w_ij)^p; 0 once the signs are right.

    Args:
        params: see `BaseRegularization`.
        reference_weights, dale_words: see `DaleLawL2`.
        Lambda, optimizer: see `BaseRegularization`.
        p: the power, >= 1. With p = 1 every wrong weight is pushed equally hard.
    """

    more_words: ClassVar[tuple[str, ...]] = DALE_WORDS

    def __init__(
        self,
        params: Params,
        reference_weights: References | None = None,
        Lambda: float = 1.0,
        p: float = 1,
        optimizer: torch.optim.Optimizer | None = None,
        **dale_words: Unpack[DaleWords],
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        self.p = bounded("p", p, 1.0, math.inf)
        self.hold_references(dale_signs(self, reference_weights, dale_words))

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The summed violations of one parameter."""
        violation = torch.relu(weight * -self.reference(index))
        return (violation if self.p == 1 else violation**self.p).sum()

    def extra_repr(self) -> str:
        """The power, for `print`."""
        return f"p={self.p:g}, {super().extra_repr()}"


class WeightsDistance(ReferencedRegularization, Lp):
    """sum_k ||W_k - R_k||_p: how far weights have gone from a reference, magnitudes and all.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        reference_weights: one per parameter, of its shape, or a dict by the parameters' names.
        p, norm, squared, reduction: see `Lp`; norm="matrix" is || |W - R| ||_p, of magnitudes.
    """

    def __init__(
        self,
        params: Params,
        reference_weights: References,
        Lambda: float = 1.0,
        p: float = 1,
        norm: Norm = "entrywise",
        squared: bool = False,
        reduction: Reduction = "sum",
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(params, Lambda, p, norm, squared, reduction, optimizer)
        self.hold_references(given_references(self, reference_weights))

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The distance of one parameter from its reference."""
        difference = weight - self.reference(index)
        # The induced norm is taken of the magnitudes, as NeuroTorch does; entrywise is the same.
        return self.measure(index, difference.abs() if self.norm == "matrix" else difference)


class ExcRatioTargetRegularization(BaseRegularization):
    """Pulls the share of excitatory weights to a target: sum_k |m(W_k) + 1 - 2 target|.

    m(W) is the mean of softsign(w) = w / (1 + |w|) over the entries that are not exactly 0 (an
    absent connection has no sign): a stand-in for the mean sign that has a gradient. It also
    rewards larger weights, and says 0.5 or so of weights that are small whatever their signs; so
    what is reported is the true share, and this one only as `surrogate=True`.

    Args:
        params, Lambda, optimizer: see `BaseRegularization`.
        exc_target_ratio: the wanted share of excitatory weights, in [0, 1].
    """

    def __init__(
        self,
        params: Params,
        exc_target_ratio: float = 0.8,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        self.exc_target_ratio = bounded("exc_target_ratio", exc_target_ratio)

    def term(self, index: int, weight: Tensor) -> Tensor:
        """How far one parameter's surrogate is from the target; in [0, 2]."""
        return (mean_softsign(weight) + (1 - 2 * self.exc_target_ratio)).abs()

    def get_params_exc_ratio(self, surrogate: bool = False) -> list[float]:
        """The excitatory share of each parameter: of its nonzero weights, those above 0.

        NaN for a parameter that is all zero. `surrogate=True` gives (m(W) + 1) / 2 in its place,
        which is what the loss sees.
        """
        share = _surrogate_share if surrogate else _positive_share
        with torch.no_grad():
            return [share(weight) for weight in self.get_params()]

    def get_params_inh_ratio(self, surrogate: bool = False) -> list[float]:
        """The inhibitory share of each parameter: 1 - the excitatory one."""
        return [1 - ratio for ratio in self.get_params_exc_ratio(surrogate)]

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """The weighted term, and the true excitatory share of each parameter."""
        return super().on_pbar_update(trainer) | {"exc_ratio": self.get_params_exc_ratio()}

    def extra_repr(self) -> str:
        """The target, for `print`."""
        return f"exc_target_ratio={self.exc_target_ratio:g}, {super().extra_repr()}"


class InhRatioTargetRegularization(ExcRatioTargetRegularization):
    """Pulls the share of inhibitory weights to a target; see `ExcRatioTargetRegularization`."""

    def __init__(
        self,
        params: Params,
        inh_target_ratio: float = 0.2,
        Lambda: float = 1.0,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        target = bounded("inh_target_ratio", inh_target_ratio)
        super().__init__(params, 1 - target, Lambda, optimizer)
        self.inh_target_ratio = target

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """The weighted term, and the true inhibitory share of each parameter."""
        shown = BaseRegularization.on_pbar_update(self, trainer)
        return shown | {"inh_ratio": self.get_params_inh_ratio()}


def mean_softsign(weight: Tensor) -> Tensor:
    """The mean of w / (1 + |w|) over the entries of `weight` that are not 0; 0-d, in (-1, 1)."""
    return softsign(weight).sum() / weight.count_nonzero().clamp(min=1)


def given_references(regularization: BaseRegularization, references: References) -> list[Tensor]:
    """Copies of the caller's references, one per parameter, as the parameters are stored."""
    names, params = regularization.param_names, regularization.get_params()
    places = [regularization.places(index) for index in range(len(params))]
    return as_references(names, params, references, places)


def dale_signs(
    regularization: BaseRegularization, reference_weights: References | None, words: DaleWords
) -> list[Tensor]:
    """The signs of `reference_weights`, or drawn ones in the parameters' shapes.

    All are drawn from one stream, so that equal shapes do not get equal references.
    """
    refuse_unknown(words, DALE_WORDS, type(regularization).__name__)
    params = regularization.get_params()
    if reference_weights is not None:
        if words:
            given = ", ".join(words)
            raise TypeError(f"{given}: for drawn references only, but reference_weights are given")
        references = given_references(regularization, reference_weights)
        return [torch.sign(reference) for reference in references]
    generator = dale_generator(words.get("seed", 0))
    places = [regularization.places(index) for index in range(len(params))]
    return [
        draw_dale_reference(
            param.shape if where is None else where.shape,
            **words,
            generator=generator,
            columns=None if where is None else where.columns.cpu().numpy(),
        ).to(param)
        for param, where in zip(params, places, strict=True)
    ]


def _surrogate_share(weight: Tensor) -> float:
    return (mean_softsign(weight).item() + 1) / 2


def _positive_share(weight: Tensor) -> float:
    nonzero = int(weight.count_nonzero())
    return int((weight > 0).sum()) / nonzero if nonzero else math.nan
