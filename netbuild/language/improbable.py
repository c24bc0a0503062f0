"""Warnings about wiring that is allowed and hardly meant: units without any connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.language import masks as sources
from netbuild.language.context import Context
from netbuild.language.ctrnn import CTRNN
from netbuild.language.layers import Dropout
from netbuild.language.named import Named
from netbuild.language.plan import LayerPlan
from netbuild.language.population import Population
from netbuild.language.wiring import INPUT
from netbuild.splits import round_half_up
from netbuild.wiring import Wiring
from netbuild.yamltree.nodes import Location

MOST_LISTED = 8  # units in a message
BY_CHANCE = 0.1  # of the units may be left alone by a drawn mask: a density says how many to expect

Units = NDArray[np.bool_]  # (unit,)
Origins = dict[str, tuple[str, NDArray[np.intp]]]  # of a dropout layer: whose units it passes on


@dataclass(frozen=True)
class Wired:
    """One map: where it stands, whose units it reads, whom it reaches, and by which connections."""

    location: Location
    words: Any  # the map's model
    source: str
    units: NDArray[np.intp]  # of the source
    target: str
    connected: Wiring | Units | None  # (input_dim, output_dim); None is all

    @property
    def any(self) -> bool:
        """Whether there is a connection at all."""
        some = self.connected
        return some is None or bool(len(some) if isinstance(some, Wiring) else some.any())

    @property
    def ends(self) -> tuple[Any, Any]:
        """Which units read have a connection (input,), and which reached ones (output,)."""
        some = self.connected
        if some is None:
            return True, True
        if isinstance(some, Wiring):
            return np.bincount(some.sources, minlength=some.input_dim) > 0, np.diff(some.starts) > 0
        return some.any(axis=1), some.any(axis=0)


def check_connections(context: Context, plans: Mapping[int, LayerPlan]) -> None:
    """Warn of every mask that leaves all, or some, of its units without a connection.

    What one map leaves alone another may reach, so units are looked for in all the maps of the
    network; while a layer or its name has problems, only masks without any connection are told.
    Neurons of a connectome that have no connection are as they are, and `inspect` counts them.
    """
    layers = context.parsed.layers
    wirings = list(_wirings(layers, plans))
    sizes = {plan.name: plan.gives.size for plan in plans.values()}
    whole = len({INPUT, *sizes}) == len(layers) + 1
    measured = {plan.name for plan in plans.values() if isinstance(plan.gives, Named)}
    sending, receiving = _reached(wirings, plans) if whole else ({}, {})
    for wiring in wirings:
        connected, source, target = wiring.connected, wiring.source, wiring.target
        if connected is None:
            continue
        where = _where(wiring)
        if not wiring.any:
            what = f"no connection at all: `{target}` receives nothing from `{source}`"
            context.problem("NB601", where, what, _cure(wiring.words, "all"))
            continue
        if not whole:
            continue
        deaf = ~receiving[target]
        mute = np.zeros_like(sending[source])
        mute[wiring.units] = ~sending[source][wiring.units]
        deaf &= target not in measured
        mute &= source not in measured
        least = BY_CHANCE if _is_drawn(wiring.words) else 0.0
        said = [_counted(deaf, target, "receive")] if deaf.mean() > least else []
        said += [_counted(mute, source, "send")] if mute.mean() > least else []
        if said:
            hint = f"units count from 0; {_cure(wiring.words, 'some')}"
            if deaf.any() and where[-1] == "density":
                alike = max(1, round_half_up(wiring.words.density, wiring.units.size))
                mask = f"sparsity_mask: {{generate: fixed_indegree, connections: {alike}}}"
                hint += f", or let each unit receive as many: `{mask}`"
            context.problem("NB602", where, "; ".join(said), hint)


def _wirings(layers: Sequence[object], plans: Mapping[int, LayerPlan]) -> Iterator[Wired]:
    """The maps of all layers whose inputs are known; of a layer of another kind, one to all."""
    origins: Origins = {}
    for i, plan in plans.items():
        layer = layers[i]
        source, units = _read(plan.reads, origins)
        if isinstance(layer, Dropout):
            origins.setdefault(plan.name, (source, units))  # the first of a name is what is read
        elif isinstance(layer, CTRNN):
            yield _wiring(i, "input", layer.input, plan, source, units)
            own = plan.gives.indices
            yield _wiring(i, "recurrent", layer.recurrent, plan, plan.name, own)
        else:
            yield _wiring(i, "", layer, plan, source, units)


def _wiring(
    i: int, key: str, words: Any, plan: LayerPlan, source: str, units: NDArray[np.intp]
) -> Wired:
    known = plan.maps.get(key)
    location = ("layers", i, key) if key else ("layers", i)
    connected = None if known is None else known.connected if known.wiring is None else known.wiring
    return Wired(location, words, source, units, plan.name, connected)


def _read(population: Population, origins: Origins) -> tuple[str, NDArray[np.intp]]:
    """The layer whose units a map reads, behind any dropout, and which of them."""
    units = population.indices
    if population.layer not in origins:
        return population.layer, units
    source, passed = origins[population.layer]
    return source, passed[units]


def _reached(
    wirings: Sequence[Wired], plans: Mapping[int, LayerPlan]
) -> tuple[dict[str, Units], dict[str, Units]]:
    """Of each layer by its name: which units some map has a connection from, and to."""
    reads = [plan.reads for plan in plans.values() if plan.reads.layer == INPUT]
    sizes = {INPUT: max((span[1] for read in reads for span in read.spans), default=0)}
    sizes |= {plan.name: plan.gives.size for plan in plans.values()}
    sending: dict[str, Units] = {name: np.zeros(size, np.bool_) for name, size in sizes.items()}
    receiving: dict[str, Units] = {name: np.zeros(size, np.bool_) for name, size in sizes.items()}
    if plans:
        last = plans[max(plans)].name
        sending[last][:] = True  # its units are the network's output
    for wiring in wirings:
        sends, receives = wiring.ends
        sending[wiring.source][wiring.units] |= sends
        receiving[wiring.target] |= receives
    return sending, receiving


def _is_drawn(words: Any) -> bool:
    """Whether chance decides which connections exist."""
    return words.density is not None or isinstance(words.sparsity_mask, sources.RandomMask)


def _where(wiring: Wired) -> Location:
    """Where a map says which of its connections exist."""
    for key in ("projections", "sparsity_mask", "density"):
        if getattr(wiring.words, key, None) is not None:
            return (*wiring.location, key)
    return (*wiring.location, "self_connections")


def _cure(words: Any, missing: str) -> str:
    """What to change, for the way in which a map says which connections exist."""
    source = words.sparsity_mask
    if getattr(words, "connectome", None) is not None:
        return "it is so in the connectome"
    if projections := getattr(words, "projections", None):
        drawn = words.density is not None or any(p.density is not None for p in projections)
        return "add a projection" + (", or raise the `density` of one" if drawn else "")
    if isinstance(source, sources.FixedIndegree):
        return "raise `connections`"
    if words.density is not None or isinstance(source, sources.RandomMask):
        return "raise `density`"
    if source is None:
        return "take `self_connections: false` away"
    other = "lower `threshold`, or " if source.threshold is not None else ""
    if missing == "all":
        return f"{other}write 1 where there is a connection"
    rows, columns = ("sending", "receiving")[:: -1 if source.rows == "post" else 1]
    return f"{other}fill the matrix, whose rows are {rows} units and whose columns {columns} ones"


def _counted(units: Units, layer: str, verb: str) -> str:
    """How many units, and which: `3 of 50 units of `hidden` receive no connection: 4, 17, 20`."""
    which = np.flatnonzero(units)
    listed = ", ".join(str(unit) for unit in which[:MOST_LISTED])
    if len(which) > MOST_LISTED:
        listed += f" and {len(which) - MOST_LISTED:,} more"
    verb += "s" if len(which) == 1 else ""
    return f"{len(which):,} of {units.size:,} units of `{layer}` {verb} no connection: {listed}"
