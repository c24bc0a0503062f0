"""When torch must see every operation, so that passes written by hand cannot be used."""

from __future__ import annotations

import torch


def traced() -> bool:
    """Whether torch compiles, exports, or transforms a function (`torch.func`: vmap, grad, ...)."""
    return torch.compiler.is_compiling() or transformed()


def transformed() -> bool:
    """Whether torch transforms a function (`torch.func`)."""
    active: bool = torch._C._are_functorch_transforms_active()
    return active


def autocast(device: torch.device) -> bool:
    """Whether torch chooses the precision of each operation on tensors of this device."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)
