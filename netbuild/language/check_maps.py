"""Masks and matrices against the sizes of the maps that they belong to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import DataFileError
from netbuild.language import masks as sources
from netbuild.language import weights
from netbuild.language.base import Model
from netbuild.language.check_selection import select
from netbuild.language.context import Context, as_float32, matrix_of, numbers_fit
from netbuild.language.draw import (
    fixed_indegree,
    indegree_among,
    random_among,
    random_mask,
    random_wiring,
    unit_signs,
)
from netbuild.language.maps import Map
from netbuild.language.mask_values import as_plasticity, as_signs, as_sparsity
from netbuild.language.mask_values import oriented as laid
from netbuild.language.plan import MapPlan
from netbuild.language.population import Population
from netbuild.language.storage import WHOLE, stored, wants_sparse
from netbuild.rounding import round_half_up
from netbuild.streams import rng_of
from netbuild.wiring import Wiring
from netbuild.yamltree.nodes import Location

if TYPE_CHECKING:  # which reads files that few specs name
    from netbuild.language.connectome import Wired

Matrix = NDArray[Any]
LARGE = 10**8  # pairs of units, of which no matrix is made where values of connections are kept


@dataclass(frozen=True)
class Site:
    """One map: where it stands in the spec, what it is called, and the units that it connects."""

    here: Location
    name: str  # of its random streams
    words: Map
    reads: Population
    reaches: Population
    wired: Wired | None = None  # the connectome that says which connections exist

    @property
    def shape(self) -> tuple[int, int]:
        """(input_dim, output_dim)."""
        return self.reads.size, self.reaches.size

    @property
    def returns(self) -> bool:
        """Whether it connects a layer with itself."""
        return self.reads.layer == self.reaches.layer

    @property
    def pairs(self) -> int:
        """How many connections are possible."""
        return self.reads.size * self.reaches.size

    @property
    def own(self) -> Matrix | None:
        """(input_dim, output_dim): where a unit meets itself; None where none does.

        Between two layers of one size unit i is taken for the same as unit i.
        """
        if not self.returns:
            return np.eye(self.shape[0], dtype=bool) if self.shape[0] == self.shape[1] else None
        pairs = self.reads.indices[:, None] == self.reaches.indices[None, :]
        return pairs if pairs.any() else None


def check_map(context: Context, site: Site) -> MapPlan:
    """The arrays of one map, with a problem for each that does not fit."""
    signs = _signs(context, site)
    return arrays_of(context, site, signs)


def arrays_of(context: Context, site: Site, signs: Matrix | None) -> MapPlan:
    """The arrays of one map whose signs are known."""
    if signs is not None and signs.any():
        _check_raw(context, site.here, site.words)
    found = wired_of(site) if site.wired else _connected(context, site)
    wiring = found if isinstance(found, Wiring) else None
    plan = MapPlan(
        *site.shape,
        signs=signs,
        connected=None if isinstance(found, Wiring) else found,
        wiring=wiring,
        plasticity=_plasticity(context, site, wiring),
        weight=_weight(context, site, wiring, signs),
        bias=bias_of(context, site),
    )
    if site.wired is not None and wiring is not None:
        _check_learning(context, site, site.wired)
        plan = _learnt_by(site.wired, plan)
    plan = stored(site.words, plan)
    if plan.wiring is not None and isinstance(site.words.weight, WHOLE):
        init = site.words.weight.init
        what = f"`{init}` is of a whole matrix, and `storage: sparse` keeps none"
        hint = "write `storage: dense`, or another init"
        context.problem("NB308", (*site.here, "weight"), what, hint)
    return plan


def wired_by(context: Context, i: int, layer: Any, reads: Population) -> Wired | None:
    """The connectome of a layer that has one, between the units that are read and its own."""
    if layer.connectome is None:
        return None
    from netbuild.language.connectome import fits_connectome, wired

    found = wired(context, i, layer)
    return found if found is not None and fits_connectome(context, i, reads, found) else None


def wired_of(site: Site) -> Wiring:
    """The connections of a connectome that a map keeps."""
    assert site.wired is not None
    wiring = site.wired.wiring
    if site.words.self_connections:
        return wiring
    return wiring.keep(wiring.sources != wiring.targets)


def _check_learning(context: Context, site: Site, wired: Wired) -> None:
    """What does not learn connection by connection has no use for a plasticity of each."""
    learn = wired.words.learn
    if learn == "weights" or site.words.plasticity_mask is None:
        return
    why = "no weight learns" if learn == "nothing" else "connections share the factors that learn"
    what = f"under `learn: {learn}` {why}, and a plasticity of each connection says nothing"
    hint = "take it away, or write `learn: weights`"
    context.problem("NB308", (*site.here, "plasticity_mask"), what, hint, key=True)


def _learnt_by(wired: Wired, plan: MapPlan) -> MapPlan:
    """A connectome's map with what of it learns."""
    if wired.words.learn == "weights":
        return plan
    plan = replace(plan, learns=False)
    if wired.words.learn == "nothing" or plan.wiring is None:
        return plan
    from netbuild.language.connectome import groups_of

    groups, names = groups_of(wired, plan.wiring)
    return replace(plan, groups=groups, group_names=names)


