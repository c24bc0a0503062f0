"""Maps: weights from one selection of units to another, and what constrains them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from netbuild.errors import DataFileError
from netbuild.language import weights
from netbuild.language.base import Fraction, Model, Positive, Seed, as_in, key
from netbuild.language.context import Here
from netbuild.language.masks import (
    SPARSITY,
    PlasticityMask,
    SignMask,
    SparsityMask,
    array_of,
    connections_of,
    matrix_at,
    plasticity_of,
    signs_read,
)
from netbuild.language.plan import MapPlan, Matrix, Site
from netbuild.language.storage import WHOLE, stored
from netbuild.language.units import Selection
from netbuild.language.values import as_float32
from netbuild.language.weights import Bias, Uniform, Weight
from netbuild.wiring import Connections

if TYPE_CHECKING:  # which reads files that few specs name
    from netbuild.language.connectome import Wired

BY_CONNECTOME = ("projections", "density", "sparsity_mask", "ei_mask")

# Defaults are made without validation: an instance that is validated builds its model's validator
# alone, while a spec builds those of all models together.
UNIFORM = Uniform.model_construct(init="uniform")


class Map(Model):
    """Weights from one selection of units to another, and what constrains them."""

    foreign: ClassVar = SPARSITY
    # The keys that the checks turn into arrays. A layer takes all others as they are written.
    checked: ClassVar[set[str]] = {
        *("weight", "bias", "density", "sparsity_mask", "ei_mask", "plasticity_mask"),
        *("self_connections", "storage", "seed", "projections"),
    }

    weight: Weight = key(UNIFORM, "the initial weights", "normal")
    bias: Bias | None = key(UNIFORM, "the initial biases; null is zero and never learns", "zero")
    density: Fraction | None = key(None, "fraction of connections present, chosen at random", 0.3)
    sparsity_mask: SparsityMask | None = key(
        None, "which connections exist", "masks/wiring.npy", also="mask"
    )
    ei_mask: SignMask | None = key(
        None,
        "the signs of the connections, if the units that the map reads have no signs:"
        " > 0 excitatory, < 0 inhibitory, 0 free",
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
    seed: Seed | None = key(
        None, "the seed of the masks and initial values; that of the spec when left out", 3
    )


class Projection(Model):
    """One block of a map: from some of its units to some of them; other pairs are not connected.

    A key that is left out is as in the map.
    """

    foreign: ClassVar = SPARSITY

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


# The arrays of a map


def check_map(
    site: Site,
    signs: Matrix | None,
    made: Connections | None = None,
    counts: Matrix | None = None,
) -> MapPlan:
    """The plan of a map whose signs are known, with a problem for each key that does not fit.

    `made` are the connections that a connectome says, with their synapse `counts` (connection,).
    """
    section = site.section
    _check_raw(site, signs)
    if made is None:
        made = connections_of(site) or Connections(site.input_dim, site.output_dim)
    kept = stored(section, made)
    if kept.is_sparse and isinstance(section.weight, WHOLE):
        what = f"`{section.weight.init}` needs a whole matrix, and `storage: sparse` keeps none"
        hint = "write `storage: dense`, or another init"
        site.here["weight"].problem("NB308", what, hint)
    if isinstance(section.weight, weights.ConnectomeCounts):
        weight = _counted(site, signs, made, kept, counts)
    else:
        weight = _weight(site, kept)
    return MapPlan(
        **vars(site),
        connections=kept,
        signs=signs,
        plasticity=plasticity_of(site, made, kept),
        weight=weight,
        bias=bias_of(site),
        weight_learns=section.weight.learn,
    )


def check_wired(site: Site, wired: Wired) -> MapPlan:
    """The plan of a map whose connections are those of a connectome."""
    section = site.section
    for name in BY_CONNECTOME:
        if getattr(section, name, None) is not None:
            said = "give the signs" if name == "ei_mask" else "say which connections exist"
            what = f"`connectome` and `{name}` both {said}"
            site.here[name].problem("NB308", what, "remove one of them", key=True)
    signs = None if site.reads.signed else wired.table.signs
    if signs is None:
        signs = signs_read(site)
    wiring, counts = wired.wiring, wired.counts
    if not section.self_connections:
        others = wiring.sources != wiring.targets
        wiring, counts = wiring.keep(others), counts[others]
    made = Connections(site.input_dim, site.output_dim, wiring=wiring)
    return _learnt(check_map(site, signs, made, counts), wired)


def _learnt(plan: MapPlan, wired: Wired) -> MapPlan:
    """A connectome's map with the parameters that learn by its key `learn`."""
    learn = wired.words.learn
    if learn == "weights":
        return plan
    if plan.section.plasticity_mask is not None:
        why = "no weight learns"
        if learn != "nothing":
            why = "connections share the factors that learn"
        what = f"under `learn: {learn}` {why}, so `plasticity_mask` has no effect"
        hint = "remove it, or write `learn: weights`"
        plan.here["plasticity_mask"].problem("NB308", what, hint, key=True)
    plan = replace(plan, weight_learns=False)
    if learn == "nothing":
        return plan
    from netbuild.language.connectome import groups_of

    wiring = plan.connections.graph()
    groups, names = groups_of(wired, wiring)
    return replace(plan, groups=plan.connections.placed(groups), group_names=names)


