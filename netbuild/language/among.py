"""Regularizers of some connections, or of some units: which of a parameter's entries they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netbuild.language import regularizers as specs
from netbuild.language.context import Context
from netbuild.language.plan import LayerPlan, Matrix
from netbuild.language.population import Population
from netbuild.language.projections import selected
from netbuild.yamltree.nodes import Location


@dataclass(frozen=True, eq=False)
class Among:
    """Entries of one weight, as positions in its memory, and of how many pairs of units."""

    index: Matrix  # (entry,): of the flattened parameter
    pairs: int


def among(
    context: Context,
    i: int,
    regularizer: specs.Regularizer,
    params: tuple[str, ...],
    layers: dict[str, LayerPlan],
) -> tuple[Among, ...] | None:
    """The entries that a regularizer with `from` or `to` reads; None without, or with a problem."""
    here: Location = ("regularizers", i)
    ends = {"from": regularizer.from_, "to": regularizer.to}
    if not any(ends.values()):
        return None
    for key, value in (("norm", "matrix"), ("reference", None)):
        given = getattr(regularizer, key, None)
        if given == value if value else isinstance(given, specs.DrawnReference):
            what = f"`{key}` is of whole maps, and `from` and `to` choose some connections"
            context.problem("NB308", (*here, key), what, "take one of them away")
            return None
    found = []
    for name in params:
        layer, *inner, last = name.split(".")
        plan = layers[layer]
        if last != "weight":
            what = f"`from` and `to` choose connections, and `{name}` has none"
            context.problem("NB305", (*here, "params"), what, "name weights: `*.weight`")
            return None
        which = inner[0] if inner else ""
        reads = plan.gives if which == "recurrent" else plan.reads
        sources = _positions(context, (*here, "from"), ends["from"], reads, "reads")
        targets = _positions(context, (*here, "to"), ends["to"], plan.gives, "reaches")
        if sources is None or targets is None:
            return None
        found.append(_entries(plan, which, reads.size, sources, targets))
    return tuple(found)


def _positions(
    context: Context, location: Location, wanted: Any, whole: Population, verb: str
) -> Matrix | None:
    """(unit,): where the selected units stand in a map's axis."""
    if wanted is None:
        return np.arange(whole.size)
    chosen = selected(context, location, wanted, whole, verb)
    return None if chosen is None else np.searchsorted(whole.indices, chosen.indices)


def _entries(plan: LayerPlan, which: str, inputs: int, sources: Matrix, targets: Matrix) -> Among:
    known = plan.maps.get(which)
    pairs = len(sources) * len(targets)
    if known is None or known.wiring is None:
        return Among((targets[:, None] * inputs + sources).reshape(-1), pairs)
    wiring = known.wiring
    sends, receives = np.zeros(inputs, dtype=bool), np.zeros(plan.gives.size, dtype=bool)
    sends[sources], receives[targets] = True, True
    return Among(np.flatnonzero(sends[wiring.sources] & receives[wiring.targets]), pairs)


def units_among(
    context: Context,
    i: int,
    regularizer: specs.ActivityRegularizer,
    layers: dict[str, LayerPlan],
) -> dict[str, Matrix] | None:
    """(unit,) of each layer: those whose rates are meant; None for all, or with a problem."""
    if regularizer.units is None:
        return None
    found = {}
    for name in regularizer.layers:
        if name in layers:
            location: Location = ("regularizers", i, "units")
            one = _positions(
                context, location, regularizer.units, layers[name].gives, "regularizes"
            )
            if one is None:
                return None
            found[name] = one
    return found
