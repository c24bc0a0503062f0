"""Principal components: the directions in which states vary most. S states, N units."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor


class PCA(NamedTuple):
    """A mean and orthonormal directions, float64."""

    mean: Tensor  # (N,)
    components: Tensor  # (K, N), the direction of the most variance first
    explained: Tensor  # (K,) fractions of the whole variance

    def project(self, states: Tensor | NDArray[Any]) -> Tensor:
        """(..., N) states as (..., K) coordinates."""
        return (torch.as_tensor(states).to(self.mean) - self.mean) @ self.components.T


def pca(states: Tensor, components: int = 2) -> PCA:
    """The first principal components of states (S, N).

    Each is turned so that its largest entry is positive, which makes it the same on every run.

    Raises:
        ValueError: other than two axes, no state, more components than units, NaN or Inf.
    """
    if states.ndim != 2 or not len(states):
        raise ValueError(f"states must be (states, units); got {tuple(states.shape)}")
    if not 1 <= components <= states.shape[1]:
        raise ValueError(f"{components} components of {states.shape[1]} units")
    x = states.detach().double()
    if not x.isfinite().all():
        raise ValueError("states that hold NaN or Inf have no principal components")
    mean = x.mean(0)
    x = x - mean
    if components <= len(x) < x.shape[1]:  # fewer states than units: the smaller matrix
        variances, mixes = torch.linalg.eigh(x @ x.T)
        vectors = torch.linalg.qr(x.T @ mixes.flip(1)[:, :components]).Q.T
    else:
        variances, vectors = torch.linalg.eigh(x.T @ x)  # the least variance first
        vectors = vectors.T.flip(0)[:components]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    total = variances.clamp(min=0).sum()
    explained = variances.clamp(min=0).flip(0)[:components] / torch.where(total > 0, total, 1.0)
    return PCA(mean, vectors * torch.where(largest < 0, -1.0, 1.0), explained)
