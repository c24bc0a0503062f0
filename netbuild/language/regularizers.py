"""Regularizers: what `regularizers:` may hold. The loss is the task's plus sum Lambda * term."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Fraction, Model, Name, NonNegative, Seed, tag, told_by
from netbuild.language.masks import MaskFile, MaskValues
from netbuild.language.selection import Selection
from netbuild.language.shorthand import ROWS, Shorthand, listed, matrix


class DrawnReference(Model):
    """Signs drawn for presynaptic units, for maps that have none of their own."""

    inh_ratio: Fraction = Field(description="fraction of inhibitory units", examples=[0.2])
    rho: Fraction = Field(
        1.0, description="fraction of connections about which it has an opinion", examples=[0.99]
    )
    inh_first: bool = Field(
        True, description="whether the inhibitory units come first, or are drawn", examples=[False]
    )
    seed: Seed | None = Field(None, description="a seed of its own", examples=[0])


SignReference = Annotated[
    Annotated[MaskFile, tag(MaskFile)]
    | Annotated[MaskValues, tag(MaskValues)]
    | Annotated[DrawnReference, tag(DrawnReference)],
    told_by("reference", MaskFile, MaskValues, DrawnReference),
    Shorthand(matrix, {"type": "string"}, ROWS),
]
WeightReference = Annotated[
    Annotated[MaskFile, tag(MaskFile)] | Annotated[MaskValues, tag(MaskValues)],
    told_by("reference", MaskFile, MaskValues),
    Shorthand(matrix, {"type": "string"}, ROWS),
]


class Regularizer(Model):
    """What all regularizers have."""

    name: Name | None = Field(None, description="its name in logs", examples=["sparse"])
    params: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(
            min_length=1,
            description="the parameters, as `<layer>.weight`; `*` matches anything, dots too",
            examples=["*.weight"],
        ),
        Shorthand(listed, {"type": "string"}),
    ]
    from_: Selection | None = Field(
        None,
        alias="from",
        description="only connections from these presynaptic units",
        examples=[{"kind": "sensory"}],
    )
    to: Selection | None = Field(
        None,
        description="only connections to these postsynaptic units",
        examples=[{"kind": "motor"}],
    )
    Lambda: NonNegative = Field(1.0, description="its weight in the loss", examples=[1e-3])


class Norm(Regularizer):
    """What norms of parameters have."""

    norm: Literal["entrywise", "matrix"] = Field(
        "entrywise",
        description="of the entries, or the matrix norm that NeuroTorch takes",
        examples=["entrywise"],
    )
    squared: bool = Field(False, description="the square of the norm", examples=[True])
    reduction: Literal["sum", "mean"] = Field(
        "sum", description="sum or mean over the entries", examples=["mean"]
    )


class L1(Norm):
    """The sum of absolute values."""

    type: Literal["L1"]


class L2(Norm):
    """The square root of the sum of squares, or without the root if `squared`."""

    type: Literal["L2"]


class Lp(Norm):
    """(sum |w|^p)^(1/p)."""

    type: Literal["Lp"]
    p: float = Field(1.0, ge=1, description="the exponent", examples=[1.5])


class DaleLaw(Regularizer):
    """-sum w * sign: rewards weights of the right sign, without a lower bound."""

    type: Literal["DaleLaw"]
    reference: SignReference | None = Field(
        None, description="the signs; the map's own when left out", examples=["masks/signs.npy"]
    )


class DaleLawL2(DaleLaw):
    """Tr(W^T (alpha W - (1 - alpha) S)): Dale's law and L2 in one."""

    type: Literal["DaleLawL2"]  # type: ignore[assignment]
    alpha: Fraction = Field(0.8, description="0 is Dale's law alone, 1 is L2 alone", examples=[0.8])


class DaleHinge(DaleLaw):
    """sum max(-S w, 0)^p: zero once the signs are right."""

    type: Literal["DaleHinge"]  # type: ignore[assignment]
    p: float = Field(1.0, ge=1, description="the exponent", examples=[2])


class ExcRatioTarget(Regularizer):
    """Draws the fraction of positive weights towards a target."""

    type: Literal["ExcRatioTargetRegularization"]
    exc_target_ratio: Fraction = Field(
        0.8, description="wanted fraction of positive weights", examples=[0.8]
    )


class InhRatioTarget(Regularizer):
    """Draws the fraction of negative weights towards a target."""

    type: Literal["InhRatioTargetRegularization"]
    inh_target_ratio: Fraction = Field(
        0.2, description="wanted fraction of negative weights", examples=[0.2]
    )


class WeightsDistance(Norm):
    """The p-norm of the difference from reference weights."""

    type: Literal["WeightsDistance"]
    p: float = Field(1.0, ge=1, description="the exponent", examples=[1])
    reference: WeightReference = Field(
        description="the reference weights", examples=["weights/start.npy"]
    )


class ActivityRegularizer(Model):
    """What all regularizers of activity have."""

    name: Name | None = Field(None, description="its name in logs", examples=["rates"])
    layers: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]],
        Field(min_length=1, description="the layers whose rates are meant", examples=[["hidden"]]),
        Shorthand(listed, {"type": "string"}),
    ]
    units: Selection | None = Field(
        None, description="only the rates of these units", examples=[{"kind": "motor"}]
    )
    of: Literal["sample", "unit_mean"] = Field(
        "sample",
        description="of each unit's rate at each step of each trial, or of its mean over batch and"
        " time",
        examples=["unit_mean"],
    )
    Lambda: NonNegative = Field(1.0, description="its weight in the loss", examples=[1e-3])


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
    Annotated[L1, tag(L1)]
    | Annotated[L2, tag(L2)]
    | Annotated[Lp, tag(Lp)]
    | Annotated[DaleLaw, tag(DaleLaw)]
    | Annotated[DaleLawL2, tag(DaleLawL2)]
    | Annotated[DaleHinge, tag(DaleHinge)]
    | Annotated[ExcRatioTarget, tag(ExcRatioTarget)]
    | Annotated[InhRatioTarget, tag(InhRatioTarget)]
    | Annotated[WeightsDistance, tag(WeightsDistance)]
    | Annotated[FiringRateL1, tag(FiringRateL1)]
    | Annotated[FiringRateL2, tag(FiringRateL2)]
    | Annotated[FiringRateVariance, tag(FiringRateVariance)],
    told_by(
        "type",
        *(L1, L2, Lp, DaleLaw, DaleLawL2, DaleHinge),
        *(ExcRatioTarget, InhRatioTarget, WeightsDistance),
        *(FiringRateL1, FiringRateL2, FiringRateVariance),
    ),
]
