"""What layers have in common: their name, what they read, their units and their activation."""

from __future__ import annotations

from typing import Annotated, Literal

from netbuild.language.base import Fraction, Model, Name, OneOf, Positive, Size, key
from netbuild.language.connectome import Connectome
from netbuild.language.selection import Selection
from netbuild.language.shorthand import Shorthand, text


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


class AnyLayer(Model):
    """What every layer has."""

    name: Name
    from_: Selection | None = key(
        None,
        "what this layer reads: `input`, a layer before it or one of its areas, or a"
        " part of one, `hidden.excitatory`, `V1.inhibitory` or, by columns of the node table,"
        " `{layer: hidden, kind: motor}`; the layer before when left out",
        "hidden.excitatory",
        also="pre source",
        alias="from",
    )


class LayerOfUnits(AnyLayer):
    """What a layer with units of its own has, whose inputs are weighted."""

    input_dim: Size | None = key(
        None,
        "units read; known from the layer before or the task",
        64,
        also="in_features input_size inputs",
    )
    connectome: Connectome | None = key(
        None,
        "real wiring from files: it says the layer's units, their signs and which"
        " connections exist",
        {"edges": "edges.csv", "neurons": "neurons.csv"},
        also="connectivity wiring edge_list",
    )
    excitatory: Excitatory = None
