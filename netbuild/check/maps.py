"""Masks and matrices against the sizes of the maps that they belong to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netbuild import masks
from netbuild.check.context import LARGEST, Context, as_float32, matrix_of
from netbuild.check.plan import LayerPlan, MapPlan
from netbuild.errors import DataFileError
from netbuild.spec import masks as sources
from netbuild.spec import weights
from netbuild.spec.base import Model
from netbuild.spec.layers import Linear
from netbuild.spec.nodes import Location
from netbuild.streams import rng_of

Matrix = NDArray[Any]


def check_map(context: Context, i: int, layer: Linear, plan: LayerPlan) -> MapPlan:
    """The arrays of a linear layer's map, with a problem for each that does not fit."""
    here: Location = ("layers", i)
    shape = plan.reads.size, layer.output_dim
    signs = _signs(context, here, layer, plan)
    if signs is not None and signs.any():
        _check_raw(context, here, layer)
    return MapPlan(
        *shape,
        signs=signs,
        connected=_connected(context, here, layer, shape),
        plasticity=_plasticity(context, here, layer, shape),
        weight=_weight(context, here, layer, shape),
        bias=_bias(context, here, layer, shape),
    )


def _check_raw(context: Context, here: Location, layer: Linear) -> None:
    """Under `dale: abs` no raw weight may be drawn as 0, where |w| has no gradient."""
    source = layer.weight
    if layer.dale != "abs" or isinstance(source, (weights.WeightFile, weights.WeightValues)):
        return
    if layer.dale_init == "clamp":
        what = "`dale: abs` never trains weights that `dale_init: clamp` sets to 0"
        hint = "write `dale_init: abs`, or `dale: project`"
        context.problem("NB308", (*here, "dale_init"), what, hint)
    elif source.learn and (isinstance(source, weights.Zero) or getattr(source, "value", None) == 0):
        what = "`dale: abs` never trains weights that start at 0"
        context.problem("NB308", (*here, "weight"), what, "take another init, or `dale: project`")


def _signs(context: Context, here: Location, layer: Linear, plan: LayerPlan) -> Matrix | None:
    location = (*here, "ei_mask")
    units = plan.reads.signs
    source = layer.ei_mask
    if source is None:
        if units is None and layer.ei_balance != "none":
            what = "there are no signs to balance"
            hint = "give the layer that is read `excitatory`, or this one an `ei_mask`"
            context.problem("NB308", (*here, "ei_balance"), what, hint)
        return units
    if units is not None:
        what = f"the units of `{plan.reads.layer}` have signs already"
        hint = f"take `ei_mask` away, or `excitatory` from `{plan.reads.layer}`"
        context.problem("NB308", location, what, hint, key=True)
        return None
    shape = plan.reads.size, layer.output_dim
    return context.attempt(location, lambda: _sign_mask(context, location, source, shape))


def _sign_mask(
    context: Context, location: Location, source: Model, shape: tuple[int, int]
) -> Matrix:
    if isinstance(source, sources.ExcitatoryFraction):
        return masks.unit_signs(shape[0], source.excitatory)
    if isinstance(source, sources.UnitSigns):
        if len(source.units) != shape[0]:
            given = "1 sign" if len(source.units) == 1 else f"{len(source.units)} signs"
            raise DataFileError("NB201", f"{given} for {shape[0]} presynaptic units")
        return masks.as_signs(np.array(source.units))
    found = array_of(context, location, source)
    if found.size == shape[0] and shape not in (found.shape, found.T.shape):
        return masks.as_signs(found.reshape(-1))  # a vector, one sign a presynaptic unit
    return masks.as_signs(oriented(context, location, source, found, shape))


