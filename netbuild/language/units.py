"""Units: what they read, their activation, and which of them are excitatory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Fraction, Model, Positive, Size, tag, told_by
from netbuild.language.selection import Selection
from netbuild.language.shorthand import Shorthand, text

From = Annotated[
    Selection | None,
    Field(
        description="what this layer reads: `input`, a layer before it or one of its areas, or a"
        " part of one, `hidden.excitatory`, `V1.inhibitory` or, by columns of the node table,"
        " `{layer: hidden, kind: motor}`; the layer before when left out",
        examples=["hidden.excitatory"],
    ),
]


class Power(Model):
    """f(v) = max(v, 0)^n."""

    type: Literal["power"]
    n: Positive = Field(2.0, description="the exponent", examples=[2])


class Named(Model):
    """An activation without arguments."""

    type: Literal["linear", "relu", "tanh", "sigmoid", "softplus", "retanh"]


Activation = Annotated[
    Annotated[Named, tag(Named)] | Annotated[Power, tag(Power)],
    told_by("type", Named, Power),
    Shorthand(
        text("type"), {"enum": ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]}
    ),
]

InputDim = Annotated[
    Size | None,
    Field(description="units read; known from the layer before or the task", examples=[64]),
]
Excitatory = Annotated[
    Fraction | None,
    Field(
        description="round-half-up(excitatory x units) units are excitatory, the rest"
        " inhibitory; every map that reads them obeys the signs",
        examples=[0.8],
    ),
]
LINEAR = Named.model_construct(type="linear")
RELU = Named.model_construct(type="relu")
