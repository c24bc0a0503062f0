"""The effective weights of every map, with what is known of their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netbuild.language.plan import LayerPlan, maps_of
from netbuild.language.population import Units as LayerUnits
from netbuild.layers import LinearLayer, Network, linear_maps
from netbuild.results.units import Units, units_of

Array = NDArray[Any]


class LabelledMap(NamedTuple):
    """One map's effective weight and its units."""

    # (post, pre), torch's layout; 0 where there is no connection. In sparse storage it is a
    # scipy.sparse CSR array, whose rows are the postsynaptic units: `.tocoo()` gives columns.
    weight: Array | Any
    bias: Array  # (post,)
    connected: Array | None  # (post, pre) bool; None: everything is, or all that is stored
    pre: Units
    post: Units
    # (pre,): 1 or -1 where every weight of the unit is held to the unit's sign, else 0; None: as
    # `pre.sign` says. Under `dale: none` units have signs that their weights do not obey.
    held: Array | None = None

    @property
    def signs(self) -> Array:
        """(pre,): the sign that all weights of a presynaptic unit have, 0 where none is held."""
        return self.pre.sign if self.held is None else self.held

    def at(self, post: Array, pre: Array) -> LabelledMap:
        """Some of the rows and columns, in another order; both are positions."""
        connected = None if self.connected is None else self.connected[post][:, pre]
        weight, bias = self.weight[post][:, pre], self.bias[post]
        ends = self.pre.at(pre), self.post.at(post)
        return LabelledMap(weight, bias, connected, *ends, self.signs[pre])


def labelled_maps(network: Network, plans: Mapping[str, LayerPlan]) -> dict[str, LabelledMap]:
    """The maps of a network that was built from these plans: a linear layer's by its name, a
    recurrent one's as `hidden.input` and `hidden.recurrent`.
    """
    found: dict[str, LabelledMap] = {}
    known: dict[int, Units] = {}  # one for both ends of a recurrent map
    known_maps = {each.name: each for each in maps_of(plans)}

    def units(population: LayerUnits) -> Units:
        if id(population) not in known:
            known[id(population)] = units_of(population, plans)
        return known[id(population)]

    for name, module in linear_maps(network).items():
        plan = known_maps[name]
        found[name] = LabelledMap(
            _numbers(module.matrix()),
            module.bias.detach().float().cpu().numpy().copy(),
            None if module.connected is None else module.connected.cpu().numpy().copy(),
            units(plan.reads),
            units(plan.gives),
            _held_signs(module, units(plan.reads).sign),
        )
    return found


def _held_signs(module: LinearLayer, signs: Array) -> Array:
    """(pre,): the signs of presynaptic units, 0 where a weight of the unit is not held to it."""
    if module.dale == "none" or module.sign is None:
        return np.zeros_like(signs)
    held = module.sign.cpu().numpy()
    if module.sources is not None:  # (connection,)
        sources = module.sources.cpu().numpy()
        free = np.zeros(len(signs), bool)
        free[sources[held != signs[sources]]] = True
    else:
        other = held != signs
        if module.connected is not None:
            other &= module.connected.cpu().numpy()
        free = other.any(0)
    return np.where(free, 0, signs).astype(signs.dtype)


def _numbers(weight: Tensor | Any) -> Array | Any:
    """A copy of a weight in float32, as dense or sparse as it is."""
    if isinstance(weight, Tensor):
        return weight.float().cpu().numpy().copy()
    return weight.astype(np.float32, copy=True)


def map_arrays(maps: Mapping[str, LabelledMap]) -> dict[str, Array]:
    """Names and arrays for a file: `<map>/weight` (post, pre), `<map>/pre/name` and so on,
    and `<map>/pre/column/<name>` of a node table.

    A sparse weight is in CSR's parts: `<map>/data` (connection,), `<map>/indices` (connection,),
    the presynaptic units, `<map>/indptr` (post + 1,) and `<map>/shape`.
    """
    found: dict[str, Array] = {
        "format": np.array("netbuild weights 1"),
        "rows": np.array("post"),
    }
    for name, one in maps.items():
        found[f"{name}/bias"] = one.bias
        if isinstance(one.weight, np.ndarray):
            found[f"{name}/weight"] = one.weight
        else:
            for part in ("data", "indices", "indptr", "shape"):
                found[f"{name}/{part}"] = np.asarray(getattr(one.weight, part))
        if one.connected is not None:
            found[f"{name}/connected"] = one.connected
        for side, units in (("pre", one.pre), ("post", one.post)):
            for what, values in units.arrays().items():
                found[f"{name}/{side}/{what}"] = values
    return found
