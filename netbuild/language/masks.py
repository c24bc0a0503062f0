"""Masks: which connections exist, which sign they have, which learn; as keys, and as arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from netbuild.errors import DataFileError
from netbuild.language.base import Fraction, Model, OneOf, Seed, key
from netbuild.language.context import Here, matrix_of
from netbuild.language.draw import (
    fixed_indegree,
    indegree_among,
    random_among,
    random_mask,
    random_wiring,
    unit_signs,
)
from netbuild.language.mask_values import as_plasticity, as_signs, as_sparsity
from netbuild.language.plan import Matrix, Site
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, matrix, signs
from netbuild.language.storage import LARGE, wants_sparse
from netbuild.language.units import ByColumns, Units, select
from netbuild.language.weights import Array, FileName, Rows
from netbuild.language.weights import Matrix as Written
from netbuild.splits import round_half_up
from netbuild.streams import rng_of
from netbuild.wiring import Connections

Threshold = Annotated[
    float | None,
    key(
        ...,
        "for counts: a connection is where the value is larger than this; without it"
        " a sparsity mask holds only 0 and 1",
        0,
    ),
]
DrawSeed = Annotated[
    Seed | None,
    key(..., "a seed of its own; the spec's `seed` when left out", 3),
]


SPARSITY = {"sparsity": "write `density`, which is 1 - sparsity"}


class MaskFile(Model):
    """A matrix from a file."""

    file: FileName
    array: Array = None
    rows: Rows = None


class MaskValues(Model):
    """A matrix written into the spec."""

    values: Written
    rows: Rows = None


class SparsityFile(MaskFile):
    """A matrix of 0 and 1, or of counts with a `threshold`, from a file."""

    threshold: Threshold = None


class SparsityValues(MaskValues):
    """A matrix of 0 and 1, or of counts with a `threshold`, written into the spec."""

    threshold: Threshold = None


class RandomMask(Model):
    """Connections chosen uniformly, exactly `density` of all that are possible."""

    foreign: ClassVar = SPARSITY

    generate: Literal["random"]
    density: Fraction = key(..., "fraction of connections chosen", 0.3)
    seed: DrawSeed = None


class FixedIndegree(Model):
    """Each postsynaptic unit has the same number of presynaptic partners."""

    generate: Literal["fixed_indegree"]
    connections: int = key(..., "presynaptic partners of each unit", 20, ge=0, le=10**12)
    seed: DrawSeed = None


class Between(Model):
    """Connections from some units, to some units, or both; the others are not chosen."""

    tellers: ClassVar = ("from", "to")

    from_: ByColumns | None = key(
        None, "presynaptic units, by columns of their node table", {"kind": "inter"}, alias="from"
    )
    to: ByColumns | None = key(
        None, "postsynaptic units, by columns of their node table", {"kind": "motor"}
    )


class UnitSigns(Model):
    """One sign for each presynaptic unit: +1 excitatory, -1 inhibitory, 0 free."""

    units: list[float] = key(..., "a sign a unit", [1, 1, -1], min_length=1)


class ExcitatoryFraction(Model):
    """The first units are excitatory, the rest inhibitory."""

    excitatory: Fraction = key(
        ..., "round-half-up(fraction x units) presynaptic units are excitatory", 0.8
    )


_FILE = {"type": "string", "description": "a file"}
_ROWS = ROWS | {"description": "the rows of a matrix"}
_UNITS = NUMBERS | {"description": "one sign a presynaptic unit"}

SparsityMask = Annotated[
    SparsityFile | SparsityValues | RandomMask | FixedIndegree,
    OneOf("generate"),
    Shorthand(matrix, _FILE, _ROWS),
]
SignMask = Annotated[
    MaskFile | MaskValues | UnitSigns | ExcitatoryFraction,
    OneOf("generate"),
    Shorthand(signs, _FILE, _ROWS, _UNITS),
]
PlasticityMask = Annotated[
    MaskFile | MaskValues | RandomMask | Between,
    OneOf("generate", guess=False),  # a density would be taken for a factor
    Shorthand(matrix, _FILE, _ROWS),
]


# Masks as arrays that fit their map


def signs_of(site: Site) -> Matrix | None:
    """The signs of a map, (input_dim,) or (output_dim, input_dim): its own or its source's."""
    source = site.words.ei_mask
    if source is None:
        return signs_read(site)
    place = site.here["ei_mask"]
    if site.reads.signed:
        what = f"the units of `{site.reads.layer}` have signs already"
        hint = f"remove `ei_mask`, or `excitatory` from `{site.reads.layer}`"
        place.problem("NB308", what, hint, key=True)
        return None
    return place.attempt(lambda: _sign_mask(place, source, site))


