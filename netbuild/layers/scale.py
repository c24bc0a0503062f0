"""Scales: factors that whole groups of connections share, as those between two cell types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netbuild.layers.given import array, flag, known_keys


def scale_of(given: Any, groups: Tensor | None) -> tuple[nn.Parameter | None, Tensor | None]:
    """The scales (G,) as a parameter and the groups as int32, from what a caller wrote.

    Args:
        given: a number, an array (G,), `{value: ..., learn: bool}` of these, or None: 1, learnt.
        groups: whole numbers from 0 to G - 1, of any shape; None: no scales.

    Raises:
        ValueError: scales without groups; groups that are not whole numbers from 0; fewer scales
            than groups (more will do: the last groups may be empty); a scale below 0, which would
            turn signs.
    """
    if groups is None:
        if given is not None:
            raise ValueError("scale needs scale_groups")
        return None, None
    if bool((groups != groups.round()).any()) or (groups.numel() and groups.min() < 0):
        raise ValueError("scale_groups must hold whole numbers from 0")
    count = int(groups.max()) + 1 if groups.numel() else 1
    learn = True
    if isinstance(given, Mapping):
        known_keys("scale", given, ("value", "learn"))
        learn = flag("scale.learn", given.get("learn", True))
        given = given.get("value")
    values = array("scale", 1.0 if given is None else given)
    if values.ndim and (values.ndim > 1 or len(values) < count):
        raise ValueError(f"scale is {tuple(values.shape)}; expected a number or ({count},)")
    if not bool((values >= 0).all()):
        raise ValueError(f"scale must not be below 0; got {values.min():g}")
    values = values.expand(count).clone() if not values.ndim else values
    return nn.Parameter(values.to(torch.get_default_dtype()), learn), groups.to(torch.int32)