def _check_raw(context: Context, here: Location, layer: Map) -> None:
    """Under `dale: abs` no raw weight may be drawn as 0, where |w| has no gradient."""
    source = layer.weight
    if layer.dale != "abs" or isinstance(source, (weights.WeightFile, weights.WeightValues)):
        return
    if layer.dale_init == "clamp":
        what = "`dale: abs` never trains weights that `dale_init: clamp` sets to 0"
        hint = "write `dale_init: abs`, or `dale: project`"
        context.problem("NB308", (*here, "dale_init"), what, hint)
    elif source.learn and sure_value(source) == 0:
        what = "`dale: abs` never trains weights that start at 0"
        context.problem("NB308", (*here, "weight"), what, "take another init, or `dale: project`")


def sure_value(source: Model) -> float | None:
    """The one value that an init gives to all weights; None where they differ, or are drawn."""
    if isinstance(source, weights.Zero):
        return 0.0
    if isinstance(source, weights.Constant):
        return source.value
    return source.mean if isinstance(source, weights.Normal) and source.std == 0 else None


def _signs(context: Context, site: Site) -> Matrix | None:
    here, words, reads = site.here, site.words, site.reads
    location = (*here, "ei_mask")
    source = words.ei_mask
    of_neurons = site.wired.table.signs if site.wired else None  # of units read that have none
    if source is None and not reads.signed and of_neurons is not None:
        return of_neurons
    if source is None:
        if not reads.signed and words.ei_balance != "none":
            what = "there are no signs to balance"
            hint = "give the layer that is read `excitatory`, or this one an `ei_mask`"
            context.problem("NB308", (*here, "ei_balance"), what, hint)
        return reads.signs
    if reads.signed:
        what = f"the units of `{reads.layer}` have signs already"
        hint = f"take `ei_mask` away, or `excitatory` from `{reads.layer}`"
        context.problem("NB308", location, what, hint, key=True)
        return None
    return context.attempt(location, lambda: _sign_mask(context, location, source, site.shape))


def _sign_mask(
    context: Context, location: Location, source: Model, shape: tuple[int, int]
) -> Matrix:
    if isinstance(source, sources.ExcitatoryFraction):
        return unit_signs(shape[0], source.excitatory)
    if isinstance(source, sources.UnitSigns):
        if len(source.units) != shape[0]:
            given = "1 sign" if len(source.units) == 1 else f"{len(source.units)} signs"
            raise DataFileError("NB201", f"{given} for {shape[0]} presynaptic units")
        return as_signs(np.array(source.units))
    found = array_of(context, location, source)
    if found.size == shape[0] and shape not in (found.shape, found.T.shape):
        return as_signs(found.reshape(-1))  # a vector, one sign a presynaptic unit
    return as_signs(oriented(context, location, source, found, shape))


