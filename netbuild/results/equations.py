"""What each layer computes beside its weights: activation, alpha, initial state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netbuild.language import Spec
from netbuild.layers import Network

Array = NDArray[Any]


class Equation(NamedTuple):
    """One layer; the last four are of recurrent layers alone, and None of others."""

    activation: str
    exponent: float | None  # of the activation `power`
    formulation: str | None = None
    alpha: Array | None = None  # (unit,), dt / tau, in (0, 1]
    initial_state: Array | None = None  # (unit,): v in the formulation `current`, r in others
    initial_rate: Array | None = None  # (unit,): r, which is 0 under `initial_state: zero`


def equations_of(network: Network, spec: Spec) -> dict[str, Equation]:
    """The equation of every layer that has an activation, by its name, with the weights' values."""
    found: dict[str, Equation] = {}
    for layer in spec.model.layers:
        words = getattr(layer, "activation", None)
        if words is None:
            continue
        given = words.model_dump()
        module = network.get_submodule(layer.name)
        own: dict[str, Any] = getattr(module, "equation", dict)()
        numbers: dict[str, Any] = {
            key: value.detach().float().cpu().numpy().copy() if isinstance(value, Tensor) else value
            for key, value in own.items()
        }
        found[layer.name] = Equation(given["type"], given.get("n"), **numbers)
    return found


def equation_arrays(equations: Mapping[str, Equation], dt: float | None) -> dict[str, Array]:
    """Names and arrays for a file: `<layer>/alpha` and so on, and `dt` in ms, if there is one."""
    found: dict[str, Array] = {} if dt is None else {"dt": np.array(dt)}
    for name, equation in equations.items():
        for what, value in equation._asdict().items():
            if value is not None:
                found[f"{name}/{what}"] = np.asarray(value)
    return found
