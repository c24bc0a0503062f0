"""What a network is, as plain data: specs of its layers, what learns, whether constraints hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from netbuild.layers import LinearLayer, Network
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


def _held(layer: LinearLayer) -> int:
    """How many weights of a learning map its masks keep where they are: absent and frozen ones."""
    if not layer.weight.requires_grad:
        return 0
    return 0 if layer.gate is None else int((layer.gate == 0).sum())
