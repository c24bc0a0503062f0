"""Regularizers against the parameters and units that they name, and their references."""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netbuild.errors import DataFileError
from netbuild.language import regularizers as specs
from netbuild.language.base import Model
from netbuild.language.context import Context, Here
from netbuild.language.masks import array_of, matrix_at
from netbuild.language.plan import (
    Among,
    LayerPlan,
    MapPlan,
    Matrix,
    RegularizerPlan,
    Shapes,
    maps_of,
)
from netbuild.language.units import chosen_of, select
from netbuild.language.values import as_float32, as_signs
from netbuild.wording import show

MOST_LISTED = 8  # parameters in a hint
MOST_COMPARED = 2_000_000  # patterns times parameters; together they take half a second
_WILD = re.compile(r"[*?\[]")


def parameter_shapes(plans: Mapping[Any, LayerPlan]) -> Shapes:
    """The shape of every parameter, as torch has it, by its path in the network."""
    return {name: shape for plan in plans.values() for name, shape in plan.parameters().items()}


def weights_of(plans: Mapping[Any, LayerPlan]) -> dict[str, MapPlan]:
    """The map of every weight, by the weight's path in the network."""
    return {f"{each.name}.weight": each for each in maps_of(plans)}


def check_regularizers(context: Context, plans: Mapping[int, LayerPlan]) -> list[RegularizerPlan]:
    """What each regularizer acts on, in the order of the file."""
    shapes = parameter_shapes(plans)
    maps = weights_of(plans)
    by_layer = {plan.name: plan for plan in plans.values()}
    whole = len(plans) == len(context.parsed.layers)
    names = _names(context.parsed.regularizers)
    found: list[RegularizerPlan] = []
    if _too_many(context, shapes):
        return found
    for i, regularizer in enumerate(context.parsed.regularizers):
        here = context.at("regularizers", i)
        if isinstance(regularizer, Model):
            here.numbers_fit(regularizer)
        if isinstance(regularizer, specs.Regularizer):
            params = _matched(here, regularizer, shapes, whole=whole)
            _check_norm(here, regularizer)
            _check_whole(here, regularizer, params, maps)
            references = _references(here, regularizer, params, shapes, maps)
            among = _among(here, regularizer, params, maps)
            if references is not None and among is not None:
                pairs = zip(references, among, strict=True)
                references = tuple(each.reshape(-1)[some.index] for each, some in pairs)
            found.append(RegularizerPlan(names[i], params, references, among))
        elif isinstance(regularizer, specs.ActivityRegularizer):
            units = _units(here, regularizer, by_layer)
            found.append(RegularizerPlan(names[i], (), units=units))
    return found


def _names(regularizers: Sequence[Any]) -> list[str]:
    """The name of each: its own, or its type in snake case, made unique by a number."""
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


# The parameters


def _too_many(context: Context, shapes: Shapes) -> bool:
    """Whether comparing patterns with parameters would take seconds; adds a problem then."""
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


def _matched(
    here: Here, regularizer: specs.Regularizer, shapes: Shapes, *, whole: bool
) -> tuple[str, ...]:
    """The parameters that a regularizer names, in the network's order, each once.

    Missing ones are reported if `shapes` are those of the whole network.
    """
    names: set[str] = set()
    for j, pattern in enumerate(regularizer.params):
        is_pattern = pattern not in shapes and bool(_WILD.search(pattern))
        matched = fnmatch.filter(shapes, pattern) if is_pattern else [pattern]
        matched = [name for name in matched if name in shapes]
        if not matched and whole:
            what, hint = f"no parameter is named `{show(pattern)}`", ""
            if is_pattern:
                what, hint = f"no parameter fits `{show(pattern)}`", _listed(shapes)
            hint = hint or here.context.near(pattern, shapes)
            here["params"][j].problem("NB304", what, hint)
        names.update(matched)
    return tuple(name for name in shapes if name in names)


def _listed(shapes: Shapes) -> str:
    """A hint that names the parameters, or the first of many."""
    names = [f"`{name}`" for name in list(shapes)[:MOST_LISTED]]
    more = len(shapes) - len(names)
    rest = f" and {more:,} more" if more else ""
    return f"the parameters are {', '.join(names)}{rest}" if names else ""


def _check_norm(here: Here, regularizer: specs.Regularizer) -> None:
    """A norm of matrices has an order of 1 or 2, and no mean."""
    if not isinstance(regularizer, specs.Norm) or regularizer.norm != "matrix":
        return
    order = getattr(regularizer, "p", 1)
    if order not in (1, 2):
        what = f"a matrix norm has p = 1 or 2, not {order:g}"
        here["p"].problem("NB308", what, "or write `norm: entrywise`")
    if regularizer.reduction == "mean":
        what = "a matrix norm has no mean over entries"
        here["reduction"].problem("NB308", what, "remove `reduction`, or write `norm: entrywise`")


