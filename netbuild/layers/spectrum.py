"""The spectral radius of a recurrent weight, dense or sparse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SpectrumError(ValueError):
    """A weight whose spectral radius is 0, which no factor changes."""


def spectral_radius(weight: Tensor | Any) -> float:
    """The largest magnitude of an eigenvalue of a square matrix (N, N).

    Of a tensor by LAPACK; of a scipy.sparse array by `sparse_spectrum.radius_of`, to a thousandth.
    """
    if not isinstance(weight, Tensor):
        from netbuild.layers.sparse_spectrum import radius_of

        return radius_of(weight)
    if weight.is_meta:
        return float("nan")
    values = torch.linalg.eigvals(weight.detach().to("cpu", torch.float64))
    return float(values.abs().max())


def scaled_to(weight: Tensor, effective: Tensor | Any, radius: float) -> Tensor:
    """`weight`, multiplied such that `effective`, which goes with it, has the spectral radius.

    Args:
        weight: the parameter, as it is stored.
        effective: (N, N), what the forward pass makes of it: a tensor or a scipy.sparse array.
        radius: > 0.

    Raises:
        ValueError: the weight is not square, or `radius` is not above 0.
        SpectrumError: the radius of the effective weight is 0 (all zero, or no cycle).
    """
    if effective.shape[0] != effective.shape[1]:
        shape = tuple(effective.shape)
        raise ValueError(f"a spectral radius needs a square weight; this is {shape}")
    if not radius > 0:
        raise ValueError(f"the spectral radius must be above 0; got {radius!r}")
    now = spectral_radius(effective)
    largest = float(abs(effective).max())
    if not now > 1e-6 * largest:  # rounding alone gives a nilpotent matrix some
        raise SpectrumError(
            "the spectral radius of this weight is 0 (it is zero, or its connections form no "
            "cycle), and no factor changes that"
        )
    return weight * (radius / now)
