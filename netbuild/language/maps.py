"""Maps: weights from one selection of units to another, and what constrains them."""

from __future__ import annotations

from typing import Annotated, Literal

from netbuild.language.base import Fraction, Model, Positive, Seed, as_in, key
from netbuild.language.masks import PlasticityMask, SignMask, SparsityMask
from netbuild.language.selection import Selection
from netbuild.language.weights import Bias, Uniform, Weight

# Defaults are made without validation: an instance that is validated builds its model's validator
# alone, while a spec builds those of all models together.
UNIFORM = Uniform.model_construct(init="uniform")


class Map(Model):
    """Weights from one selection of units to another, and what constrains them."""

    weight: Weight = key(UNIFORM, "the initial weights", "normal")
    bias: Bias | None = key(UNIFORM, "the initial biases; null is zero and never learns", "zero")
    density: Fraction | None = key(None, "fraction of connections present, chosen at random", 0.3)
    sparsity_mask: SparsityMask | None = key(
        None, "which connections exist", "masks/wiring.npy", also="mask"
    )
    ei_mask: SignMask | None = key(
        None,
        "the signs of the connections, where the layer that is read has none of its"
        " own: > 0 excitatory, < 0 inhibitory, 0 free",
        "masks/signs.npy",
        also="signs",
    )
    plasticity_mask: PlasticityMask | None = key(
        None,
        "how much of each update a weight takes, in [0, 1]; 0 is frozen for ever",
        "masks/plastic.csv",
        also="frozen plasticity",
    )
    self_connections: bool = key(
        True, "whether unit i may be connected to unit i", False, also="autapse autapses"
    )
    dale: Literal["project", "abs", "none"] = key(
        "project",
        "how signs hold: `project` clamps after every step; `abs` trains raw weights"
        " and uses |w| times sign; `none` does not hold them",
        "abs",
    )
    dale_init: Literal["abs", "clamp"] = key(
        "abs", "drawn weights of the wrong sign are flipped (`abs`) or set to 0 (`clamp`)", "clamp"
    )
    ei_balance: Literal["none", "row", "global", "nn4n"] = key(
        "none",
        "scale initial excitation and inhibition to equal sums: for each unit (`row`),"
        " over the whole matrix (`global`), or as nn4n does",
        "row",
    )
    storage: Literal["auto", "dense", "sparse"] = key(
        "auto",
        "`sparse` keeps values for the connections only, `dense` a whole matrix;"
        " `auto` takes what is faster and fits",
        "sparse",
        also="format layout sparse",
    )
    seed: Seed | None = key(None, "a seed of its own for masks and initial values", 3)


class Projection(Model):
    """One block of a map: from some of its units to some of them; other pairs are not connected.

    What it does not say is as the map has it.
    """

    from_: Selection = key(
        ...,
        "the units read: an area, `V1.excitatory`, a channel of the input, the whole"
        " source by its name, or by columns of its node table, `{kind: sensory}`",
        "V1.excitatory",
        alias="from",
    )
    to: Selection = key(
        ...,
        "the units of this layer that are reached: an area, `V1.inhibitory`, the"
        " whole layer by its name, or by columns of its node table, `{kind: motor}`",
        "PFC",
        also="post target",
    )
    weight: Weight | None = as_in(Map, "weight")
    density: Fraction | None = as_in(Map, "density")
    sparsity_mask: SparsityMask | None = as_in(Map, "sparsity_mask")
    plasticity_mask: PlasticityMask | None = as_in(Map, "plasticity_mask")
    self_connections: bool | None = as_in(Map, "self_connections")
    dale_init: Literal["abs", "clamp"] | None = as_in(Map, "dale_init")
    ei_balance: Literal["none", "row", "global", "nn4n"] | None = key(
        None, "scale initial excitation and inhibition of this block to equal sums", "row"
    )
    seed: Seed | None = as_in(Map, "seed")


Projections = Annotated[
    list[Projection] | None,
    key(
        ...,
        "the blocks of which the map consists; all pairs when left out",
        [{"from": "V1.excitatory", "to": "PFC", "density": 0.2}],
        min_length=1,
        max_length=10_000,
    ),
]


class InputMap(Map):
    """W_in u + b_in: from what the layer reads to its units."""

    projections: Projections = None


class RecurrentMap(Map):
    """W_rec r + b_rec: from the layer's units, one step before, to themselves."""

    projections: Projections = None
    spectral_radius: Positive | None = key(
        None,
        "the largest magnitude of an eigenvalue to which the initial effective weights are scaled",
        1.0,
    )
