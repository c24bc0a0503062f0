"""What a network is, as plain data: specs of its layers, what learns, whether constraints hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
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
    a mask holds fixed, and those that do not learn at all; `constraints` counts for each constraint
    the weights that it covers and those that violate it (frozen weights are compared with
    `initial`); `regularizers` are the raw and weighted terms. `spectrum`: see `Network.get_specs`.
    """
    checks = network.verify(initial)
    total = sum(parameter.numel() for parameter in network.parameters())
    kept = sum(_absent_or_frozen(each) for each in linear_maps(network).values())
    fixed = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    own = network.regularizers
    own = own if isinstance(own, RegularizationList) else RegularizationList()
    # Regularizers of the activity have no value without inputs.
    terms = {name: item.raw() for name, item in own.items() if not item.needs_activity}
    return {
        "layers": network.get_specs(spectrum=spectrum),
        "parameters": {
            "total": total,
            "learnable": total - kept - fixed,
            "absent_or_frozen": kept,
            "fixed": fixed,
        },
        "constraints": [asdict(check) for check in checks],
        "regularizers": {
            name: {"raw": raw.item(), "weighted": raw.item() * own.weight(name)}
            for name, raw in terms.items()
        },
    }


def areas(
    network: Network, plans: Mapping[str, LayerPlan], by: str | None = None
) -> list[dict[str, Any]]:
    """The connections between the areas of each recurrent layer, as a row for each pair of areas.

    A row has the map, `from`, `to`, the numbers of their units, the number of connections, its
    density, the numbers of excitatory and inhibitory connections, and the mean magnitude of the
    effective weights. With `by`, the values of a column of node tables take the place of areas;
    raises ValueError where no recurrent layer has such a column.
    """
    rows, linear = [], linear_maps(network)
    for plan in plans.values():
        has_parts = plan.gives.areas if by is None else plan.gives.column(by) is not None
        if "recurrent" not in plan.maps or not has_parts:
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


Parts = dict[str, NDArray[np.intp]]


def _parts(units: Units, by: str | None) -> Parts:
    """The positions, on the axis of a map, of the units of each area or each value of a column."""
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
    """(unit,): the number of the part that each unit is in; `len(parts)` where it is in none."""
    number = np.full(count, len(parts))
    for i, units in enumerate(parts.values()):
        number[units] = i
    return number


def _absent_or_frozen(layer: LinearLayer) -> int:
    """How many weights of a learning map are held fixed by its masks."""
    if not layer.weight.requires_grad:
        return 0
    mask = layer.update_mask
    return 0 if mask is None else int((mask == 0).sum())
