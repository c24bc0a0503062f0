"""The effective weights of every map, with the names, areas and signs of their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.check.plan import LayerPlan
from netbuild.layers import LinearLayer, Network
from netbuild.training.units import Units, units_of

Array = NDArray[Any]


class LabelledMap(NamedTuple):
    """One map's effective weight and its units."""

    weight: Array  # (post, pre), torch's layout; 0 where there is no connection
    bias: Array  # (post,)
    connected: Array | None  # (post, pre) bool; None: everything is
    pre: Units
    post: Units


def labelled_maps(network: Network, plans: Mapping[str, LayerPlan]) -> dict[str, LabelledMap]:
    """The maps of a network that was built from these plans: a linear layer's by its name, a
    recurrent one's as `hidden.input` and `hidden.recurrent`.
    """
    found: dict[str, LabelledMap] = {}
    for name, module in network.named_modules():
        if not isinstance(module, LinearLayer):
            continue
        layer, _, which = name.partition(".")
        plan = plans[layer]
        pre = plan.gives if which == "recurrent" else plan.reads
        found[name] = LabelledMap(
            module.effective_weight.detach().float().cpu().numpy().copy(),
            module.bias.detach().float().cpu().numpy().copy(),
            None if module.connected is None else module.connected.cpu().numpy().copy(),
            units_of(pre, plans),
            units_of(plan.gives, plans),
        )
    return found


def map_arrays(maps: Mapping[str, LabelledMap]) -> dict[str, Array]:
    """Names and arrays for a file: `<map>/weight` (post, pre), `<map>/pre/name` and so on."""
    found: dict[str, Array] = {
        "format": np.array("netbuild weights 1"),
        "rows": np.array("post"),
    }
    for name, one in maps.items():
        found[f"{name}/weight"], found[f"{name}/bias"] = one.weight, one.bias
        if one.connected is not None:
            found[f"{name}/connected"] = one.connected
        for side, units in (("pre", one.pre), ("post", one.post)):
            for what, values in units._asdict().items():
                found[f"{name}/{side}/{what}"] = values
    return found
