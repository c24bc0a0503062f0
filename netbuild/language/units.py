"""Units: what they read, their activation, and which of them are excitatory."""

from __future__ import annotations

from typing import Annotated, Literal

from netbuild.language.base import Fraction, Model, OneOf, Positive, Size, key
from netbuild.language.selection import Selection
from netbuild.language.shorthand import Shorthand, text

From = Annotated[
    Selection | None,
    key(
        ...,
        "what this layer reads: `input`, a layer before it or one of its areas, or a"
        " part of one, `hidden.excitatory`, `V1.inhibitory` or, by columns of the node table,"
        " `{layer: hidden, kind: motor}`; the layer before when left out",
        "hidden.excitatory",
        also="pre source",
        alias="from",
    ),
]


class Power(Model):
    """f(v) = max(v, 0)^n."""

    type: Literal["power"]
    n: Positive = key(2.0, "the exponent", 2)


class Named(Model):
    """An activation without arguments."""

    type: Literal["linear", "relu", "tanh", "sigmoid", "softplus", "retanh"]


Activation = Annotated[
    Named | Power,
    OneOf("type"),
    Shorthand(
        text("type"), {"enum": ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]}
    ),
]

InputDim = Annotated[
    Size | None,
    key(
        ...,
        "units read; known from the layer before or the task",
        64,
        also="in_features input_size inputs",
    ),
]
Excitatory = Annotated[
    Fraction | None,
    key(
        ...,
        "round-half-up(excitatory x units) units are excitatory, the rest"
        " inhibitory; every map that reads them obeys the signs",
        0.8,
    ),
]
LINEAR = Named.model_construct(type="linear")
RELU = Named.model_construct(type="relu")
