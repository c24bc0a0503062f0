"""What each layer computes beside its weights: activation, alpha, initial state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.language import Spec
from netbuild.layers import CTRNNLayer, Network

Array = NDArray[Any]


class Equation(NamedTuple):
    """One layer; the last four are of recurrent layers alone, and None of others."""

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


def equation_arrays(equations: Mapping[str, Equation], dt: float | None) -> dict[str, Array]:
    """Names and arrays for a file: `<layer>/alpha` and so on, and `dt` in ms, if there is one."""
    found: dict[str, Array] = {} if dt is None else {"dt": np.array(dt)}
    for name, equation in equations.items():
        for what, value in equation._asdict().items():
            if value is not None:
                found[f"{name}/{what}"] = np.asarray(value)
    return found