def signs_read(site: Site) -> Matrix | None:
    """(input_dim,): the signs of the units that a map reads."""
    if not site.reads.signed and site.words.ei_balance != "none":
        what = "there are no signs to balance"
        hint = "give the layer that is read `excitatory`, or this one an `ei_mask`"
        site.here["ei_balance"].problem("NB308", what, hint)
    return site.reads.signs


def _sign_mask(here: Here, source: Model, site: Site) -> Matrix:
    inputs, outputs = site.input_dim, site.output_dim
    if isinstance(source, ExcitatoryFraction):
        return unit_signs(inputs, source.excitatory)
    if isinstance(source, UnitSigns):
        if len(source.units) != inputs:
            given = "1 sign" if len(source.units) == 1 else f"{len(source.units)} signs"
            raise DataFileError("NB201", f"{given} for {inputs} presynaptic units")
        return as_signs(np.array(source.units))
    found = array_of(here, source)
    if found.size == inputs and found.shape not in ((inputs, outputs), (outputs, inputs)):
        return as_signs(found.reshape(-1))  # a vector, one sign for each presynaptic unit
    return matrix_at(here, source, (outputs, inputs), as_signs)


def connections_of(site: Site) -> Connections | None:
    """The connections that the words of a map mean; None with a problem noted."""
    words, here = site.words, site.here
    source = words.sparsity_mask
    place = here["sparsity_mask"]
    if source is not None and words.density is not None:
        what = "`density` and `sparsity_mask` both say which connections exist"
        here["density"].problem("NB308", what, "remove one of them", key=True)
        return None
    if source is None and words.density is not None:
        source = RandomMask(generate="random", density=words.density)
        place = here["density"]
    if isinstance(source, RandomMask) and _is_large(site, source):
        rng = _stream(site, source, "sparsity")
        shape = site.input_dim, site.output_dim
        wiring = random_wiring(*shape, source.density, rng, words.self_connections)
        return Connections(*shape, wiring=wiring)
    own = None if words.self_connections else _itself(site)
    if not words.self_connections and own is None and not site.is_recurrent:
        what = f"a map of {site.input_dim} to {site.output_dim} units has no self-connections"
        place = here["self_connections"]
        place.problem("NB308", what, "remove `self_connections`", key=True)
        return None
    matrix = None if own is None else ~own
    if source is not None:
        matrix = place.attempt(lambda: _matrix(place, site, source, own))
        if matrix is None:
            return None
    return Connections(site.input_dim, site.output_dim, matrix)


def _itself(site: Site) -> Matrix | None:
    """(output_dim, input_dim): where a unit meets itself; None where no unit does.

    Between two layers of one size unit i is taken for the same as unit i.
    """
    if not site.is_recurrent:
        square = site.input_dim == site.output_dim
        return np.eye(site.input_dim, dtype=bool) if square else None
    pairs = site.gives.indices[:, None] == site.reads.indices[None, :]
    return pairs if pairs.any() else None


def _matrix(here: Here, site: Site, source: Any, own: Matrix | None) -> Matrix:
    """(output_dim, input_dim): a sparsity mask without the pairs `own`; raises DataFileError."""
    if isinstance(source, (RandomMask, FixedIndegree)):
        return _generated(site, source, "sparsity", own)

    def as_mask(array: Matrix) -> Matrix:
        return as_sparsity(array, source.threshold, _file_of(source))

    mask = matrix_at(here, source, (site.output_dim, site.input_dim), as_mask)
    return mask if own is None else mask & ~own


def _is_large(site: Site, source: RandomMask) -> bool:
    """Whether a drawn mask is made as pairs, never as a matrix."""
    square = site.input_dim == site.output_dim and (site.reads.whole or not site.is_recurrent)
    whole = site.words.self_connections or square
    sparse = wants_sparse(site.words, site.pairs, int(source.density * site.pairs))
    return site.pairs > LARGE and whole and sparse


def _stream(site: Site, source: Any, what: str) -> np.random.Generator:
    """The random stream of a drawn mask: of its own seed, its map's, or the spec's."""
    seeds = (source.seed, site.words.seed, site.here.context.parsed.seed)
    return rng_of(next(seed for seed in seeds if seed is not None), "mask", site.name, what)


def _generated(
    site: Site,
    source: RandomMask | FixedIndegree,
    what: str,
    own: Matrix | None = None,
) -> Matrix:
    """(output_dim, input_dim): a drawn mask; `own` are the pairs that it must leave out."""
    shape = site.input_dim, site.output_dim
    rng = _stream(site, source, what)
    diagonal = own is not None and shape[0] == shape[1] and bool(own.diagonal().all())
    if isinstance(source, RandomMask):
        if own is not None and not diagonal:
            return random_among(~own.T, source.density, rng).T
        return random_mask(*shape, source.density, rng, not diagonal).T
    most = shape[0] if own is None else shape[0] - int(own.sum(axis=1).max())
    if source.connections > most:
        said = f"each unit is to have {source.connections} presynaptic partners, and {most}"
        raise DataFileError("NB201", f"{said} {'is' if most == 1 else 'are'} there")
    if own is not None and not diagonal:
        return indegree_among(~own.T, source.connections, rng).T
    return fixed_indegree(*shape, source.connections, rng, not diagonal).T