def _connected(context: Context, site: Site) -> Matrix | Wiring | None:
    words, here = site.words, site.here
    source = words.sparsity_mask
    location = (*here, "sparsity_mask")
    if source is not None and words.density is not None:
        what = "`density` and `sparsity_mask` both say which connections exist"
        context.problem("NB308", (*here, "density"), what, "take one away", key=True)
        return None
    if source is None and words.density is not None:
        source = sources.RandomMask(generate="random", density=words.density)
        location = (*here, "density")
    if isinstance(source, sources.RandomMask) and _is_large(site, source):
        return _drawn_pairs(site, source, context.parsed.seed)
    own = None if words.self_connections else site.own
    if not words.self_connections and own is None and not site.returns:
        what = f"a map of {site.shape[0]} to {site.shape[1]} units has no self-connections"
        hint = "take `self_connections` away"
        context.problem("NB308", (*here, "self_connections"), what, hint, key=True)
        return None
    if source is None:
        return None if own is None else ~own

    def make() -> Matrix:
        if isinstance(source, (sources.RandomMask, sources.FixedIndegree)):
            return _generated(context, site, source, "sparsity", own)
        found = array_of(context, location, source)
        oriented(context, location, source, found, site.shape)  # its shape is judged first
        mask = as_sparsity(found, source.threshold, _file_of(source))
        mask = oriented(context, location, source, mask, site.shape)
        if own is not None:
            mask &= ~own
        return mask

    return context.attempt(location, make)


def _is_large(site: Site, source: sources.RandomMask) -> bool:
    """Whether a drawn mask is made as pairs, never as a matrix."""
    square = site.shape[0] == site.shape[1] and (site.reads.whole or not site.returns)
    whole = site.words.self_connections or square
    sparse = wants_sparse(site.words, site.pairs, int(source.density * site.pairs))
    return site.pairs > LARGE and whole and sparse


def _drawn_pairs(site: Site, source: sources.RandomMask, seed: int) -> Wiring:
    """The same connections that `random_mask` draws, as pairs."""
    seeds = (source.seed, site.words.seed, seed)
    rng = rng_of(next(seed for seed in seeds if seed is not None), "mask", site.name, "sparsity")
    return random_wiring(*site.shape, source.density, rng, site.words.self_connections)


def _generated(
    context: Context,
    site: Site,
    source: sources.RandomMask | sources.FixedIndegree,
    what: str,
    own: Matrix | None = None,
) -> Matrix:
    """A drawn mask; `own` are the pairs that it must leave out."""
    shape = site.shape
    seeds = (source.seed, site.words.seed, context.parsed.seed)
    rng = rng_of(next(seed for seed in seeds if seed is not None), "mask", site.name, what)
    diagonal = own is not None and shape[0] == shape[1] and bool(own.diagonal().all())
    if isinstance(source, sources.RandomMask):
        if own is not None and not diagonal:
            return random_among(~own, source.density, rng)
        return random_mask(*shape, source.density, rng, not diagonal)
    most = shape[0] if own is None else shape[0] - int(own.sum(axis=0).max())
    if source.connections > most:
        said = f"each unit is to have {source.connections} presynaptic partners, and {most}"
        raise DataFileError("NB201", f"{said} {'is' if most == 1 else 'are'} there")
    if own is not None and not diagonal:
        return indegree_among(~own, source.connections, rng)
    return fixed_indegree(*shape, source.connections, rng, not diagonal)