def _check_whole(
    here: Here,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    maps: Mapping[str, MapPlan],
) -> None:
    """A term of whole matrices needs them in dense storage."""
    key = regularizer.needs_whole()
    for name in params if key else ():
        if name in maps and maps[name].connections.is_sparse:
            what = f"`{name}` keeps values of its connections alone, and has no matrix norm"
            other = "`norm: entrywise`, or " if key == "norm" else ""
            hint = f"write {other}`storage: dense` for the map"
            here[key].problem("NB305", what, hint)
            return


# References


def _references(
    here: Here,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    shapes: Shapes,
    maps: Mapping[str, MapPlan],
) -> tuple[Matrix, ...] | None:
    """The reference of each parameter, in the parameter's own layout; None without, or drawn."""
    source = getattr(regularizer, "reference", None)
    if isinstance(regularizer, specs.DaleLaw):
        if vectors := [name for name in params if len(shapes[name]) != 2]:
            what = f"Dale's law is about weights; `{vectors[0]}` is a vector"
            here["params"].problem("NB305", what, "name weights: `*.weight`")
            return None
        signed = [name for name in params if maps[name].signs is not None]
        if source is None:
            return _own_signs(here, params, signed, maps)
        if signed:
            what = f"`{signed[0]}` has signs of its own"
            here["reference"].problem("NB305", what, "remove `reference`", key=True)
            return None
    elif not isinstance(regularizer, specs.WeightsDistance):
        return None
    if isinstance(source, specs.DrawnReference):
        return None  # drawn when the network is built
    there = here["reference"]

    def convert(array: Matrix) -> Matrix:
        if isinstance(regularizer, specs.DaleLaw):
            return as_signs(array).astype(np.float32)
        return as_float32(array)

    def read(name: str) -> Matrix:
        shape = shapes[name]
        if len(shape) == 2:
            matrix = matrix_at(there, source, (shape[0], shape[1]), convert)
            return np.ascontiguousarray(maps[name].connections.of(matrix))
        array = convert(array_of(there, source))
        if array.size != math.prod(shape):
            raise DataFileError("NB201", f"the reference is {array.shape}; `{name}` is {shape}")
        return array.reshape(shape)

    return there.attempt(lambda: tuple(read(name) for name in params))


def _own_signs(
    here: Here, params: tuple[str, ...], signed: Sequence[str], maps: Mapping[str, MapPlan]
) -> tuple[Matrix, ...] | None:
    """The signs of the maps themselves."""
    unsigned = [name for name in params if name not in signed]
    if unsigned:
        what = f"`{unsigned[0]}` has no signs to hold it to"
        others = ""
        if 0 < len(signed) <= 3:
            others = f", or write `params: [{', '.join(signed)}]`"
        hint = f"give the layer that it reads `excitatory`, write a `reference`{others}"
        here["params"].problem("NB305", what, hint)
        return None
    signs = (maps[name].signs_there() for name in params)
    return tuple(each.astype(np.float32) for each in signs if each is not None)


# Some connections, or some units


def _among(
    here: Here,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    maps: Mapping[str, MapPlan],
) -> tuple[Among, ...] | None:
    """The entries that a regularizer with `from` or `to` reads; None without, or with a problem."""
    if not regularizer.from_ and not regularizer.to:
        return None
    key = regularizer.needs_whole()
    if isinstance(getattr(regularizer, "reference", None), specs.DrawnReference):
        key = "reference"
    if key:
        what = f"`{key}` is of whole maps, and `from` and `to` choose some connections"
        here[key].problem("NB308", what, "remove one of them")
        return None
    found = []
    for name in params:
        if name not in maps:
            what = f"`from` and `to` choose connections, and `{name}` has none"
            here["params"].problem("NB305", what, "name weights: `*.weight`")
            return None
        plan = maps[name]
        sends = chosen_of(here["from"], plan.reads, regularizer.from_, "reads")
        receives = chosen_of(here["to"], plan.gives, regularizer.to, "reaches")
        if sends is None or receives is None:
            return None
        index = np.flatnonzero(plan.connections.between(sends, receives))
        found.append(Among(index, int(sends.sum()) * int(receives.sum())))
    return tuple(found)


def _units(
    here: Here, regularizer: specs.ActivityRegularizer, by_layer: Mapping[str, LayerPlan]
) -> dict[str, Matrix] | None:
    """(unit,) of each layer: the units whose rates count; None for all, or with a problem."""
    known = here.context.layer_names
    for j, name in enumerate(regularizer.layers):
        if name not in known:
            what = f"no layer is named `{show(name)}`"
            here["layers"][j].problem("NB304", what, here.context.near(name, known))
    if regularizer.units is None:
        return None
    found = {}
    for name in regularizer.layers:
        if name in by_layer:
            whole = by_layer[name].gives
            chosen = select(here["units"], whole, regularizer.units, "regularizes")
            if chosen is None:
                return None
            found[name] = chosen.at(whole)
    return found
