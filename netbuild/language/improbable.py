"""Warnings about wiring that is valid but probably unintended: units without any connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.language import masks as sources
from netbuild.language.context import Context, Here
from netbuild.language.plan import LayerPlan, MapPlan, maps_of
from netbuild.language.units import INPUT
from netbuild.splits import round_half_up

MOST_LISTED = 8  # units in a message
BY_CHANCE = 0.1  # of the units may be left alone by a drawn mask: a density says how many to expect

Chosen = NDArray[np.bool_]  # (unit,)


def check_connections(context: Context, plans: Mapping[int, LayerPlan]) -> None:
    """Warn of every mask that leaves all, or some, of its units without a connection.

    A unit that one map leaves alone may be reached by another, so units are counted over all maps
    of the network; while a layer or its name has problems, only masks without any connection are
    reported. Neurons of a connectome may have no connection; `inspect` counts them.
    """
    layers = context.parsed.layers
    names = {INPUT, *(plan.name for plan in plans.values())}
    whole = len(names) == len(layers) + 1
    measured = {plan.name for plan in plans.values() if plan.gives.table is not None}
    sending, receiving = _reached(plans) if whole else ({}, {})
    for each in maps_of(plans):
        connections, target = each.connections, each.gives.layer
        source, units = each.reads.origin
        if connections.is_full:
            continue
        where = _where(each)
        if not connections.count:
            what = f"no connection at all: `{target}` receives nothing from `{source}`"
            where.problem("NB601", what, _cure(each.section, "all"))
            continue
        if not whole:
            continue
        deaf = ~receiving[target] & (target not in measured)
        mute = np.zeros_like(sending[source])
        mute[units] = ~sending[source][units] & (source not in measured)
        least = BY_CHANCE if _is_drawn(each.section) else 0.0
        said = [_counted(deaf, target, "receive")] if deaf.mean() > least else []
        said += [_counted(mute, source, "send")] if mute.mean() > least else []
        if said:
            hint = f"units count from 0; {_cure(each.section, 'some')}"
            if deaf.any() and where.location[-1] == "density":
                alike = max(1, round_half_up(each.section.density, units.size))
                mask = f"sparsity_mask: {{generate: fixed_indegree, connections: {alike}}}"
                hint += f", or let each unit receive as many: `{mask}`"
            where.problem("NB602", "; ".join(said), hint)


def _reached(plans: Mapping[int, LayerPlan]) -> tuple[dict[str, Chosen], dict[str, Chosen]]:
    """Of each layer by its name: which units send over some connection, and which receive."""
    reads = [plan.reads for plan in plans.values() if plan.reads.layer == INPUT]
    sizes = {INPUT: max((span[1] for read in reads for span in read.spans), default=0)}
    sizes |= {plan.name: plan.gives.size for plan in plans.values()}
    sending: dict[str, Chosen] = {name: np.zeros(size, np.bool_) for name, size in sizes.items()}
    receiving: dict[str, Chosen] = {name: np.zeros(size, np.bool_) for name, size in sizes.items()}
    if plans:
        last = plans[max(plans)].name
        sending[last][:] = True  # its units are the network's output
    for each in maps_of(plans):
        source, units = each.reads.origin
        sending[source][units] |= each.connections.sends
        receiving[each.gives.layer] |= each.connections.receives
    return sending, receiving


def _is_drawn(section: Any) -> bool:
    """Whether chance decides which connections exist."""
    return section.density is not None or isinstance(section.sparsity_mask, sources.RandomMask)


def _where(plan: MapPlan) -> Here:
    """The key of a map that says which of its connections exist."""
    for key in ("projections", "sparsity_mask", "density"):
        if getattr(plan.section, key, None) is not None:
            return plan.here[key]
    return plan.here["self_connections"]


def _cure(section: Any, missing: str) -> str:
    """What to change, which depends on the key that says which connections exist."""
    source = section.sparsity_mask
    if getattr(section, "connectome", None) is not None:
        return "it is so in the connectome"
    if projections := getattr(section, "projections", None):
        drawn = section.density is not None or any(p.density is not None for p in projections)
        return "add a projection" + (", or raise the `density` of one" if drawn else "")
    if isinstance(source, sources.FixedIndegree):
        return "raise `connections`"
    if section.density is not None or isinstance(source, sources.RandomMask):
        return "raise `density`"
    if source is None:
        return "remove `self_connections: false`"
    other = "lower `threshold`, or " if source.threshold is not None else ""
    if missing == "all":
        return f"{other}write 1 where there is a connection"
    rows, columns = "sending", "receiving"
    if source.rows == "post":
        rows, columns = columns, rows
    return f"{other}fill the matrix, whose rows are {rows} units and whose columns {columns} ones"


def _counted(units: Chosen, layer: str, verb: str) -> str:
    """How many units, and which: `3 of 50 units of `hidden` receive no connection: 4, 17, 20`."""
    which = np.flatnonzero(units)
    listed = ", ".join(str(unit) for unit in which[:MOST_LISTED])
    if len(which) > MOST_LISTED:
        listed += f" and {len(which) - MOST_LISTED:,} more"
    verb += "s" if len(which) == 1 else ""
    return f"{len(which):,} of {units.size:,} units of `{layer}` {verb} no connection: {listed}"