def _plasticity(context: Context, site: Site, wiring: Wiring | None) -> Matrix | None:
    source = site.words.plasticity_mask
    location = (*site.here, "plasticity_mask")
    if source is None:
        return None

    if isinstance(source, sources.Between):
        return _between(context, location, site, wiring, source)

    def make() -> Matrix:
        if isinstance(source, sources.RandomMask):
            if wiring is not None and site.pairs > LARGE:
                return _drawn_among(context, site, source, wiring)
            return _generated(context, site, source, "plasticity").astype(np.float32)
        found = array_of(context, location, source)
        oriented(context, location, source, found, site.shape)  # its shape is judged first
        kept = as_plasticity(found, _file_of(source))
        return oriented(context, location, source, kept, site.shape)

    return context.attempt(location, make)


def _between(
    context: Context,
    location: Location,
    site: Site,
    wiring: Wiring | None,
    source: sources.Between,
) -> Matrix | None:
    """1 for the connections from and to the units that are named, 0 for the others."""
    ends: list[Matrix] = []
    for key, wanted, whole in (
        ("from", source.from_, site.reads),
        ("to", source.to, site.reaches),
    ):
        here: Matrix = np.ones(whole.size, dtype=bool)
        if wanted is not None:
            chosen = select(context, (*location, key), whole, wanted)
            if chosen is None:
                return None
            here = np.isin(whole.indices, chosen.indices)
        ends.append(here)
    sends, receives = ends
    if wiring is not None and not (sends[wiring.sources] & receives[wiring.targets]).any():
        what = "no connection leads from and to these units, so that none of the map's learns"
        context.problem("NB601", location, what, "choose others, or take it away")
    if wiring is None:
        return np.outer(sends, receives).astype(np.float32)
    both: Matrix = sends[wiring.sources] & receives[wiring.targets]
    return both.astype(np.float32)


def _drawn_among(
    context: Context, site: Site, source: sources.RandomMask, wiring: Wiring
) -> Matrix:
    """1 for exactly `density` of the connections of a map that is too large for a matrix."""
    seeds = (source.seed, site.words.seed, context.parsed.seed)
    seed = next(seed for seed in seeds if seed is not None)
    rng = rng_of(seed, "mask", site.name, "plasticity")
    chosen = np.zeros(len(wiring), dtype=np.float32)
    count = round_half_up(source.density, len(wiring))
    chosen[rng.choice(len(wiring), count, replace=False, shuffle=False)] = 1
    return chosen


def _weight(
    context: Context, site: Site, wiring: Wiring | None, signs: Matrix | None
) -> Matrix | None:
    location = (*site.here, "weight")
    source = site.words.weight
    if isinstance(source, weights.ConnectomeCounts):
        return _counts(context, location, site, wiring, signs)
    if not isinstance(source, (weights.WeightFile, weights.WeightValues)):
        _check_numbers(context, location, source, site.shape[0])
        return None

    def read() -> Matrix:
        array = array_of(context, location, source)
        found = oriented(context, location, source, array, site.shape)
        return as_float32(found.T)

    return context.attempt(location, read)


def _counts(
    context: Context,
    location: Location,
    site: Site,
    wiring: Wiring | None,
    signs: Matrix | None,
) -> Matrix | None:
    """(connection,): the synapse counts of a connectome, under the signs of its units."""
    source = site.words.weight
    assert isinstance(source, weights.ConnectomeCounts)
    if site.wired is None or wiring is None:
        what = "there is no connectome whose counts this weight could be"
        hint = "the layer needs a key `connectome`, whose wiring its recurrent map is"
        context.problem("NB308", location, what, hint)
        return None
    counts = site.wired.counts
    if wiring is not site.wired.wiring:  # without self-connections
        counts = counts[site.wired.wiring.sources != site.wired.wiring.targets]
    if not numbers_fit(context, location, source):
        return None
    found = counts * np.float32(source.scale)
    if signs is not None and signs.ndim == 1:
        found *= np.where(signs == 0, 1, signs).astype(np.float32)[wiring.sources]
    return found


def bias_of(context: Context, site: Site) -> Matrix | None:
    """The bias that a file or the spec gives, (output_dim,)."""
    location = (*site.here, "bias")
    source = site.words.bias
    if not isinstance(source, (weights.BiasFile, weights.BiasValues)):
        if source is not None:
            _check_numbers(context, location, source, site.shape[0])
        return None

    def read() -> Matrix:
        return vector_of(context, location, source, "bias", "output_dim", site.shape[1])

    return context.attempt(location, read)


