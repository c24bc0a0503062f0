"""Principal components of activity, as numpy arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.analysis.pca import pca

Array = NDArray[Any]


class Plane(NamedTuple):
    """The first principal components of some points."""

    mean: Array  # (unit,)
    components: Array  # (component, unit), orthonormal; the largest loading of each is positive
    explained: Array  # (component,): the part of the variance along each, in [0, 1]

    def project(self, points: Array) -> Array:
        """(..., unit) to (..., component)."""
        return (points - self.mean) @ self.components.T


def principal_plane(points: Array, count: int = 2) -> Plane:
    """The `count` directions of most variance of points (point, unit).

    Points with a NaN are left out; raises ValueError with fewer than 2 others.
    """
    known = points[~np.isnan(points).any(-1)].astype(np.float64)
    if len(known) < 2:
        raise ValueError(f"principal components need at least 2 points; there are {len(known)}")
    found = pca(torch.from_numpy(known), min(count, known.shape[1]))
    return Plane(*(values.numpy() for values in found))
