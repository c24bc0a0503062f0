"""The spectral radius of a recurrent weight, dense or sparse.

That of a large sparse matrix is found to a thousandth, without making the matrix dense.

An eigenvalue belongs to one strongly connected component of the graph, so an acyclic matrix has
the radius 0 and small components are solved exactly. The radius of a large component is found by
the Krylov-Schur method (Stewart 2001, doi 10.1137/S0895479800371529), in float32 from a fixed
start. Where all cycles of a component have lengths that a number d > 1 divides (a bipartite graph,
a ring), its eigenvalues come as d-th roots, all of one magnitude, which no such method can
separate. Then d steps take one class of units to itself (Frobenius 1912), and the radius is the
d-th root of that of this smaller map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.layers.arguments import all_finite
from netbuild.layers.initial import StartError

Array = NDArray[Any]
DENSE = 500  # units up to which LAPACK is as fast
BASIS = 60  # vectors of the Krylov space
KEPT = 20  # of them, at a restart
LOOK = 20  # steps between two checks of convergence
RESTARTS = 500
TOLERANCE = 1e-3  # of the residual, relative
SETTLED = 2e-4  # of the change since the last look, relative


class SpectrumError(StartError):
    """A weight that no factor scales to the given spectral radius."""


def spectral_radius(weight: Tensor | Any) -> float:
    """The largest magnitude of an eigenvalue of a square matrix (N, N).

    That of a tensor is computed by LAPACK, that of a scipy.sparse array by `radius_of`. NaN where
    an entry is NaN or infinite, which LAPACK would not survive.
    """
    if not isinstance(weight, Tensor):
        return radius_of(weight)
    if weight.is_meta or not all_finite(weight):
        return math.nan
    values = torch.linalg.eigvals(weight.detach().to("cpu", torch.float64))
    return float(values.abs().max())


def scaled_to(weight: Tensor, effective: Tensor | Any, radius: float) -> Tensor:
    """`weight` times the factor that gives its effective weight the spectral radius `radius`.

    Args:
        weight: the parameter, as it is stored.
        effective: (N, N), the weight that the forward pass makes of it: a tensor or a scipy.sparse
            array. Leading axes are separate networks.
        radius: > 0.

    Raises:
        ValueError: the weight is not square, or `radius` is not above 0.
        SpectrumError: the radius of the effective weight is 0 (all zero, or no cycle), or so small
            or large that the factor takes the weight out of its precision.
    """
    if len(effective.shape) > 2:
        pairs = zip(weight, effective, strict=True)
        return torch.stack([scaled_to(*pair, radius) for pair in pairs])
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


def radius_of(matrix: Any) -> float:
    """The largest magnitude of an eigenvalue of a scipy.sparse array (N, N).

    NaN where an entry is not finite.

    Raises:
        ArithmeticError: 500 restarts have not led there.
    """
    matrix = matrix.tocsr()
    if not matrix.has_canonical_format:  # scipy would put it in order in the caller's memory
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not matrix.nnz:
        return 0.0
    if not np.isfinite(matrix.data).all():
        return math.nan
    largest = float(np.abs(matrix.data).max())
    if not largest:
        return 0.0
    best = 0.0
    for bound, part in sorted(_components(matrix, largest), key=lambda part: -part[0]):
        if bound > best:
            best = max(best, _radius_of_component(part))
    return best * largest


def _components(matrix: Any, largest: float) -> Iterator[tuple[float, Any]]:
    """Each strongly connected component with a cycle, and a bound of its radius; entries are
    divided by the largest."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    scaled = csr_array((matrix.data / largest, matrix.indices, matrix.indptr), shape=matrix.shape)
    if (matrix.data == 0).any():
        scaled = scaled.copy()
        scaled.eliminate_zeros()
    count, labels = connected_components(scaled, directed=True, connection="strong")
    if count == 1:
        yield _bound(scaled), scaled
        return
    order = np.argsort(labels, kind="stable")  # the units of a component become neighbours
    scaled, labels = scaled[order][:, order], labels[order]
    edges = np.searchsorted(labels, np.arange(count + 1))
    rows = np.repeat(labels, np.diff(scaled.indptr))
    for label in np.unique(rows[rows == labels[scaled.indices]]):
        units = slice(edges[label], edges[label + 1])
        component = scaled[units, units]
        yield _bound(component), component


def _bound(matrix: Any) -> float:
    """The root of the largest row sum times the largest column sum, of magnitudes."""
    sizes = abs(matrix)
    return math.sqrt(float(sizes.sum(0).max()) * float(sizes.sum(1).max()))


def _radius_of_component(matrix: Any) -> float:
    """The radius of a strongly connected matrix whose entries are at most 1."""
    if matrix.shape[0] == 1:
        return float(abs(matrix.data).max())
    period, phase = _period(matrix)
    if period == 1:
        if matrix.shape[0] <= DENSE:
            return _dense_radius(matrix.toarray())
        return _krylov_radius(matrix.astype(np.float32).__matmul__, matrix.shape[0])
    return _periodic_radius(matrix, period, phase)


