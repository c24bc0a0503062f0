"""Maps: weights from one selection of units to another, and what constrains them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Fraction, Model, Positive, Seed
from netbuild.language.masks import PlasticityMask, SignMask, SparsityMask
from netbuild.language.selection import Selection
from netbuild.language.weights import Bias, Uniform, Weight

# Defaults are made without validation: an instance that is validated builds its model's validator
# alone, while a spec builds those of all models together.
UNIFORM = Uniform.model_construct(init="uniform")

Density = Annotated[
    Fraction | None,
    Field(description="fraction of connections present, chosen at random", examples=[0.3]),
]


class Map(Model):
    """Weights from one selection of units to another, and what constrains them."""

    weight: Weight = Field(UNIFORM, description="the initial weights", examples=["normal"])
    bias: Bias | None = Field(
        UNIFORM,
        description="the initial biases; null is zero and never learns",
        examples=["zero"],
    )
    density: Density = None
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
    storage: Literal["auto", "dense", "sparse"] = Field(
        "auto",
        description="`sparse` keeps values for the connections only, `dense` a whole matrix;"
        " `auto` takes what is faster and fits",
        examples=["sparse"],
    )
    seed: Seed | None = Field(
        None, description="a seed of its own for masks and initial values", examples=[3]
    )


class Projection(Model):
    """One block of a map: from some of its units to some of them; other pairs are not connected.

    What it does not say is as the map has it.
    """

    from_: Selection = Field(
        alias="from",
        description="the units read: an area, `V1.excitatory`, a channel of the input, the whole"
        " source by its name, or by columns of its node table, `{kind: sensory}`",
        examples=["V1.excitatory"],
    )
    to: Selection = Field(
        description="the units of this layer that are reached: an area, `V1.inhibitory`, the"
        " whole layer by its name, or by columns of its node table, `{kind: motor}`",
        examples=["PFC"],
    )
    weight: Weight | None = Field(None, description="the initial weights", examples=["normal"])
    density: Density = None
    sparsity_mask: SparsityMask | None = Field(
        None, description="which connections exist", examples=["masks/wiring.npy"]
    )
    plasticity_mask: PlasticityMask | None = Field(
        None,
        description="how much of each update a weight takes, in [0, 1]; 0 is frozen for ever",
        examples=["masks/plastic.csv"],
    )
    self_connections: bool | None = Field(
        None, description="whether unit i may be connected to unit i", examples=[False]
    )
    dale_init: Literal["abs", "clamp"] | None = Field(
        None,
        description="drawn weights of the wrong sign are flipped (`abs`) or set to 0 (`clamp`)",
        examples=["clamp"],
    )
    ei_balance: Literal["none", "row", "global", "nn4n"] | None = Field(
        None,
        description="scale initial excitation and inhibition of this block to equal sums",
        examples=["row"],
    )
    seed: Seed | None = Field(
        None, description="a seed of its own for masks and initial values", examples=[3]
    )


Projections = Annotated[
    list[Projection] | None,
    Field(
        min_length=1,
        max_length=10_000,
        description="the blocks of which the map consists; all pairs when left out",
        examples=[[{"from": "V1.excitatory", "to": "PFC", "density": 0.2}]],
    ),
]


class InputMap(Map):
    """W_in u + b_in: from what the layer reads to its units."""

    projections: Projections = None


class RecurrentMap(Map):
    """W_rec r + b_rec: from the layer's units, one step before, to themselves."""

    projections: Projections = None
    spectral_radius: Positive | None = Field(
        None,
        description="the largest magnitude of an eigenvalue to which the initial effective weights"
        " are scaled",
        examples=[1.0],
    )
