"""Masks and matrices against the sizes of the maps that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild import masks
from netbuild.check.context import Context, matrix_of
from netbuild.check.plan import LayerPlan, MapPlan
from netbuild.errors import DataFileError
from netbuild.spec import masks as sources
from netbuild.spec import weights
from netbuild.spec.layers import Linear
from netbuild.spec.paths import Location
from netbuild.streams import rng_of

Matrix = NDArray[Any]


def check_map(context: Context, i: int, layer: Linear, plan: LayerPlan) -> MapPlan:
    """The arrays of a linear layer's map, with a problem for each that does not fit."""
    here: Location = ("layers", i)
    shape = plan.reads.size, layer.output_dim
    return MapPlan(
        *shape,
        signs=_signs(context, here, layer, plan),
        connected=_connected(context, here, layer, shape),
        plasticity=_plasticity(context, here, layer, shape),
        weight=_weight(context, here, layer, shape),
        bias=_bias(context, here, layer),
    )


def _signs(context: Context, here: Location, layer: Linear, plan: LayerPlan) -> Matrix | None:
    location = (*here, "ei_mask")
    shape = plan.reads.size, layer.output_dim
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
        hint = f"leave `ei_mask` out, or take `excitatory` from `{plan.reads.layer}`"
        context.problem("NB308", location, what, hint, key=True)
        return None
    if isinstance(source, sources.ExcitatoryFraction):
        return masks.unit_signs(plan.reads.size, source.excitatory)
    if isinstance(source, sources.UnitSigns):
        return context.attempt(location, lambda: _unit_signs(source.units, plan.reads.size))

    def read() -> Matrix:
        found = _array(context, location, source)
        if found.size == shape[0] and shape not in (found.shape, found.T.shape):
            return masks.as_signs(found.reshape(-1))  # a vector, one sign a presynaptic unit
        return masks.as_signs(oriented(context, location, source, found, shape))

    return context.attempt(location, read)


def _unit_signs(values: list[float], size: int) -> Matrix:
    if len(values) != size:
        what = f"{len(values)} signs for {size} presynaptic units"
        raise DataFileError("NB201", what)
    return masks.as_signs(np.array(values))


def _connected(
    context: Context, here: Location, layer: Linear, shape: tuple[int, int]
) -> Matrix | None:
    source = layer.sparsity_mask
    location = (*here, "sparsity_mask")
    if source is not None and layer.density is not None:
        what = "`density` and `sparsity_mask` both say which connections exist"
        context.problem("NB308", (*here, "density"), what, "leave one out", key=True)
        return None
    if not layer.self_connections and shape[0] != shape[1]:
        what = f"a map of {shape[0]} to {shape[1]} units has no self-connections"
        context.problem("NB308", (*here, "self_connections"), what, "leave it out", key=True)
        return None
    if source is None and layer.density is not None:
        source = sources.RandomMask(generate="random", density=layer.density)
        location = (*here, "density")
    if source is None:
        return None if layer.self_connections else ~np.eye(shape[0], dtype=bool)

    def make() -> Matrix:
        if isinstance(source, (sources.RandomMask, sources.FixedIndegree)):
            return _generated(context, layer, source, shape, "sparsity")
        found = oriented(context, location, source, _array(context, location, source), shape)
        mask = masks.as_sparsity(found, source.threshold)
        return mask if layer.self_connections else mask & ~np.eye(shape[0], dtype=bool)

    return context.attempt(location, make)


def _generated(
    context: Context,
    layer: Linear,
    source: sources.RandomMask | sources.FixedIndegree,
    shape: tuple[int, int],
    what: str,
    self_connections: bool | None = None,
) -> Matrix:
    seeds = (source.seed, layer.seed, context.parsed.seed)
    rng = rng_of(next(seed for seed in seeds if seed is not None), "mask", layer.name, what)
    own = layer.self_connections if self_connections is None else self_connections
    if isinstance(source, sources.RandomMask):
        return masks.random_mask(*shape, source.density, rng, own)
    most = shape[0] - (not own)
    if source.connections > most:
        what = f"{source.connections} partners of {most} presynaptic units"
        raise DataFileError("NB201", what)
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
            drawn = _generated(context, layer, source, shape, "plasticity", self_connections=True)
            return drawn.astype(np.float32)
        found = oriented(context, location, source, _array(context, location, source), shape)
        return masks.as_plasticity(found)

    return context.attempt(location, make)


def _weight(
    context: Context, here: Location, layer: Linear, shape: tuple[int, int]
) -> Matrix | None:
    location = (*here, "weight")
    _check_range(context, location, layer.weight)
    source = layer.weight
    if not isinstance(source, (weights.WeightFile, weights.WeightValues)):
        return None

    def read() -> Matrix:
        found = oriented(context, location, source, _array(context, location, source), shape)
        return np.ascontiguousarray(masks.finite(found).T, dtype=np.float32)

    return context.attempt(location, read)


def _bias(context: Context, here: Location, layer: Linear) -> Matrix | None:
    location = (*here, "bias")
    source = layer.bias
    _check_range(context, location, source)
    if not isinstance(source, (weights.BiasFile, weights.BiasValues)):
        return None

    def read() -> Matrix:
        if isinstance(source, weights.BiasValues):
            found = np.array(source.values)
        else:
            found = context.read((*location, "file"), source.file, source.array)
        if found.size != layer.output_dim or max(found.shape) != found.size:
            what = f"the bias is {found.shape}; this layer expects ({layer.output_dim},)"
            raise DataFileError("NB201", what)
        return masks.finite(found).reshape(-1).astype(np.float32)

    return context.attempt(location, read)


def _check_range(context: Context, location: Location, source: object) -> None:
    low, high = getattr(source, "low", None), getattr(source, "high", None)
    if (low is None) != (high is None):
        context.problem("NB308", location, "`low` and `high` go together")
    elif low is not None and high is not None and low >= high:
        context.problem("NB104", (*location, "low"), f"`low` {low} is not below `high` {high}")


def _array(context: Context, location: Location, source: Any) -> Matrix:
    """The array that a file, or the spec itself, holds; raises DataFileError."""
    if hasattr(source, "file"):
        return context.read((*location, "file"), source.file, source.array)
    return matrix_of(source.values)


def oriented(
    context: Context, location: Location, source: Any, found: Matrix, shape: tuple[int, int]
) -> Matrix:
    """A matrix as (input_dim, output_dim), whichever way the file has it.

    Nothing in a square matrix without names tells its rows from its columns, so `rows` must be
    written there. Raises DataFileError.
    """
    if source.rows is None and shape[0] == shape[1] and found.shape == shape:
        raise DataFileError(
            "NB306",
            f"a square matrix, {shape[0]} by {shape[1]}: are its rows presynaptic?",
            "write `rows: pre` (entry [i, j] is i to j) or `rows: post` (torch's layout)",
        )
    return masks.oriented(found, source.rows or "pre", *shape)
