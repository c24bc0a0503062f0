"""Regularizers: what `regularizers:` may hold. The loss is the task's plus sum Lambda * term."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Fraction, Model, Name, NonNegative, OneOf, Seed, key
from netbuild.language.masks import MaskFile, MaskValues
from netbuild.language.shorthand import ROWS, Names, Shorthand, listed, matrix
from netbuild.language.units import Selection


class DrawnReference(Model):
    """Signs drawn for presynaptic units, for maps without signs."""

    inh_ratio: Fraction = key(..., "fraction of inhibitory units", 0.2)
    rho: Fraction = key(1.0, "fraction of connections that have a reference sign", 0.99)
    inh_first: bool = key(True, "whether the inhibitory units come first, or are drawn", False)
    seed: Seed | None = key(None, "the seed of this drawing alone", 0)


SignReference = Annotated[
    MaskFile | MaskValues | DrawnReference,
    OneOf("reference"),
    Shorthand(matrix, {"type": "string"}, ROWS),
]
WeightReference = Annotated[
    MaskFile | MaskValues, OneOf("reference"), Shorthand(matrix, {"type": "string"}, ROWS)
]


Strength = Annotated[
    NonNegative, key(..., "the factor of this term in the loss", 1e-3, also="coefficient strength")
]


class Regularizer(Model):
    """What all regularizers have."""

    name: Name | None = key(None, "its name in logs", "sparse")
    params: Names = key(
        ...,
        "the parameters, as `<layer>.weight`; `*` matches anything, dots included",
        "*.weight",
        also="parameters",
        min_length=1,
    )
    from_: Selection | None = key(
        None, "only connections from these presynaptic units", {"kind": "sensory"}, alias="from"
    )
    to: Selection | None = key(
        None, "only connections to these postsynaptic units", {"kind": "motor"}
    )
    Lambda: Strength = 1.0

    def needs_whole(self) -> str:
        """The key by which the term is of whole matrices, and so not of some connections; or ""."""
        return ""


class Norm(Regularizer):
    """What norms of parameters have."""

    norm: Literal["entrywise", "matrix"] = key(
        "entrywise", "of the entries, or the matrix norm that NeuroTorch takes", "entrywise"
    )
    squared: bool = key(False, "the square of the norm", True)
    reduction: Literal["sum", "mean"] = key("sum", "sum or mean over the entries", "mean")

    def needs_whole(self) -> str:
        """`norm: matrix` does."""
        return "norm" if self.norm == "matrix" else ""


class L1(Norm):
    """The sum of absolute values."""

    type: Literal["L1"]


class L2(Norm):
    """The square root of the sum of squares, or without the root if `squared`."""

    type: Literal["L2"]


class Lp(Norm):
    """(sum |w|^p)^(1/p)."""

    type: Literal["Lp"]
    p: float = key(1.0, "the exponent", 1.5, ge=1)


class DaleLaw(Regularizer):
    """-sum w * sign: rewards weights of the right sign, without a lower bound."""

    type: Literal["DaleLaw"]
    reference: SignReference | None = key(
        None, "the signs; the map's own when left out", "masks/signs.npy"
    )


class DaleLawL2(DaleLaw):
    """Tr(W^T (alpha W - (1 - alpha) S)): Dale's law and L2 in one."""

    type: Literal["DaleLawL2"]  # type: ignore[assignment]
    alpha: Fraction = key(0.8, "0 is Dale's law alone, 1 is L2 alone", 0.8)


class DaleHinge(DaleLaw):
    """sum max(-S w, 0)^p: zero once the signs are right."""

    type: Literal["DaleHinge"]  # type: ignore[assignment]
    p: float = key(1.0, "the exponent", 2, ge=1)


class ExcRatioTarget(Regularizer):
    """Draws the fraction of positive weights towards a target."""

    type: Literal["ExcRatioTargetRegularization"]
    exc_target_ratio: Fraction = key(0.8, "wanted fraction of positive weights", 0.8)


class InhRatioTarget(Regularizer):
    """Draws the fraction of negative weights towards a target."""

    type: Literal["InhRatioTargetRegularization"]
    inh_target_ratio: Fraction = key(0.2, "wanted fraction of negative weights", 0.2)


class WeightsDistance(Norm):
    """The p-norm of the difference from reference weights."""

    type: Literal["WeightsDistance"]
    p: float = key(1.0, "the exponent", 1, ge=1)
    reference: WeightReference = key(..., "the reference weights", "weights/start.npy")


class ActivityRegularizer(Model):
    """What all regularizers of activity have."""

    name: Name | None = key(None, "its name in logs", "rates")
    layers: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]],
        key(..., "the layers whose rates are regularized", ["hidden"], min_length=1),
        Shorthand(listed, {"type": "string"}),
    ]
    units: Selection | None = key(None, "only the rates of these units", {"kind": "motor"})
    of: Literal["sample", "unit_mean"] = key(
        "sample",
        "of each unit's rate at each step of each trial, or of its mean over batch and time",
        "unit_mean",
    )
    Lambda: Strength = 1.0


class FiringRateL1(ActivityRegularizer):
    """mean |r|."""

    type: Literal["FiringRateL1"]


class FiringRateL2(ActivityRegularizer):
    """mean r^2."""

    type: Literal["FiringRateL2"]


class FiringRateVariance(ActivityRegularizer):
    """The variance of the rates across units."""

    type: Literal["FiringRateVariance"]


RegularizerSpec = Annotated[
    L1
    | L2
    | Lp
    | DaleLaw
    | DaleLawL2
    | DaleHinge
    | ExcRatioTarget
    | InhRatioTarget
    | WeightsDistance
    | FiringRateL1
    | FiringRateL2
    | FiringRateVariance,
    OneOf("type"),
]
