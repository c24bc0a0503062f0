"""What a network is, as plain data: specs of its layers, what learns, whether constraints hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.check.plan import LayerPlan
from netbuild.check.population import Population
from netbuild.layers import CTRNNLayer, LinearLayer, Network
from netbuild.regularization import RegularizationList


def summary(network: Network, initial: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Everything that `netbuild inspect` shows.

    `layers` are each layer's `get_specs`; `parameters` counts values: those that learn, those that
    masks hold where they are, and those that do not learn at all; `constraints` counts, for each,
    the weights that it covers and that violate it (frozen ones against `initial`); `regularizers`
    are the raw and weighted terms.
    """
    checks = network.verify(initial)
    total = sum(parameter.numel() for parameter in network.parameters())
    held = sum(_held(layer) for layer in network.modules() if isinstance(layer, LinearLayer))
    fixed = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    own = network.regularizers
    own = own if isinstance(own, RegularizationList) else RegularizationList()
    # Those of activity have no value before something is run.
    terms = {name: item.raw() for name, item in own.items() if not item.needs_activity}
    return {
        "layers": network.get_specs(),
        "parameters": {
            "total": total,
            "learnable": total - held - fixed,
            "held": held,
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


def areas(network: Network, plans: Mapping[str, LayerPlan]) -> list[dict[str, Any]]:
    """The connections of each recurrent layer with areas, from each to each.

    One row for every pair: the map, `from`, `to`, how many units each has, how
    many connections, their density, how many are excitatory and inhibitory, and the mean magnitude
    of their effective weights.
    """
    rows = []
    for plan in plans.values():
        module = network.get_submodule(plan.name)
        if not isinstance(module, CTRNNLayer) or not plan.gives.areas:
            continue
        for name, reads in (("input", plan.reads), ("recurrent", plan.gives)):
            linear = module.input if name == "input" else module.recurrent
            rows += _between(f"{plan.name}.{name}", linear, _parts(reads), _parts(plan.gives))
    return rows


Parts = dict[str, NDArray[np.intp]]


def _parts(population: Population) -> Parts:
    """The positions of each area's units among those of a population."""
    whole = population.indices
    parts = {
        area: np.searchsorted(whole, population.part(area=area).indices)
        for area in population.areas
    }
    return parts or {population.layer: np.arange(len(whole))}


def _between(
    path: str, linear: LinearLayer, sources: Parts, targets: Parts
) -> list[dict[str, Any]]:
    weight = linear.effective_weight.detach().cpu()
    here = torch.ones_like(weight, dtype=torch.bool)
    here = here if linear.connected is None else linear.connected.cpu()
    rows = []
    for source, columns in sources.items():
        for target, places in targets.items():
            block = torch.from_numpy(places)[:, None], torch.from_numpy(columns)
            values = weight[block][here[block]]
            rows.append(
                {
                    "map": path,
                    "from": source,
                    "to": target,
                    "from_units": len(columns),
                    "to_units": len(places),
                    "n_connections": len(values),
                    "density": len(values) / (len(columns) * len(places)),
                    "n_excitatory": int((values > 0).sum()),
                    "n_inhibitory": int((values < 0).sum()),
                    "mean_weight": values.abs().mean().item() if len(values) else 0.0,
                }
            )
    return rows


def _held(layer: LinearLayer) -> int:
    """How many weights of a learning map its masks keep where they are: absent and frozen ones."""
    if not layer.weight.requires_grad:
        return 0
    return 0 if layer.gate is None else int((layer.gate == 0).sum())