def _dense_radius(matrix: Array) -> float:
    return float(np.abs(np.linalg.eigvals(matrix.astype(np.float64))).max())


def _period(matrix: Any) -> tuple[int, Array]:
    """The greatest common divisor of the lengths of all cycles, and each unit's class (unit,).

    Connections lead from a class to the next one, where [i, j] is taken to lead from i to j.
    """
    from scipy.sparse.csgraph import breadth_first_order

    depth = np.zeros(matrix.shape[0], np.int64)
    if matrix.diagonal().any():
        return 1, depth
    order, before = breadth_first_order(matrix, 0)
    for unit, source in zip(order[1:].tolist(), before[order[1:]].tolist(), strict=True):
        depth[unit] = depth[source] + 1
    rows = np.repeat(np.arange(len(depth)), np.diff(matrix.indptr))
    period = int(np.gcd.reduce(np.abs(depth[rows] + 1 - depth[matrix.indices])))
    return period, depth % period


def _periodic_radius(matrix: Any, period: int, phase: Array) -> float:
    """The radius of a component, from the map of its smallest class to itself in `period` steps."""
    units = [np.flatnonzero(phase == k) for k in range(period)]
    first = min(range(period), key=lambda k: len(units[k]))
    classes = [units[(first + k) % period] for k in range(period + 1)]
    blocks = [matrix[classes[k]][:, classes[k + 1]] for k in range(period)]
    size = len(classes[0])
    if size <= DENSE:
        whole, logarithm = np.eye(size), 0.0
        for block in blocks:
            whole = (block.T @ whole.T).T
            largest = float(np.abs(whole).max())
            if not largest:
                return 0.0
            whole, logarithm = whole / largest, logarithm + math.log(largest)
        radius = _dense_radius(whole)
    else:
        # Each divided by how much it stretches a random vector, so that products stay in range.
        stretch = [math.sqrt(block.multiply(block).sum() / block.shape[0]) for block in blocks]
        scaled = [(b / s).astype(np.float32) for b, s in zip(blocks, stretch, strict=True)]

        def product(x: Array) -> Array:
            for block in reversed(scaled):
                x = block @ x
            return x

        radius, logarithm = _krylov_radius(product, size), sum(map(math.log, stretch))
    return math.exp((math.log(radius) + logarithm) / period) if radius else 0.0


def _krylov_radius(product: Callable[[Array], Array], size: int) -> float:
    """The radius of a linear map of vectors (size,), by the Krylov-Schur method.

    It stops when the largest Ritz value has a small residual and does not change any more.
    ARPACK would iterate until several of them have converged, which in the bulk of a random matrix
    takes a hundred times as long.
    """
    from scipy.linalg import schur

    basis = np.zeros((size, BASIS + 1), np.float32, order="F")
    start = np.random.default_rng(0).normal(size=size)
    basis[:, 0] = start / np.linalg.norm(start)
    H = np.zeros((BASIS + 1, BASIS))  # product(basis[:, :BASIS]) = basis @ H
    kept, before = 0, 0.0
    for _ in range(RESTARTS):
        for j in range(kept, BASIS):
            x = product(basis[:, j])
            length = float(np.linalg.norm(x))
            for _ in range(2):  # once more against rounding
                along = basis[:, : j + 1].T @ x
                x = x - basis[:, : j + 1] @ along
                H[: j + 1, j] += along
            H[j + 1, j] = beta = float(np.linalg.norm(x))
            ended = beta <= 1e-6 * length  # the space holds all that the start leads to
            if not ended:
                basis[:, j + 1] = x / beta
            if ended or (j + 1) % LOOK == 0:
                top, residual = _largest(H[: j + 2, : j + 1])
                if ended or (residual <= TOLERANCE * top and abs(top - before) <= SETTLED * top):
                    return top
                before = top
        sizes = np.sort(np.abs(np.linalg.eigvals(H[:BASIS])))
        T, Q, kept = schur(H[:BASIS], sort=_not_below(sizes[-KEPT]))
        basis[:, :kept] = basis[:, :BASIS] @ Q[:, :kept].astype(np.float32)
        basis[:, kept] = basis[:, BASIS]
        last = H[BASIS] @ Q
        H[:] = 0.0
        H[:kept, :kept], H[kept, :kept] = T[:kept, :kept], last[:kept]
    raise ArithmeticError(f"the spectral radius was not found; it is near {before:g}")


def _not_below(size: float) -> Callable[[float, float], bool]:
    """A test whether an eigenvalue, in two parts, has at least this magnitude up to rounding."""
    return lambda real, imaginary: math.hypot(real, imaginary) >= size * (1 - 1e-9)


def _largest(H: Array) -> tuple[float, float]:
    """The largest magnitude of a Ritz value of (k + 1, k), and its residual."""
    values, vectors = np.linalg.eig(H[:-1])
    i = int(np.argmax(np.abs(values)))
    return float(np.abs(values[i])), float(np.abs(H[-1] @ vectors[:, i]))
