"""Regularizers against the parameters that they name, and their references."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild import masks
from netbuild.check.context import Context
from netbuild.check.maps import _array, oriented
from netbuild.check.plan import LayerPlan, RegularizerPlan
from netbuild.errors import DataFileError
from netbuild.spec import regularizers as specs
from netbuild.spec.layers import Linear
from netbuild.spec.paths import Location, near

Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(layers: list[object], plans: dict[int, LayerPlan]) -> Shapes:
    """The shape of every parameter, as torch has it, by its name in the network."""
    shapes: Shapes = {}
    for i, plan in plans.items():
        layer = layers[i]
        if isinstance(layer, Linear):
            shapes[f"{plan.name}.weight"] = (layer.output_dim, plan.reads.size)
            if layer.bias is not None:
                shapes[f"{plan.name}.bias"] = (layer.output_dim,)
    return shapes


def check_regularizers(context: Context, plans: dict[int, LayerPlan]) -> list[RegularizerPlan]:
    """What each regularizer acts on, in the order of the file."""
    shapes = parameter_shapes(list(context.parsed.layers), plans)
    by_layer = {plan.name: plan for plan in plans.values()}
    whole = len(plans) == len(context.parsed.layers)
    found: list[RegularizerPlan] = []
    for i, regularizer in enumerate(context.parsed.regularizers):
        if isinstance(regularizer, specs.Regularizer):
            params = _matched(context, i, regularizer, shapes, whole)
            references = _references(context, i, regularizer, params, shapes, by_layer)
            found.append(RegularizerPlan(_name(regularizer, found), params, references))
    return found


def _name(regularizer: Any, before: list[RegularizerPlan]) -> str:
    """Its own name, or its type's in snake case, made unique by a number."""
    if regularizer.name is not None:
        return str(regularizer.name)
    base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", regularizer.type).lower()
    taken = {plan.name for plan in before}
    numbered = (base if n == 1 else f"{base}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in numbered if name not in taken)


def _matched(
    context: Context, i: int, regularizer: specs.Regularizer, shapes: Shapes, whole: bool
) -> tuple[str, ...]:
    names: dict[str, None] = {}  # in the network's order, each once
    for j, pattern in enumerate(regularizer.params):
        matched = [name for name in shapes if fnmatchcase(name, pattern)]
        if not matched and whole:
            what = f"no parameter is named `{pattern}`"
            context.problem("NB304", ("regularizers", i, "params", j), what, near(pattern, shapes))
        names |= dict.fromkeys(matched)
    return tuple(name for name in shapes if name in names)


def _references(
    context: Context,
    i: int,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    shapes: Shapes,
    by_layer: dict[str, LayerPlan],
) -> tuple[NDArray[Any], ...] | None:
    here: Location = ("regularizers", i)
    if isinstance(regularizer, specs.WeightsDistance):
        source: Any = regularizer.reference
        return _read(context, (*here, "reference"), source, params, shapes, signs=False)
    if not isinstance(regularizer, specs.DaleLaw):
        return None
    if not _all_matrices(context, here, params, shapes):
        return None
    signed = {name: _own_signs(name, by_layer) for name in params}
    if regularizer.reference is None:
        return _own(context, here, signed, shapes)
    for name, signs in signed.items():
        if signs is not None:
            what = f"`{name}` has signs of its own"
            context.problem("NB305", (*here, "reference"), what, "leave `reference` out", key=True)
            return None
    if isinstance(regularizer.reference, specs.DrawnReference):
        return None  # drawn when the network is built
    source = regularizer.reference
    return _read(context, (*here, "reference"), source, params, shapes, signs=True)


def _all_matrices(
    context: Context, here: Location, params: tuple[str, ...], shapes: Shapes
) -> bool:
    vectors = [name for name in params if len(shapes[name]) != 2]
    if vectors:
        what = f"Dale's law is about weights; `{vectors[0]}` is a vector"
        context.problem("NB305", (*here, "params"), what, "name weights: `*.weight`")
    return not vectors


def _own_signs(name: str, by_layer: dict[str, LayerPlan]) -> NDArray[Any] | None:
    plan = by_layer[name.partition(".")[0]].map
    return plan.signs if plan else None


def _own(
    context: Context, here: Location, signed: dict[str, NDArray[Any] | None], shapes: Shapes
) -> tuple[NDArray[Any], ...] | None:
    """The maps' own signs, in the shape of the parameters."""
    references = []
    for name, signs in signed.items():
        if signs is None:
            what = f"`{name}` has no signs to hold it to"
            hint = "give the layer that it reads `excitatory`, write a `reference`, or name others"
            context.problem("NB305", (*here, "params"), what, hint)
            return None
        full = np.broadcast_to(signs if signs.ndim == 1 else signs.T, shapes[name])
        references.append(full.astype(np.float32))
    return tuple(references)


def _read(
    context: Context,
    location: Location,
    source: Any,
    params: tuple[str, ...],
    shapes: Shapes,
    *,
    signs: bool,
) -> tuple[NDArray[Any], ...] | None:
    def one(name: str) -> NDArray[Any]:
        array = masks.finite(_array(context, location, source))
        shape = shapes[name]
        if len(shape) == 1:
            if array.size != shape[0]:
                what = f"the reference is {array.shape}; `{name}` is {shape}"
                raise DataFileError("NB201", what)
            return array.reshape(-1).astype(np.float32)
        matrix = oriented(context, location, source, array, (shape[1], shape[0])).T
        return np.ascontiguousarray(np.sign(matrix) if signs else matrix, dtype=np.float32)

    return context.attempt(location, lambda: tuple(one(name) for name in params))
