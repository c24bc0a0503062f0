"""The effective weights of every map with their units, and what each layer computes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.language import Spec
from netbuild.language.plan import LayerPlan
from netbuild.language.population import Population
from netbuild.layers import CTRNNLayer, LinearLayer, Network, SparseLinearLayer
from netbuild.results.export import dataset_of
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

    def units(population: Population) -> Units:
        if id(population) not in known:
            known[id(population)] = units_of(population, plans)
        return known[id(population)]

    for name, module in network.named_modules():
        if not isinstance(module, LinearLayer):
            continue
        layer, _, which = name.partition(".")
        plan = plans[layer]
        pre = plan.gives if which == "recurrent" else plan.reads
        found[name] = LabelledMap(
            _numbers(module.matrix()),
            module.bias.detach().float().cpu().numpy().copy(),
            None if module.connected is None else module.connected.cpu().numpy().copy(),
            units(pre),
            units(plan.gives),
            _held_signs(module, units(pre).sign),
        )
    return found


def _held_signs(module: LinearLayer, signs: Array) -> Array:
    """(pre,): the signs of presynaptic units, 0 where a weight of the unit is not held to it."""
    if module.dale == "none" or module.sign is None:
        return np.zeros_like(signs)
    held = module.sign.cpu().numpy()
    if isinstance(module, SparseLinearLayer):  # (connection,)
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


class Equation(NamedTuple):
    """What a layer computes beside its weights; the last four are None of layers without time."""

    activation: str
    exponent: float | None  # of the activation `power`
    formulation: str | None
    alpha: Array | None  # (unit,), dt / tau, in (0, 1]
    initial_state: Array | None  # (unit,): v in the formulation `current`, r in others
    initial_rate: Array | None  # (unit,): r, which is 0 where `initial_state: zero` is written


def equations_of(network: Network, spec: Spec) -> dict[str, Equation]:
    """The equation of every layer that has an activation, by its name, with the weights' values."""
    found: dict[str, Equation] = {}
    for layer in spec.model.layers:
        words = getattr(layer, "activation", None)
        if words is None:
            continue
        given = words.model_dump()
        module = network.get_submodule(layer.name)
        own = _recurrent(module) if isinstance(module, CTRNNLayer) else (None,) * 4
        found[layer.name] = Equation(given["type"], given.get("n"), *own)
    return found


def _recurrent(layer: CTRNNLayer) -> tuple[str, Array, Array, Array]:
    with torch.no_grad():
        alpha = torch.as_tensor(layer.parameters_of_step().alpha, dtype=torch.float32)
        first = layer.initial()
    state = first.rate if first.potential is None else first.potential
    arrays = (alpha.expand(layer.size), state, first.rate)
    numbers = [value.detach().float().cpu().numpy().copy() for value in arrays]
    return layer.formulation, numbers[0], numbers[1], numbers[2]


# Files


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


def equation_arrays(equations: Mapping[str, Equation], dt: float | None) -> dict[str, Array]:
    """Names and arrays for a file: `<layer>/alpha` and so on, and `dt` in ms, if there is one."""
    found: dict[str, Array] = {} if dt is None else {"dt": np.array(dt)}
    for name, equation in equations.items():
        for part, value in equation._asdict().items():
            if value is not None:
                found[f"{name}/{part}"] = np.asarray(value)
    return found


def maps_dataset(
    maps: Mapping[str, LabelledMap], equations: Mapping[str, Equation], dt: float | None
) -> Any:
    """An `xarray.Dataset`: the weight of each map, (<map>_post, <map>_pre), and its bias.

    A sparse map's weight is (<map>_connection,), by postsynaptic and then by presynaptic unit, and
    the coordinates <map>_from and <map>_to along it are positions in <map>_pre and <map>_post.
    Of recurrent layers <layer>_alpha, <layer>_initial_state and <layer>_initial_rate, along
    <layer>_recurrent_post; and as attributes <layer>_activation, <layer>_formulation, and dt in ms.
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
        for part, value in equation._asdict().items():
            if isinstance(value, np.ndarray):
                variables[f"{name}_{part}"] = (f"{name}_recurrent_post", value)
            elif value is not None:
                about[f"{name}_{part}"] = value
    return dataset_of(variables, coordinates, units, about)