def plasticity_of(site: Site, made: Connections, kept: Connections) -> Matrix | None:
    """The plasticity of each connection, in the weight's layout.

    `made` are the map's connections as they were drawn or read, `kept` as they are stored.
    """
    source = site.words.plasticity_mask
    place = site.here["plasticity_mask"]
    if source is None:
        return None
    if isinstance(source, Between):
        return _between(place, site, made, kept, source)

    def make() -> Matrix:
        if not isinstance(source, RandomMask):
            shape = site.output_dim, site.input_dim
            matrix = matrix_at(place, source, shape, lambda a: as_plasticity(a, _file_of(source)))
            return kept.of(matrix)
        if made.is_sparse and site.pairs > LARGE:
            return kept.placed(_drawn_among(site, source, made.count))
        return kept.of(_generated(site, source, "plasticity").astype(np.float32))

    return place.attempt(make)


def _between(
    here: Here,
    site: Site,
    made: Connections,
    kept: Connections,
    source: Between,
) -> Matrix | None:
    """1 for the connections from and to the units that are named, 0 for the others."""
    ends: list[Matrix] = []
    wanted: list[tuple[str, Any, Units]] = [
        ("from", source.from_, site.reads),
        ("to", source.to, site.gives),
    ]
    for end, columns, whole in wanted:
        chosen = whole if columns is None else select(here[end], whole, columns)
        if chosen is None:
            return None
        ends.append(np.isin(whole.indices, chosen.indices))
    found = made.between(*ends).astype(np.float32)
    if not made.is_sparse:
        return kept.of(found)
    if not found.any():
        what = "no connection leads from and to these units, so that none of the map's learns"
        here.problem("NB601", what, "choose others, or remove this mask")
    return kept.placed(found)


def _drawn_among(site: Site, source: RandomMask, connections: int) -> Matrix:
    """(connection,): 1 for exactly `density` of them, in a map that is too large for a matrix."""
    rng = _stream(site, source, "plasticity")
    chosen = np.zeros(connections, dtype=np.float32)
    count = round_half_up(source.density, connections)
    chosen[rng.choice(connections, count, replace=False, shuffle=False)] = 1
    return chosen


# Matrices and vectors of a file or of the spec


def _file_of(source: Any) -> str:
    """The name of the file that a source names, for a message that says where in it a value is."""
    return Path(getattr(source, "file", "")).name


def array_of(here: Here, source: Any) -> Matrix:
    """The array that a file, or the spec itself, holds; raises DataFileError."""
    if hasattr(source, "file"):
        return here["file"].read(source.file, source.array)
    if source.values and not isinstance(source.values[0], list):
        return np.array(source.values)
    return matrix_of(source.values)


def matrix_at(
    here: Here,
    source: Any,
    shape: tuple[int, int],
    convert: Callable[[Matrix], Matrix],
) -> Matrix:
    """A matrix (output_dim, input_dim), transposed if the file has its transpose.

    Nothing in a square matrix without names tells its rows from its columns, so `rows` must be
    written there. Raises DataFileError.
    """
    node = here.context.parsed.tree.at(here.location)
    key = "file" if hasattr(source, "file") else "values"
    name = source.file if key == "file" else "[...]"

    def with_rows(rows: str) -> str:
        short = node is not None and node.short
        return f"`{{{key}: {name}, rows: {rows}}}`" if short else f"`rows: {rows}`"

    found = array_of(here, source)
    if source.rows is None and shape[0] == shape[1] and found.shape == shape:
        raise DataFileError(
            "NB306",
            f"a square matrix, {shape[0]} by {shape[1]}: are its rows presynaptic?",
            f"write {with_rows('pre')} where entry [i, j] is the connection from i to j,"
            f" {with_rows('post')} for torch's layout",
        )
    sizes = {"input_dim": shape[1], "output_dim": shape[0]}
    rows = source.rows or "pre"
    axes = dict(sizes if rows == "pre" else reversed(sizes.items()))
    wanted = tuple(axes.values())
    if found.shape == wanted:
        return convert(found).T if rows == "pre" else convert(found)
    transposed = found.shape == wanted[::-1]
    matrix = f"the matrix in {name}" if key == "file" else "the matrix"
    listed = ", ".join(f"{axis}={size}" for axis, size in axes.items())
    said = f"{matrix} is {found.shape}; this map expects ({listed})"
    if not transposed and rows == "post":
        said += " with `rows: post`"
    hint = "" if found.ndim == 2 else "a matrix has two dimensions"
    if transposed:
        hint = f"it looks transposed; write {with_rows('post' if rows == 'pre' else 'pre')}"
    raise DataFileError("NB201", said, hint)
