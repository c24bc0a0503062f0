"""Regularizers against the parameters that they name, and their references."""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import DataFileError
from netbuild.language import regularizers as specs
from netbuild.language.among import among, units_among
from netbuild.language.base import Model
from netbuild.language.check_maps import array_of, oriented
from netbuild.language.context import Context, as_float32, numbers_fit
from netbuild.language.ctrnn import CTRNN
from netbuild.language.layers import Linear
from netbuild.language.maps import Map
from netbuild.language.mask_values import as_signs
from netbuild.language.plan import LayerPlan, MapPlan, RegularizerPlan
from netbuild.yamltree.nodes import Location, show

Shapes = dict[str, tuple[int, ...]]
MOST_LISTED = 8  # parameters in a hint
MOST_COMPARED = 2_000_000  # patterns times parameters; together they take half a second
_WILD = re.compile(r"[*?\[]")


def parameter_shapes(layers: list[object], plans: dict[int, LayerPlan]) -> Shapes:
    """The shape of every parameter, as torch has it, by its name in the network."""
    shapes: Shapes = {}
    for i, plan in plans.items():
        layer = layers[i]
        if isinstance(layer, Linear):
            shapes |= _of_map(plan.name, layer, plan, "")
        elif isinstance(layer, CTRNN):
            size = plan.gives.size
            shapes |= _of_map(f"{plan.name}.input", layer.input, plan, "input")
            shapes |= _of_map(f"{plan.name}.recurrent", layer.recurrent, plan, "recurrent")
            if plan.units is not None and plan.units.learns_alpha:
                shapes[f"{plan.name}.alpha"] = plan.units.alpha.shape
            if plan.units is not None and plan.units.learns_initial_state:
                shapes[f"{plan.name}.initial_state"] = (size,)
    return shapes


def _of_map(name: str, words: Map, plan: LayerPlan, key: str) -> Shapes:
    """A weight that keeps values of its connections alone counts as the matrix that it is."""
    reads = plan.gives if key == "recurrent" else plan.reads
    shapes: Shapes = {f"{name}.weight": (plan.gives.size, reads.size)}
    if words.bias is not None:
        shapes[f"{name}.bias"] = (plan.gives.size,)
    known = plan.maps.get(key)
    if known is not None and known.groups is not None:
        shapes[f"{name}.scale"] = (len(known.group_names),)
    return shapes


def check_regularizers(context: Context, plans: dict[int, LayerPlan]) -> list[RegularizerPlan]:
    """What each regularizer acts on, in the order of the file."""
    shapes = parameter_shapes(list(context.parsed.layers), plans)
    by_layer = {plan.name: plan for plan in plans.values()}
    whole = len(plans) == len(context.parsed.layers)
    order = {name: i for i, name in enumerate(shapes)}
    names = _names(context.parsed.regularizers)
    found: list[RegularizerPlan] = []
    if _too_many(context, shapes):
        return found
    for i, regularizer in enumerate(context.parsed.regularizers):
        if isinstance(regularizer, Model):
            numbers_fit(context, ("regularizers", i), regularizer)
        if isinstance(regularizer, specs.Regularizer):
            _check_norm(context, i, regularizer)
            params = _matched(context, i, regularizer, shapes, order, whole)
            _check_stored(context, i, regularizer, params, by_layer)
            references = _references(context, i, regularizer, params, shapes, by_layer)
            some = among(context, i, regularizer, params, by_layer)
            if some is not None and references is not None:
                chosen = zip(references, some, strict=True)
                references = tuple(whole.reshape(-1)[one.index] for whole, one in chosen)
            found.append(RegularizerPlan(names[i], params, references, some))
        elif isinstance(regularizer, specs.ActivityRegularizer):
            _check_layers(context, i, regularizer)
            units = units_among(context, i, regularizer, by_layer)
            found.append(RegularizerPlan(names[i], (), units=units))
    return found


