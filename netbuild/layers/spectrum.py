"""The spectral radius of a recurrent weight."""

from __future__ import annotations

import torch
from torch import Tensor


class SpectrumError(ValueError):
    """A weight whose spectral radius is 0, which no factor changes."""


def spectral_radius(weight: Tensor) -> float:
    """The largest magnitude of an eigenvalue of a square matrix (N, N)."""
    if weight.is_meta:
        return float("nan")
    values = torch.linalg.eigvals(weight.detach().to("cpu", torch.float64))
    return float(values.abs().max())


def scaled_to(weight: Tensor, effective: Tensor, radius: float) -> Tensor:
    """`weight`, multiplied such that `effective`, which goes with it, has the spectral radius.

    Args:
        weight: (N, N), the parameter.
        effective: (N, N), what the forward pass makes of it.
        radius: > 0.

    Raises:
        ValueError: the weight is not square, or `radius` is not above 0.
        SpectrumError: the radius of the effective weight is 0 (all zero, or no cycle).
    """
    if weight.shape[0] != weight.shape[1]:
        raise ValueError(f"a spectral radius needs a square weight; this is {tuple(weight.shape)}")
    if not radius > 0:
        raise ValueError(f"the spectral radius must be above 0; got {radius!r}")
    now = spectral_radius(effective)
    largest = float(effective.abs().max())
    if not now > 1e-6 * largest:  # rounding alone gives a nilpotent matrix some
        raise SpectrumError(
            "the spectral radius of this weight is 0 (it is zero, or its connections form no "
            "cycle), and no factor changes that"
        )
    return weight * (radius / now)
