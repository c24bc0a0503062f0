"""Masks: which connections exist, which sign they have, which learn; as keys, and as arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from netbuild.errors import DataFileError
from netbuild.language.base import Fraction, Model, OneOf, Seed, key
from netbuild.language.context import Here
from netbuild.language.draw import (
    fixed_indegree,
    indegree_among,
    random_among,
    random_mask,
    random_wiring,
)
from netbuild.language.plan import Matrix, Site
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, matrix, signs
from netbuild.language.storage import LARGE, wants_sparse
from netbuild.language.units import ByColumns, chosen_of, units_of_areas
from netbuild.language.values import as_plasticity, as_signs, as_sparsity
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
    key(..., "the seed of this draw; the map's, or the spec's, when left out", 3),
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
    source = site.section.ei_mask
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
    if not site.reads.signed and site.section.ei_balance != "none":
        what = "there are no signs to balance"
        hint = "give the layer that is read `excitatory`, or this one an `ei_mask`"
        site.here["ei_balance"].problem("NB308", what, hint)
    return site.reads.signs


def _sign_mask(here: Here, source: Model, site: Site) -> Matrix | None:
    inputs, outputs = site.input_dim, site.output_dim
    if isinstance(source, ExcitatoryFraction):
        return units_of_areas("", [("", inputs, source.excitatory)]).signs
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
    """The connections that the keys of a map mean; None with a problem noted."""
    section, here = site.section, site.here
    source, place = section.sparsity_mask, here["sparsity_mask"]
    if section.density is not None:
        if source is not None:
            what = "`density` and `sparsity_mask` both say which connections exist"
            here["density"].problem("NB308", what, "remove one of them", key=True)
            return None
        source, place = RandomMask(generate="random", density=section.density), here["density"]
    if isinstance(source, RandomMask) and _is_large(site, source):
        shape, rng = (site.input_dim, site.output_dim), _stream(site, source, "sparsity")
        wiring = random_wiring(*shape, source.density, rng, section.self_connections)
        return Connections(*shape, wiring=wiring)
    barred = None if section.self_connections else _itself(site)
    if not section.self_connections and barred is None and not site.is_recurrent:
        what = f"a map of {site.input_dim} to {site.output_dim} units has no self-connections"
        here["self_connections"].problem("NB308", what, "remove `self_connections`", key=True)
        return None
    matrix = None if barred is None else ~barred
    if source is not None:
        matrix = place.attempt(lambda: _matrix(place, site, source, barred))
        if matrix is None:
            return None
    return Connections(site.input_dim, site.output_dim, matrix)


def _itself(site: Site) -> Matrix | None:
    """(output_dim, input_dim): the pairs of a unit with itself; None where there are none.

    Unit i of a layer and unit i of another layer of the same size count as one unit.
    """
    if not site.is_recurrent:
        square = site.input_dim == site.output_dim
        return np.eye(site.input_dim, dtype=bool) if square else None
    pairs = site.gives.indices[:, None] == site.reads.indices[None, :]
    return pairs if pairs.any() else None


def _matrix(here: Here, site: Site, source: Any, barred: Matrix | None) -> Matrix:
    """(output_dim, input_dim): a sparsity mask without the `barred` pairs; raises DataFileError."""
    if isinstance(source, (RandomMask, FixedIndegree)):
        return _generated(site, source, "sparsity", barred)

    def as_mask(array: Matrix) -> Matrix:
        return as_sparsity(array, source.threshold, _file_of(source))

    mask = matrix_at(here, source, (site.output_dim, site.input_dim), as_mask)
    return mask if barred is None else mask & ~barred


def _is_large(site: Site, source: RandomMask) -> bool:
    """Whether a drawn mask is made as pairs, never as a matrix."""
    square = site.input_dim == site.output_dim and (site.reads.whole or not site.is_recurrent)
    whole = site.section.self_connections or square
    sparse = wants_sparse(site.section, site.pairs, int(source.density * site.pairs))
    return site.pairs > LARGE and whole and sparse


def _stream(site: Site, source: Any, what: str) -> np.random.Generator:
    """The random stream of a drawn mask, from its own seed, its map's, or the spec's."""
    seeds = (source.seed, site.section.seed, site.here.context.parsed.seed)
    return rng_of(next(seed for seed in seeds if seed is not None), "mask", site.name, what)


def _generated(
    site: Site, source: RandomMask | FixedIndegree, what: str, barred: Matrix | None = None
) -> Matrix:
    """(output_dim, input_dim): a drawn mask without the `barred` pairs; raises DataFileError."""
    shape, rng = (site.input_dim, site.output_dim), _stream(site, source, what)
    # Masks with an empty diagonal have draws of their own, which are faster.
    diagonal = barred is not None and shape[0] == shape[1] and bool(barred.diagonal().all())
    among = None if barred is None or diagonal else ~barred.T
    if isinstance(source, RandomMask):
        if among is not None:
            return random_among(among, source.density, rng).T
        return random_mask(*shape, source.density, rng, not diagonal).T
    most = shape[0] if barred is None else shape[0] - int(barred.sum(axis=1).max())
    if source.connections > most:
        wanted = f"each unit needs {source.connections} presynaptic partners"
        raise DataFileError("NB201", f"{wanted}, and only {most} can be connected to it")
    if among is not None:
        return indegree_among(among, source.connections, rng).T
    return fixed_indegree(*shape, source.connections, rng, not diagonal).T


def plasticity_of(site: Site, made: Connections, kept: Connections) -> Matrix | None:
    """The plasticity of each connection, in the weight's layout.

    `made` are the map's connections as they were drawn or read, `kept` as they are stored.
    """
    source = site.section.plasticity_mask
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
    sends = chosen_of(here["from"], site.reads, source.from_, "reads")
    receives = chosen_of(here["to"], site.gives, source.to, "reaches")
    if sends is None or receives is None:
        return None
    found = made.between(sends, receives).astype(np.float32)
    if not made.is_sparse:
        return kept.of(found)
    if not found.any():
        what = "no connection leads from and to these units, so no weight of the map learns"
        here.problem("NB601", what, "choose other units, or remove this mask")
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
    values = source.values
    if values and not isinstance(values[0], list):
        return np.array(values)
    widths = sorted({len(row) for row in values})
    if len(widths) > 1:
        what = f"the rows have different lengths: {', '.join(map(str, widths[:4]))}"
        raise DataFileError("NB201", what, "each row of a matrix has as many numbers")
    if widths == [0]:
        raise DataFileError("NB201", "the rows are empty")
    return np.array(values, dtype=np.float64)


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