def _check_layers(context: Context, i: int, regularizer: specs.ActivityRegularizer) -> None:
    known = context.layer_names
    for j, name in enumerate(regularizer.layers):
        if name not in known:
            hint = context.near(name, known)
            location = ("regularizers", i, "layers", j)
            context.problem("NB304", location, f"no layer is named `{show(name)}`", hint)


def _names(regularizers: Sequence[Any]) -> list[str]:
    """Each one's own name, or its type in snake case, made unique by a number."""
    names = [getattr(regularizer, "name", None) for regularizer in regularizers]
    taken = set(names)
    count: Counter[str] = Counter()
    for i, regularizer in enumerate(regularizers):
        if regularizer is not None and names[i] is None:
            base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", regularizer.type).lower()
            while names[i] in taken or names[i] is None:
                count[base] += 1
                names[i] = base if count[base] == 1 else f"{base}_{count[base]}"
    return [name or "" for name in names]


def _too_many(context: Context, shapes: Shapes) -> bool:
    """Whether comparing patterns with parameters would take seconds; a problem says so."""
    total = 0
    for i, regularizer in enumerate(context.parsed.regularizers):
        params = getattr(regularizer, "params", None) or []
        total += len(shapes) * sum(1 for pattern in params if _WILD.search(pattern))
        if total > MOST_COMPARED:
            what = f"patterns over {len(shapes):,} parameters need more than {MOST_COMPARED:,}"
            hint = "name the parameters, or say the same with fewer patterns"
            context.problem("NB901", ("regularizers", i, "params"), f"{what} comparisons", hint)
            return True
    return False


def _check_norm(context: Context, i: int, regularizer: specs.Regularizer) -> None:
    if not isinstance(regularizer, specs.Norm) or regularizer.norm != "matrix":
        return
    order = getattr(regularizer, "p", 1)
    if order not in (1, 2):
        what = f"a matrix norm has p = 1 or 2, not {order:g}"
        context.problem("NB308", ("regularizers", i, "p"), what, "or write `norm: entrywise`")
    if regularizer.reduction == "mean":
        what = "a matrix norm has no mean over entries"
        hint = "take `reduction` away, or write `norm: entrywise`"
        context.problem("NB308", ("regularizers", i, "reduction"), what, hint)


def _check_stored(
    context: Context,
    i: int,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    by_layer: dict[str, LayerPlan],
) -> None:
    """A norm of matrices needs them whole."""
    if not isinstance(regularizer, specs.Norm) or regularizer.norm != "matrix":
        return
    for name in params:
        plan = _map_of(name, by_layer)
        if plan is not None and plan.wiring is not None:
            what = f"`{name}` keeps values of its connections alone, and has no matrix norm"
            hint = "write `norm: entrywise`, or `storage: dense` for the map"
            context.problem("NB305", ("regularizers", i, "norm"), what, hint)
            return


def _matched(
    context: Context,
    i: int,
    regularizer: specs.Regularizer,
    shapes: Shapes,
    order: dict[str, int],
    whole: bool,
) -> tuple[str, ...]:
    """The parameters that a regularizer names, in the network's order, each once."""
    names: set[str] = set()
    for j, pattern in enumerate(regularizer.params):
        if pattern in shapes:
            matched = [pattern]
        else:
            matched = fnmatch.filter(shapes, pattern) if _WILD.search(pattern) else []
        if not matched and whole:
            what, hint = f"no parameter is named `{show(pattern)}`", ""
            if _WILD.search(pattern):
                what, hint = f"no parameter fits `{show(pattern)}`", _listed(shapes)
            location = ("regularizers", i, "params", j)
            context.problem("NB304", location, what, hint or context.near(pattern, shapes))
        names.update(matched)
    return tuple(sorted(names, key=order.__getitem__))


