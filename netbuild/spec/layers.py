"""Layers: what `layers:` may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.spec.base import Fraction, Model, Name, Positive, Seed, Size, tag, told_by
from netbuild.spec.masks import PlasticityMask, SignMask, SparsityMask
from netbuild.spec.shorthand import Shorthand, typed
from netbuild.spec.weights import Bias, Uniform, Weight

# Its form is checked with the layers at hand, which tell more of what was meant than a pattern.
From = Annotated[
    str | None,
    Field(
        description="what this layer reads: `input`, a layer before it, or a part of one,"
        " `hidden.excitatory` or `hidden.inhibitory`; the layer before when left out",
        examples=["hidden.excitatory"],
        json_schema_extra={"pattern": r"^[a-z][a-z0-9_]*(\.(excitatory|inhibitory))?$"},
    ),
]


class Power(Model):
    """f(v) = max(v, 0)^n."""

    type: Literal["power"]
    n: Positive = Field(2.0, description="the exponent", examples=[2])


class Named(Model):
    """An activation without arguments."""

    type: Literal["linear", "relu", "tanh", "sigmoid", "softplus", "retanh"]


# Defaults are made without validation: an instance that is validated builds its model's validator
# alone, while a spec builds those of all models together.
LINEAR = Named.model_construct(type="linear")
UNIFORM = Uniform.model_construct(init="uniform")

Activation = Annotated[
    Annotated[Named, tag(Named)] | Annotated[Power, tag(Power)],
    told_by("type", Named, Power),
    Shorthand(
        typed, {"enum": ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]}
    ),
]


class Map(Model):
    """Weights from one selection of units to another, and what constrains them."""

    weight: Weight = Field(UNIFORM, description="the initial weights", examples=["normal"])
    bias: Bias | None = Field(
        UNIFORM,
        description="the initial biases; null is zero and never learns",
        examples=["zero"],
    )
    density: Fraction | None = Field(
        None,
        description="fraction of connections present, chosen at random",
        examples=[0.3],
    )
    sparsity_mask: SparsityMask | None = Field(
        None, description="which connections exist", examples=["masks/wiring.npy"]
    )
    ei_mask: SignMask | None = Field(
        None,
        description="the signs of the connections, where the layer that is read has none of its"
        " own: > 0 excitatory, < 0 inhibitory, 0 free",
        examples=["masks/signs.npy"],
    )
    plasticity_mask: PlasticityMask | None = Field(
        None,
        description="how much of each update a weight takes, in [0, 1]; 0 is frozen for ever",
        examples=["masks/plastic.csv"],
    )
    self_connections: bool = Field(
        True, description="whether unit i may be connected to unit i", examples=[False]
    )
    dale: Literal["project", "abs", "none"] = Field(
        "project",
        description="how signs hold: `project` clamps after every step; `abs` trains raw weights"
        " and uses |w| times sign; `none` does not hold them",
        examples=["abs"],
    )
    dale_init: Literal["abs", "clamp"] = Field(
        "abs",
        description="drawn weights of the wrong sign are flipped (`abs`) or set to 0 (`clamp`)",
        examples=["clamp"],
    )
    ei_balance: Literal["none", "row", "global", "nn4n"] = Field(
        "none",
        description="scale initial excitation and inhibition to equal sums: for each unit (`row`),"
        " over the whole matrix (`global`), or as nn4n does",
        examples=["row"],
    )
    seed: Seed | None = Field(
        None, description="a seed of its own for masks and initial values", examples=[3]
    )


class Linear(Map):
    """y = f(W x + b)."""

    type: Literal["linear"]
    name: Name
    from_: From = Field(None, alias="from")
    input_dim: Size | None = Field(
        None, description="units read; known from the layer before or the task", examples=[64]
    )
    output_dim: Size = Field(description="units of this layer", examples=[128])
    excitatory: Fraction | None = Field(
        None,
        description="round-half-up(excitatory x output_dim) units are excitatory, the rest"
        " inhibitory; every map that reads this layer obeys the signs",
        examples=[0.8],
    )
    activation: Activation = Field(LINEAR, description="f", examples=["relu"])


class Dropout(Model):
    """Each value is 0 with probability p in training, and the others are divided by 1 - p."""

    type: Literal["dropout"]
    name: Name
    from_: From = Field(None, alias="from")
    p: float = Field(ge=0, lt=1, description="probability of 0", examples=[0.1])


Layer = Annotated[
    Annotated[Linear, tag(Linear)] | Annotated[Dropout, tag(Dropout)],
    told_by("type", Linear, Dropout),
]
