"""Regularizers against the parameters and units that they name, and their references."""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
            term = _Term(here, regularizer, params, shapes, maps)
            term.check_norm()
            references, among = term.references(), term.among()
            if references is not None and among is not None:
                pairs = zip(references, among, strict=True)
                references = tuple(each.reshape(-1)[some.index] for each, some in pairs)
            found.append(RegularizerPlan(names[i], params, references, among))
        elif isinstance(regularizer, specs.ActivityRegularizer):
            units = _units(here, regularizer, by_layer)
            found.append(RegularizerPlan(names[i], (), units=units))
    return found


def _names(regularizers: Sequence[Any]) -> list[str]:
    """The name of each: as written, or its type in snake case, made unique by a number."""
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
            verb, hint = ("matches", _listed(shapes)) if is_pattern else ("is named", "")
            hint = hint or here.context.near(pattern, shapes)
            here["params"][j].problem("NB304", f"no parameter {verb} `{show(pattern)}`", hint)
        names.update(matched)
    return tuple(name for name in shapes if name in names)


def _listed(shapes: Shapes) -> str:
    """A hint that names the parameters, or the first of many."""
    names = [f"`{name}`" for name in list(shapes)[:MOST_LISTED]]
    more = len(shapes) - len(names)
    rest = f" and {more:,} more" if more else ""
    return f"the parameters are {', '.join(names)}{rest}" if names else ""


@dataclass(frozen=True)
class _Term:
    """A regularizer of parameters, its place in the spec, and the parameters that it names."""

    here: Here
    words: specs.Regularizer
    params: tuple[str, ...]
    shapes: Shapes  # of all parameters of the network
    maps: Mapping[str, MapPlan]  # by the name of their weight

    def check_norm(self) -> None:
        """A norm of matrices has an order of 1 or 2, no mean, and needs dense weights."""
        key = self.words.needs_whole()
        if isinstance(self.words, specs.Norm) and key == "norm":
            order = getattr(self.words, "p", 1)
            if order not in (1, 2):
                what = f"a matrix norm has p = 1 or 2, not {order:g}"
                self.here["p"].problem("NB308", what, "or write `norm: entrywise`")
            if self.words.reduction == "mean":
                what, hint = "a matrix norm has no mean over entries", "remove `reduction`"
                self.here["reduction"].problem("NB308", what, f"{hint}, or write `norm: entrywise`")
        for name in self.params if key else ():
            if name in self.maps and self.maps[name].connections.is_sparse:
                what = f"`{name}` keeps values of its connections alone, and has no matrix norm"
                other = "`norm: entrywise`, or " if key == "norm" else ""
                hint = f"write {other}`storage: dense` for the map"
                self.here[key].problem("NB305", what, hint)
                return

    def references(self) -> tuple[Matrix, ...] | None:
        """The reference of each parameter, as the parameter lies; None without, or drawn."""
        source, is_signs = (
            getattr(self.words, "reference", None),
            isinstance(self.words, specs.DaleLaw),
        )
        if is_signs:
            if vectors := [name for name in self.params if len(self.shapes[name]) != 2]:
                what = f"Dale's law is about weights; `{vectors[0]}` is a vector"
                self.here["params"].problem("NB305", what, "name weights: `*.weight`")
                return None
            signed = [name for name in self.params if self.maps[name].signs is not None]
            if source is None:
                return self._own_signs(signed)
            if signed:
                what = f"the map of `{signed[0]}` has signs already"
                self.here["reference"].problem("NB305", what, "remove `reference`", key=True)
                return None
        if source is None or isinstance(source, specs.DrawnReference):
            return None  # a reference that is drawn is drawn when the network is built
        there = self.here["reference"]

        def convert(array: Matrix) -> Matrix:
            return as_signs(array).astype(np.float32) if is_signs else as_float32(array)

        def read(name: str) -> Matrix:
            shape = self.shapes[name]
            if len(shape) == 2:
                matrix = matrix_at(there, source, (shape[0], shape[1]), convert)
                return np.ascontiguousarray(self.maps[name].connections.of(matrix))
            array = convert(array_of(there, source))
            if array.size != math.prod(shape):
                raise DataFileError("NB201", f"the reference is {array.shape}; `{name}` is {shape}")
            return array.reshape(shape)

        return there.attempt(lambda: tuple(read(name) for name in self.params))

    def _own_signs(self, signed: Sequence[str]) -> tuple[Matrix, ...] | None:
        """The signs of the maps themselves."""
        unsigned = [name for name in self.params if name not in signed]
        if unsigned:
            what = f"`{unsigned[0]}` has no signs to be compared with"
            others = f", or write `params: [{', '.join(signed)}]`" if 0 < len(signed) <= 3 else ""
            hint = f"give the layer that it reads `excitatory`, write a `reference`{others}"
            self.here["params"].problem("NB305", what, hint)
            return None
        signs = (self.maps[name].signs_there() for name in self.params)
        return tuple(each.astype(np.float32) for each in signs if each is not None)

    def among(self) -> tuple[Among, ...] | None:
        """The entries that `from` and `to` choose; None without these keys, or with a problem."""
        if not self.words.from_ and not self.words.to:
            return None
        is_drawn = isinstance(getattr(self.words, "reference", None), specs.DrawnReference)
        if key := "reference" if is_drawn else self.words.needs_whole():
            what = f"`{key}` is of whole maps, and `from` and `to` choose some connections"
            self.here[key].problem("NB308", what, "remove one of them")
            return None
        found = []
        for name in self.params:
            if name not in self.maps:
                what = f"`from` and `to` choose connections, and `{name}` has none"
                self.here["params"].problem("NB305", what, "name weights: `*.weight`")
                return None
            plan = self.maps[name]
            sends = chosen_of(self.here["from"], plan.reads, self.words.from_, "reads")
            receives = chosen_of(self.here["to"], plan.gives, self.words.to, "reaches")
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