def _check_raw(site: Site, signs: Matrix | None) -> None:
    """Under `dale: abs` no raw weight may be drawn as 0, where |w| has no gradient."""
    section, source = site.section, site.section.weight
    given = isinstance(source, (weights.WeightFile, weights.WeightValues))
    if section.dale != "abs" or signs is None or not signs.any() or given:
        return
    if section.dale_init == "clamp":
        what = "`dale: abs` never trains weights that `dale_init: clamp` sets to 0"
        hint = "write `dale_init: abs`, or `dale: project`"
        site.here["dale_init"].problem("NB308", what, hint)
    elif source.learn and weights.sure_value(source) == 0:
        what = "`dale: abs` never trains weights that start at 0"
        hint = "take another init, or `dale: project`"
        site.here["weight"].problem("NB308", what, hint)


def _counted(
    site: Site,
    signs: Matrix | None,
    made: Connections,
    kept: Connections,
    counts: Matrix | None,
) -> Matrix | None:
    """The synapse counts of a connectome, under the signs of its units, in the weight's layout."""
    here = site.here["weight"]
    if counts is None:
        what = "`weight: connectome` needs a connectome, and this map has none"
        hint = "the key `connectome` of a layer wires the map of a linear layer, or `recurrent`"
        here.problem("NB308", what, hint)
        return None
    if not here.numbers_fit(site.section.weight):
        return None
    found = counts * np.float32(site.section.weight.scale)
    if signs is not None and signs.ndim == 1:
        found *= made.of(np.where(signs == 0, 1, signs).astype(np.float32))
    return kept.placed(found)


def _weight(site: Site, kept: Connections) -> Matrix | None:
    """The initial weights that a file or the spec gives, in the weight's layout."""
    here = site.here["weight"]
    source = site.section.weight
    if not isinstance(source, (weights.WeightFile, weights.WeightValues)):
        weights.check_numbers(here, source, site.input_dim)
        return None
    shape = site.output_dim, site.input_dim

    def read() -> Matrix:
        matrix = matrix_at(here, source, shape, as_float32)
        return np.ascontiguousarray(kept.of(matrix))

    return here.attempt(read)


def bias_of(site: Site) -> Matrix | None:
    """The bias that a file or the spec gives, (output_dim,)."""
    here = site.here["bias"]
    source = site.section.bias
    if not isinstance(source, (weights.BiasFile, weights.BiasValues)):
        if source is not None:
            weights.check_numbers(here, source, site.input_dim)
        return None
    size = site.output_dim
    return here.attempt(lambda: vector_of(here, source, "bias", "output_dim", size))


def vector_of(here: Here, source: Any, what: str, axis: str, size: int) -> Matrix:
    """One value for each unit, from a file or the spec, in float32; raises DataFileError."""
    found = array_of(here, source)
    if found.size != size or max(found.shape) != found.size:
        said = f"the {what} is {found.shape}; this layer expects ({axis}={size},)"
        raise DataFileError("NB201", said)
    return as_float32(found.reshape(-1))
