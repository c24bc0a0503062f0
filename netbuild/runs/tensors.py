"""Tensors as the bytes of a safetensors file, and tensors that somebody else has written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from netbuild.durable import canonical_json
from netbuild.errors import Exit, NetbuildError


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Tensors as the bytes of a safetensors file, the same for the same tensors.

    The metadata is one key, `netbuild`: with two, their order would differ between processes.
    """
    ordered = {name: tensors[name] for name in sorted(tensors)}
    return bytes(save_tensors(ordered, {"netbuild": canonical_json(about)}))


def unpack(data: bytes, where: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; raises NetbuildError."""
    try:
        return dict(load_tensors(data))
    except SafetensorError as error:
        reason = type(error).__name__
        raise NetbuildError(f"{where} is not a safetensors file ({reason})", Exit.RUN) from None


def refuse_misfit(
    name: str, tensor: Tensor, shape: torch.Size, dtype: torch.dtype, where: str
) -> None:
    """Raise NetbuildError (exit 5) unless a tensor from `where` has this shape and type."""
    if tensor.shape != shape:
        what = f"`{name}` is {tuple(tensor.shape)}, expected {tuple(shape)}"
        raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)
    if tensor.dtype != dtype:
        what = f"`{name}` is {tensor.dtype}, expected {dtype}"
        raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)
