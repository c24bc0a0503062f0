"""Activation functions by name: a closed list of elementwise functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from netbuild.layers.given import known_keys, unknown

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x."""
    return x


def retanh(x: Tensor) -> Tensor:
    """tanh(max(x, 0))."""
    return torch.tanh(torch.relu(x))


def power(x: Tensor, n: float = 2) -> Tensor:
    """max(x, 0) to the power n > 0."""
    return torch.relu(x) ** n


ACTIVATIONS: Mapping[str, Activation] = {
    "linear": linear,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "retanh": retanh,
    "power": power,
}


def activation(given: str | Mapping[str, Any]) -> Activation:
    """The function of that name, or of `{type: NAME, <arguments>}`.

    Only `power` takes an argument: `n`, a number above 0 (2 when left out).

    Raises:
        ValueError: an unknown name or argument (the nearest right one is named); n <= 0.
    """
    words = {"type": given} if isinstance(given, str) else dict(given)
    name = words.pop("type", None)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    known_keys(f"activation {name!r}", words, ("n",) if name == "power" else ())
    if "n" not in words:
        return ACTIVATIONS[name]
    n = words["n"]
    if isinstance(n, bool) or not isinstance(n, (int, float)) or not 0 < n < math.inf:
        raise ValueError(f"n of activation 'power' must be a number above 0; got {n!r}")
    return functools.partial(power, n=n)