def _listed(shapes: Shapes) -> str:
    """A hint that names the parameters there are, or the first of many."""
    names = [f"`{name}`" for name in list(shapes)[:MOST_LISTED]]
    more = len(shapes) - len(names)
    rest = f" and {more:,} more" if more else ""
    return f"the parameters are {', '.join(names)}{rest}" if names else ""


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
        return _read(context, (*here, "reference"), source, params, shapes, by_layer, signs=False)
    if not isinstance(regularizer, specs.DaleLaw):
        return None
    if not _all_matrices(context, here, params, shapes):
        return None
    signed = {name: _own_signs(name, by_layer) for name in params}
    if regularizer.reference is None:
        return _own(context, here, signed, shapes, by_layer)
    for name, signs in signed.items():
        if signs is not None:
            what = f"`{name}` has signs of its own"
            hint = "take `reference` away"
            context.problem("NB305", (*here, "reference"), what, hint, key=True)
            return None
    if isinstance(regularizer.reference, specs.DrawnReference):
        return None  # drawn when the network is built
    source = regularizer.reference
    return _read(context, (*here, "reference"), source, params, shapes, by_layer, signs=True)


def _all_matrices(
    context: Context, here: Location, params: tuple[str, ...], shapes: Shapes
) -> bool:
    vectors = [name for name in params if len(shapes[name]) != 2]
    if vectors:
        what = f"Dale's law is about weights; `{vectors[0]}` is a vector"
        context.problem("NB305", (*here, "params"), what, "name weights: `*.weight`")
    return not vectors


def _own_signs(name: str, by_layer: dict[str, LayerPlan]) -> NDArray[Any] | None:
    plan = _map_of(name, by_layer)
    return plan.signs if plan else None


def _map_of(name: str, by_layer: dict[str, LayerPlan]) -> MapPlan | None:
    """The map that a parameter is a part of; None for those of units."""
    layer, *inner, last = name.split(".")
    return by_layer[layer].maps.get(inner[0] if inner else "") if last == "weight" else None


def _own(
    context: Context,
    here: Location,
    signed: dict[str, NDArray[Any] | None],
    shapes: Shapes,
    by_layer: dict[str, LayerPlan],
) -> tuple[NDArray[Any], ...] | None:
    """The maps' own signs, in the shape of the parameters."""
    unsigned = [name for name, signs in signed.items() if signs is None]
    if unsigned:
        what = f"`{unsigned[0]}` has no signs to hold it to"
        rest = [name for name in signed if name not in unsigned]
        others = f", or write `params: [{', '.join(rest)}]`" if 0 < len(rest) <= 3 else ""
        hint = f"give the layer that it reads `excitatory`, write a `reference`{others}"
        context.problem("NB305", (*here, "params"), what, hint)
        return None
    return tuple(
        _of_parameter(_map_of(name, by_layer), signs, shapes[name]).astype(np.float32)
        for name, signs in signed.items()
        if signs is not None
    )


def _of_parameter(plan: MapPlan | None, signs: NDArray[Any], shape: tuple[int, ...]) -> Any:
    """Signs, of the presynaptic units or (input_dim, output_dim), in a parameter's own shape."""
    wiring = plan.wiring if plan else None
    if wiring is None:
        return np.broadcast_to(signs if signs.ndim == 1 else signs.T, shape)
    return signs[wiring.sources] if signs.ndim == 1 else wiring.of(signs)


def _read(
    context: Context,
    location: Location,
    source: Any,
    params: tuple[str, ...],
    shapes: Shapes,
    by_layer: dict[str, LayerPlan],
    *,
    signs: bool,
) -> tuple[NDArray[Any], ...] | None:
    def one(name: str) -> NDArray[Any]:
        array = array_of(context, location, source)
        array = as_signs(array).astype(np.float32) if signs else as_float32(array)
        shape = shapes[name]
        if len(shape) == 2:
            matrix = oriented(context, location, source, array, (shape[1], shape[0]))
            plan = _map_of(name, by_layer)
            if plan is not None and plan.wiring is not None:
                return plan.wiring.of(matrix)
            return np.ascontiguousarray(matrix.T)
        if array.size != math.prod(shape):
            raise DataFileError("NB201", f"the reference is {array.shape}; `{name}` is {shape}")
        return array.reshape(shape)

    return context.attempt(location, lambda: tuple(one(name) for name in params))
