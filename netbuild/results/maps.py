"""The effective weights of every map with their units, and the rest of each layer's equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netbuild.language import Spec
from netbuild.language.plan import LayerPlan, maps_of
from netbuild.language.units import Units as LayerUnits
from netbuild.layers import LinearLayer, Network, linear_maps
from netbuild.results.export import dataset_of
from netbuild.results.units import Units, units_of

Array = NDArray[Any]


class LabelledMap(NamedTuple):
    """The effective weight of a map and the units on its two axes."""

    # (post, pre), torch's layout; 0 where there is no connection. In sparse storage it is a
    # scipy.sparse CSR array, whose rows are the postsynaptic units.
    weight: Array | Any
    bias: Array  # (post,)
    connected: Array | None  # (post, pre) bool; None if all pairs are, or in sparse storage
    pre: Units
    post: Units
    # (pre,): 1 or -1 where the map constrains every weight of the unit to the unit's sign, else 0.
    # None means `pre.sign`. Under `dale: none`, weights need not have the signs of their units.
    bound: Array | None = None

    @property
    def signs(self) -> Array:
        """(pre,): the sign that all weights of a presynaptic unit must have, or 0."""
        return self.pre.sign if self.bound is None else self.bound

    def at(self, post: Array, pre: Array) -> LabelledMap:
        """The map between some of its units; `post` and `pre` are positions."""
        connected = None if self.connected is None else self.connected[post][:, pre]
        weight, bias = self.weight[post][:, pre], self.bias[post]
        ends = self.pre.at(pre), self.post.at(post)
        return LabelledMap(weight, bias, connected, *ends, self.signs[pre])


def labelled_maps(network: Network, plans: Mapping[str, LayerPlan]) -> dict[str, LabelledMap]:
    """The maps of a network that was built from these plans.

    The map of a linear layer has the name of the layer, the maps of a recurrent layer are
    `hidden.input` and `hidden.recurrent`.
    """
    found: dict[str, LabelledMap] = {}
    known: dict[int, Units] = {}  # the two ends of a recurrent map share their units
    known_maps = {each.name: each for each in maps_of(plans)}

    def units(population: LayerUnits) -> Units:
        if id(population) not in known:
            known[id(population)] = units_of(population, plans)
        return known[id(population)]

    for name, module in linear_maps(network).items():
        plan = known_maps[name]
        found[name] = LabelledMap(
            _numbers(module.matrix()),
            _numbers(module.bias),
            None if module.connected is None else module.connected.cpu().numpy().copy(),
            units(plan.reads),
            units(plan.gives),
            _bound_signs(module, units(plan.reads).sign),
        )
    return found


def _bound_signs(module: LinearLayer, signs: Array) -> Array:
    """(pre,): the signs of presynaptic units, 0 where a weight may have another sign."""
    if module.dale == "none" or module.sign is None:
        return np.zeros_like(signs)
    reference = module.sign.cpu().numpy()
    if module.sources is not None:  # (connection,)
        sources = module.sources.cpu().numpy()
        free = np.zeros(len(signs), bool)
        free[sources[reference != signs[sources]]] = True
    else:
        other = reference != signs
        if module.connected is not None:
            other &= module.connected.cpu().numpy()
        free = other.any(0)
    return np.where(free, 0, signs).astype(signs.dtype)


def _numbers(weight: Tensor | Any) -> Array | Any:
    """A copy of a weight in float32, dense or sparse as it is."""
    if isinstance(weight, Tensor):
        return weight.detach().float().cpu().numpy().copy()
    return weight.astype(np.float32, copy=True)


def equations_of(network: Network, spec: Spec) -> dict[str, dict[str, Any]]:
    """The equation of each layer that has an activation, without its weights: texts and arrays.

    The keys are `activation`, and `exponent` for the activation `power`. A recurrent layer also has
    `formulation`, `alpha` (unit,), which is dt / tau, `initial_state` (unit,), which is v in the
    formulation `current` and r in others, and `initial_rate` (unit,).
    """
    found: dict[str, dict[str, Any]] = {}
    for layer in spec.model.layers:
        words = getattr(layer, "activation", None)
        if words is None:
            continue
        given = words.model_dump()
        found[layer.name] = own = {"activation": given["type"]}
        if "n" in given:
            own["exponent"] = given["n"]
        module = network.get_submodule(layer.name)
        for key, value in getattr(module, "equation", dict)().items():
            own[key] = _numbers(value) if isinstance(value, Tensor) else value
    return found


# Files


def map_arrays(maps: Mapping[str, LabelledMap]) -> dict[str, Array]:
    """Names and arrays for a file: `<map>/weight` (post, pre), `<map>/pre/name` and so on.

    Columns of a node table are `<map>/pre/column/<name>`. A sparse weight is stored as the parts of
    CSR: `<map>/data` (connection,), `<map>/indices` (connection,), which are the presynaptic units,
    `<map>/indptr` (post + 1,) and `<map>/shape`.
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


def equation_arrays(
    equations: Mapping[str, Mapping[str, Any]], dt: float | None
) -> dict[str, Array]:
    """Names and arrays for a file: `<layer>/alpha` and so on, and `dt` in ms, if there is one."""
    found: dict[str, Array] = {} if dt is None else {"dt": np.array(dt)}
    for name, equation in equations.items():
        found |= {f"{name}/{part}": np.asarray(value) for part, value in equation.items()}
    return found


def maps_dataset(
    maps: Mapping[str, LabelledMap], equations: Mapping[str, Mapping[str, Any]], dt: float | None
) -> Any:
    """An `xarray.Dataset`: the weight of each map, (<map>_post, <map>_pre), and its bias.

    The weight of a sparse map is (<map>_connection,), sorted by postsynaptic and then presynaptic
    unit; its coordinates <map>_from and <map>_to are positions in <map>_pre and <map>_post.
    Recurrent layers have <layer>_alpha, <layer>_initial_state and <layer>_initial_rate along
    <layer>_recurrent_post. Attributes are <layer>_activation, <layer>_formulation, and dt in ms.
    """
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    units: dict[str, tuple[str, Units]] = {}
    for name, one in maps.items():
        word = name.replace(".", "_")
        pre, post = f"{word}_pre", f"{word}_post"
        if isinstance(one.weight, np.ndarray):
            variables[f"{word}_weight"] = ((post, pre), one.weight)
        else:
            axis, entries = f"{word}_connection", one.weight.tocoo()
            variables[f"{word}_weight"] = (axis, entries.data)
            coordinates |= {f"{word}_from": (axis, entries.col), f"{word}_to": (axis, entries.row)}
        variables[f"{word}_bias"] = (post, one.bias)
        units |= {pre: (pre, one.pre), post: (post, one.post)}
    about: dict[str, Any] = {"rows": "post"} | ({} if dt is None else {"dt": dt})
    for name, equation in equations.items():
        for part, value in equation.items():
            if isinstance(value, np.ndarray):
                variables[f"{name}_{part}"] = (f"{name}_recurrent_post", value)
            else:
                about[f"{name}_{part}"] = value
    return dataset_of(variables, coordinates, units, about)
