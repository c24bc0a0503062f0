"""Maps: which of their keys go together, and the arrays of one map."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netbuild.errors import DataFileError
from netbuild.language import weights
from netbuild.language.base import Model
from netbuild.language.check_masks import (
    array_of,
    connections_of,
    matrix_at,
    plasticity_of,
    signs_read,
)
from netbuild.language.context import Here, as_float32
from netbuild.language.plan import MapPlan, Matrix, Site
from netbuild.language.storage import WHOLE, stored
from netbuild.wiring import Connections

if TYPE_CHECKING:  # which reads files that few specs name
    from netbuild.language.connectome import Wired

BY_CONNECTOME = ("projections", "density", "sparsity_mask", "ei_mask")


def check_map(
    site: Site,
    signs: Matrix | None,
    made: Connections | None = None,
    counts: Matrix | None = None,
) -> MapPlan:
    """The plan of a map whose signs are known, with a problem for each key that does not fit.

    `made` are the connections that a connectome says, with their synapse `counts` (connection,).
    """
    words = site.words
    _check_raw(site, signs)
    if made is None:
        made = connections_of(site) or Connections(site.input_dim, site.output_dim)
    kept = stored(words, made)
    if kept.is_sparse and isinstance(words.weight, WHOLE):
        what = f"`{words.weight.init}` is of a whole matrix, and `storage: sparse` keeps none"
        hint = "write `storage: dense`, or another init"
        site.here["weight"].problem("NB308", what, hint)
    if isinstance(words.weight, weights.ConnectomeCounts):
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
        weight_learns=words.weight.learn,
    )


def check_wired(site: Site, wired: Wired) -> MapPlan:
    """The plan of a map whose connections are those of a connectome."""
    words = site.words
    for key in BY_CONNECTOME:
        if getattr(words, key, None) is not None:
            what = f"`connectome` says it already, and `{key}` too"
            site.here[key].problem("NB308", what, "remove one of them", key=True)
    signs = None if site.reads.signed else wired.table.signs
    if signs is None:
        signs = signs_read(site)
    wiring, counts = wired.wiring, wired.counts
    if not words.self_connections:
        others = wiring.sources != wiring.targets
        wiring, counts = wiring.keep(others), counts[others]
    made = Connections(site.input_dim, site.output_dim, wiring=wiring)
    return _learnt(check_map(site, signs, made, counts), wired)


def _learnt(plan: MapPlan, wired: Wired) -> MapPlan:
    """A connectome's map with the parameters that learn by its key `learn`."""
    learn = wired.words.learn
    if learn == "weights":
        return plan
    if plan.words.plasticity_mask is not None:
        why = "no weight learns"
        if learn != "nothing":
            why = "connections share the factors that learn"
        what = f"under `learn: {learn}` {why}, and a plasticity of each connection says nothing"
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
    words, source = site.words, site.words.weight
    given = isinstance(source, (weights.WeightFile, weights.WeightValues))
    if words.dale != "abs" or signs is None or not signs.any() or given:
        return
    if words.dale_init == "clamp":
        what = "`dale: abs` never trains weights that `dale_init: clamp` sets to 0"
        hint = "write `dale_init: abs`, or `dale: project`"
        site.here["dale_init"].problem("NB308", what, hint)
    elif source.learn and sure_value(source) == 0:
        what = "`dale: abs` never trains weights that start at 0"
        hint = "take another init, or `dale: project`"
        site.here["weight"].problem("NB308", what, hint)


def sure_value(source: Model) -> float | None:
    """The one value that an init gives to all weights; None where they differ, or are drawn."""
    if isinstance(source, weights.Zero):
        return 0.0
    if isinstance(source, weights.Constant):
        return source.value
    return source.mean if isinstance(source, weights.Normal) and source.std == 0 else None


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
        what = "there is no connectome whose counts this weight could be"
        hint = "the layer needs a key `connectome`, whose wiring its recurrent map is"
        here.problem("NB308", what, hint)
        return None
    if not here.numbers_fit(site.words.weight):
        return None
    found = counts * np.float32(site.words.weight.scale)
    if signs is not None and signs.ndim == 1:
        found *= made.of(np.where(signs == 0, 1, signs).astype(np.float32))
    return kept.placed(found)


def _weight(site: Site, kept: Connections) -> Matrix | None:
    """The initial weights that a file or the spec gives, in the weight's layout."""
    here = site.here["weight"]
    source = site.words.weight
    if not isinstance(source, (weights.WeightFile, weights.WeightValues)):
        _check_numbers(here, source, site.input_dim)
        return None
    shape = site.output_dim, site.input_dim

    def read() -> Matrix:
        matrix = matrix_at(here, source, shape, as_float32)
        return np.ascontiguousarray(kept.of(matrix))

    return here.attempt(read)


def bias_of(site: Site) -> Matrix | None:
    """The bias that a file or the spec gives, (output_dim,)."""
    here = site.here["bias"]
    source = site.words.bias
    if not isinstance(source, (weights.BiasFile, weights.BiasValues)):
        if source is not None:
            _check_numbers(here, source, site.input_dim)
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


def _check_numbers(here: Here, source: Model, input_dim: int) -> None:
    """Check the arguments of an init, each by itself and together."""
    if not here.numbers_fit(source):
        return
    low, high = getattr(source, "low", None), getattr(source, "high", None)
    if low is None and high is None:
        return
    if low is None or high is None:
        missing = "low" if low is None else "high"
        here.problem("NB308", "`low` and `high` go together", f"write `{missing}` too")
    elif low >= high:
        what = f"`low`, {low:g}, is not below `high`, {high:g}"
        here["low"].problem("NB104", what)
    elif isinstance(source, weights.TruncNormal):
        std = source.std if source.std is not None else 1 / math.sqrt(input_dim)
        if not low - 2 * std <= source.mean <= high + 2 * std:
            what = f"the mean, {source.mean:g}, is far outside of {low:g} to {high:g}"
            hint = f"at most 2 standard deviations, here {2 * std:g}, from the range"
            here.problem("NB308", what, hint)