def vector_of(
    context: Context, location: Location, source: Any, what: str, axis: str, size: int
) -> Matrix:
    """One value a unit, from a file or the spec, in float32; raises DataFileError."""
    found = array_of(context, location, source)
    if found.size != size or max(found.shape) != found.size:
        said = f"the {what} is {found.shape}; this layer expects ({axis}={size},)"
        raise DataFileError("NB201", said)
    return as_float32(found.reshape(-1))


def _check_numbers(context: Context, location: Location, source: Model, input_dim: int) -> None:
    """What the arguments of an init say together."""
    if not numbers_fit(context, location, source):
        return
    low, high = getattr(source, "low", None), getattr(source, "high", None)
    if low is None and high is None:
        return
    if low is None or high is None:
        missing = "low" if low is None else "high"
        context.problem("NB308", location, "`low` and `high` go together", f"write `{missing}` too")
    elif low >= high:
        what = f"`low`, {low:g}, is not below `high`, {high:g}"
        context.problem("NB104", (*location, "low"), what)
    elif isinstance(source, weights.TruncNormal):
        std = source.std if source.std is not None else 1 / math.sqrt(input_dim)
        if not low - 2 * std <= source.mean <= high + 2 * std:
            what = f"the mean, {source.mean:g}, is far outside of {low:g} to {high:g}"
            hint = f"at most 2 standard deviations, here {2 * std:g}, from the range"
            context.problem("NB308", location, what, hint)


def _file_of(source: Any) -> str:
    """The name of the file that a source names, for a message that says where in it a value is."""
    return Path(getattr(source, "file", "")).name


def array_of(context: Context, location: Location, source: Any) -> Matrix:
    """The array that a file, or the spec itself, holds; raises DataFileError."""
    if hasattr(source, "file"):
        return context.read((*location, "file"), source.file, source.array)
    if source.values and not isinstance(source.values[0], list):
        return np.array(source.values)
    return matrix_of(source.values)


def oriented(
    context: Context, location: Location, source: Any, found: Matrix, shape: tuple[int, int]
) -> Matrix:
    """A matrix as (input_dim, output_dim), whichever way the file has it.

    Nothing in a square matrix without names tells its rows from its columns, so `rows` must be
    written there. Raises DataFileError.
    """
    node = context.parsed.tree.at(location)
    key = "file" if hasattr(source, "file") else "values"
    name = source.file if key == "file" else "[...]"
    short = node is not None and node.short

    def with_rows(rows: str) -> str:
        return f"`{{{key}: {name}, rows: {rows}}}`" if short else f"`rows: {rows}`"

    if source.rows is None and shape[0] == shape[1] and found.shape == shape:
        raise DataFileError(
            "NB306",
            f"a square matrix, {shape[0]} by {shape[1]}: are its rows presynaptic?",
            f"say {with_rows('pre')} where entry [i, j] is the connection from i to j,"
            f" {with_rows('post')} for torch's layout",
        )
    rows: Literal["pre", "post"] = source.rows or "pre"
    wanted = shape if rows == "pre" else shape[::-1]
    if found.shape != wanted and found.shape == wanted[::-1]:
        axes = ["input_dim", "output_dim"] if rows == "pre" else ["output_dim", "input_dim"]
        sizes = ", ".join(f"{axis}={size}" for axis, size in zip(axes, wanted, strict=True))
        matrix = f"the matrix in {name}" if key == "file" else "the matrix"
        raise DataFileError(
            "NB201",
            f"{matrix} is {found.shape}; this map expects ({sizes})",
            f"it looks transposed; say {with_rows('post' if rows == 'pre' else 'pre')}",
        )
    return laid(found, rows, *shape, name if key == "file" else "NAME")
