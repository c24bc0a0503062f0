"""What a network is, as plain data: specs of its layers, what learns, whether constraints hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netbuild.language.plan import LayerPlan
from netbuild.language.units import Units
from netbuild.layers import LinearLayer, Network, linear_maps
from netbuild.regularization import RegularizationList


def summary(
    network: Network, initial: Mapping[str, Tensor] | None = None, *, spectrum: bool = False
) -> dict[str, Any]:
    """Everything that `netbuild inspect` shows.

    `layers` are each layer's `get_specs`; `parameters` counts values: those that learn, those that
    masks keep where they are, and those that do not learn at all; `constraints` counts, for each,
    the weights that it covers and that violate it (frozen ones against `initial`); `regularizers`
    are the raw and weighted terms. `spectrum`: see `Network.get_specs`.
    """
    checks = network.verify(initial)
    total = sum(parameter.numel() for parameter in network.parameters())
    kept = sum(_absent_or_frozen(each) for each in linear_maps(network).values())
    fixed = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    own = network.regularizers
    own = own if isinstance(own, RegularizationList) else RegularizationList()
    # Those of activity have no value before something is run.
    terms = {name: item.raw() for name, item in own.items() if not item.needs_activity}
    return {
        "layers": network.get_specs(spectrum=spectrum),
        "parameters": {
            "total": total,
            "learnable": total - kept - fixed,
            "absent_or_frozen": kept,
            "fixed": fixed,
        },
        "constraints": [
            {
                "layer": check.layer,
                "constraint": check.constraint,
                "weights": check.weights,
                "violations": check.violations,
            }
            for check in checks
        ],
        "regularizers": {
            name: {"raw": raw.item(), "weighted": raw.item() * own.weight(name)}
            for name, raw in terms.items()
        },
    }


def areas(
    network: Network, plans: Mapping[str, LayerPlan], by: str | None = None
) -> list[dict[str, Any]]:
    """The connections of each recurrent layer with areas, from each to each.

    With `by`, a column of node tables, its values take the place of areas; ValueError where no
    recurrent layer has such a column.

    One row for every pair: the map, `from`, `to`, how many units each has, how
    many connections, their density, how many are excitatory and inhibitory, and the mean magnitude
    of their effective weights.
    """
    rows, linear = [], linear_maps(network)
    for plan in plans.values():
        if "recurrent" not in plan.maps or not _has(plan.gives, by):
            continue
        for each in plan.maps.values():
            ends = _parts(each.reads, by), _parts(each.gives, by)
            rows += _between(each.name, linear[each.name], *ends)
    if by is not None and not rows:
        tables = [plan.gives.table for plan in plans.values() if plan.gives.table is not None]
        known = sorted({column for table in tables for column in table.columns})
        listed = f"; the columns are {', '.join(known)}" if known else ""
        raise ValueError(f"no recurrent layer has a node table with a column {by}{listed}")
    return rows


def _has(units: Units, by: str | None) -> bool:
    """Whether the units are in areas, or have a column of that name."""
    return bool(units.areas) if by is None else units.column(by) is not None


Parts = dict[str, NDArray[np.intp]]


def _parts(units: Units, by: str | None) -> Parts:
    """The positions of each area's units among those of a map's axis, or of each value's."""
    column = None if by is None else units.column(by)
    if column is not None:
        return {value: np.flatnonzero(column == value) for value in dict.fromkeys(column.tolist())}
    parts = {area: units.part(area=area).at(units) for area in units.areas}
    return parts or {units.layer: np.arange(units.size)}


def _between(
    path: str, linear: LinearLayer, sources: Parts, targets: Parts
) -> list[dict[str, Any]]:
    pre, post, weight = linear.connections()
    block = _number(targets, linear.output_dim)[post] * (len(sources) + 1)
    block += _number(sources, linear.input_dim)[pre]

    def per_block(values: NDArray[Any] | None = None) -> NDArray[Any]:
        count = (len(targets) + 1) * (len(sources) + 1)
        return np.bincount(block, values, count).reshape(len(targets) + 1, -1)

    total, sizes = per_block(), per_block(np.abs(weight))
    excitatory, inhibitory = per_block(weight > 0), per_block(weight < 0)
    rows = []
    for j, (source, columns) in enumerate(sources.items()):
        for i, (target, places) in enumerate(targets.items()):
            count = int(total[i, j])
            rows.append(
                {
                    "map": path,
                    "from": source,
                    "to": target,
                    "from_units": len(columns),
                    "to_units": len(places),
                    "n_connections": count,
                    "density": count / (len(columns) * len(places)),
                    "n_excitatory": int(excitatory[i, j]),
                    "n_inhibitory": int(inhibitory[i, j]),
                    "mean_weight": float(sizes[i, j]) / count if count else 0.0,
                }
            )
    return rows


def _number(parts: Parts, count: int) -> NDArray[np.int64]:
    """(unit,): the number of the part that each unit is in; one more where it is in none."""
    number = np.full(count, len(parts))
    for i, units in enumerate(parts.values()):
        number[units] = i
    return number


def _absent_or_frozen(layer: LinearLayer) -> int:
    """How many weights of a learning map its masks keep where they are: absent and frozen ones."""
    if not layer.weight.requires_grad:
        return 0
    mask = layer.update_mask
    return 0 if mask is None else int((mask == 0).sum())
