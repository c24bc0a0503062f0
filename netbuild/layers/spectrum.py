"""The spectral radius of a recurrent weight, dense or sparse."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from netbuild.layers.given import all_finite
from netbuild.layers.initial import StartError


class SpectrumError(StartError):
    """A weight that no factor gives the spectral radius that is asked for."""


def spectral_radius(weight: Tensor | Any) -> float:
    """The largest magnitude of an eigenvalue of a square matrix (N, N); NaN where an entry is none
    or infinite, which LAPACK would not survive.

    Of a tensor by LAPACK; of a scipy.sparse array by `sparse_spectrum.radius_of`, to a thousandth.
    """
    if not isinstance(weight, Tensor):
        from netbuild.layers.sparse_spectrum import radius_of

        return radius_of(weight)
    if weight.is_meta or not all_finite(weight):
        return math.nan
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
        SpectrumError: the radius of the effective weight is 0 (all zero, or no cycle), or so small
            or large that the factor takes the weight out of its precision.
    """
    if effective.shape[0] != effective.shape[1]:
        shape = tuple(effective.shape)
        raise ValueError(f"a spectral radius needs a square weight; this is {shape}")
    if not radius > 0:
        raise ValueError(f"the spectral radius must be above 0; got {radius!r}")
    now = spectral_radius(effective)
    if math.isnan(now):
        raise SpectrumError("this weight holds NaN or Inf, so it has no spectral radius")
    largest = float(abs(effective).max())
    if not now > 1e-6 * largest:  # rounding alone gives a nilpotent matrix some
        raise SpectrumError(
            "the spectral radius of this weight is 0 (it is zero, or its connections form no "
            "cycle), and no factor changes that"
        )
    scaled = weight * (radius / now)
    if not all_finite(scaled) or not scaled.any():
        raise SpectrumError(
            f"the spectral radius of this weight is {now:.3g}, and a factor that makes it "
            f"{radius:.3g} takes the weight out of the range of {weight.dtype}"
        )
    return scaled
