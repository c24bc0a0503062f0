"""A weight matrix in a figure: large ones as means, sparse ones never made dense."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse

from netbuild.drawing.look import new_axes
from netbuild.drawing.matrices import MOST, MOST_SPARSE, binned, matrix


def test_large_matrices_are_drawn_as_means() -> None:
    rng = np.random.default_rng(0)
    rows, columns = MOST + 500, 30
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.1)
    small = binned(dense)
    assert small.shape == (MOST, columns)
    starts = [math.ceil(b * rows / MOST) for b in range(MOST + 1)]
    for b in (0, 3, MOST - 1):
        assert np.allclose(small[b], dense[starts[b] : starts[b + 1]].mean(0))
    sparse = scipy.sparse.csr_array(dense)
    assert np.allclose(binned(sparse, MOST), small)
    assert np.allclose(binned(sparse), binned(dense, MOST_SPARSE))
    ax = new_axes()
    matrix(ax, dense)
    assert ax.images[0].get_extent() == [-0.5, columns - 0.5, rows - 0.5, -0.5]


def test_sparse_matrices_are_never_made_dense() -> None:
    count = 400_000  # 1.3 TB, if it were
    places = np.arange(0, count, 7)
    shape = (count, count)
    weight = scipy.sparse.coo_array((np.ones(len(places)), (places, places)), shape=shape).tocsr()
    small = binned(weight)
    assert small.shape == (MOST_SPARSE, MOST_SPARSE)
    assert small.sum() * (count / MOST_SPARSE) ** 2 == pytest.approx(len(places))