def _connected(
    context: Context, here: Location, layer: Linear, shape: tuple[int, int]
) -> Matrix | None:
    source = layer.sparsity_mask
    location = (*here, "sparsity_mask")
    if source is not None and layer.density is not None:
        what = "`density` and `sparsity_mask` both say which connections exist"
        context.problem("NB308", (*here, "density"), what, "take one away", key=True)
        return None
    if not layer.self_connections and shape[0] != shape[1]:
        what = f"a map of {shape[0]} to {shape[1]} units has no self-connections"
        hint = "take `self_connections` away"
        context.problem("NB308", (*here, "self_connections"), what, hint, key=True)
        return None
    if source is None and layer.density is not None:
        source = sources.RandomMask(generate="random", density=layer.density)
        location = (*here, "density")
    if source is None:
        return None if layer.self_connections else ~np.eye(shape[0], dtype=bool)

    def make() -> Matrix:
        if isinstance(source, (sources.RandomMask, sources.FixedIndegree)):
            return _generated(context, layer, source, shape, "sparsity")
        found = array_of(context, location, source)
        mask = masks.as_sparsity(found, source.threshold, _file_of(source))
        mask = oriented(context, location, source, mask, shape)
        return mask if layer.self_connections else mask & ~np.eye(shape[0], dtype=bool)

    return context.attempt(location, make)


def _generated(
    context: Context,
    layer: Linear,
    source: sources.RandomMask | sources.FixedIndegree,
    shape: tuple[int, int],
    what: str,
) -> Matrix:
    seeds = (source.seed, layer.seed, context.parsed.seed)
    rng = rng_of(next(seed for seed in seeds if seed is not None), "mask", layer.name, what)
    own = layer.self_connections or what == "plasticity"
    if isinstance(source, sources.RandomMask):
        return masks.random_mask(*shape, source.density, rng, own)
    most = shape[0] - (not own)
    if source.connections > most:
        said = f"each unit is to have {source.connections} presynaptic partners, and {most}"
        raise DataFileError("NB201", f"{said} {'is' if most == 1 else 'are'} there")
    return masks.fixed_indegree(*shape, source.connections, rng, own)


def _plasticity(
    context: Context, here: Location, layer: Linear, shape: tuple[int, int]
) -> Matrix | None:
    source = layer.plasticity_mask
    location = (*here, "plasticity_mask")
    if source is None:
        return None

    def make() -> Matrix:
        if isinstance(source, sources.RandomMask):
            return _generated(context, layer, source, shape, "plasticity").astype(np.float32)
        kept = masks.as_plasticity(array_of(context, location, source), _file_of(source))
        return oriented(context, location, source, kept, shape)

    return context.attempt(location, make)


def _weight(
    context: Context, here: Location, layer: Linear, shape: tuple[int, int]
) -> Matrix | None:
    location = (*here, "weight")
    source = layer.weight
    if not isinstance(source, (weights.WeightFile, weights.WeightValues)):
        _check_numbers(context, location, source, shape[0])
        return None

    def read() -> Matrix:
        found = oriented(context, location, source, array_of(context, location, source), shape)
        return np.ascontiguousarray(as_float32(found.T))

    return context.attempt(location, read)


def _bias(context: Context, here: Location, layer: Linear, shape: tuple[int, int]) -> Matrix | None:
    location = (*here, "bias")
    source = layer.bias
    if not isinstance(source, (weights.BiasFile, weights.BiasValues)):
        if source is not None:
            _check_numbers(context, location, source, shape[0])
        return None

    def read() -> Matrix:
        found = array_of(context, location, source)
        if found.size != shape[1] or max(found.shape) != found.size:
            what = f"the bias is {found.shape}; this layer expects (output_dim={shape[1]},)"
            raise DataFileError("NB201", what)
        return as_float32(found.reshape(-1))

    return context.attempt(location, read)


def _check_numbers(context: Context, location: Location, source: Model, input_dim: int) -> None:
    """What the arguments of an init say together."""
    numbers = {key: value for key, value in source if isinstance(value, (int, float))}
    for key, value in numbers.items():
        if abs(value) > LARGEST:
            what = f"{value:g} is beyond what a network computes with, in float32"
            context.problem("NB104", (*location, key), what, f"at most {LARGEST:g}")
            return
    low, high = numbers.get("low"), numbers.get("high")
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
    if isinstance(source, weights.BiasValues):
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
    return masks.oriented(found, rows, *shape, name if key == "file" else "NAME")
