"""A weight matrix on given axes: what is averaged, what the colours mean, what a bar counts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from netbuild.drawing.look import new_axes
from netbuild.drawing.matrices import bin_lengths, binned, distribution, matrix


def test_bins_are_the_means_of_nearly_equal_parts() -> None:
    weight = np.random.default_rng(0).normal(size=(7, 10))
    rows, columns = bin_lengths(7, 3), bin_lengths(10, 4)
    assert (rows.tolist(), columns.tolist()) == ([3, 2, 2], [3, 2, 3, 2])
    found = binned(torch.from_numpy(weight), 3)
    assert found.shape == (3, 3)
    assert found[0, 0] == pytest.approx(weight[:3, :4].mean())
    sparse = scipy.sparse.csr_array(weight * (weight > 0.5))
    np.testing.assert_allclose(binned(sparse, 3), binned(sparse.toarray(), 3))


def test_colours_are_centred_on_zero_and_end_at_the_percentile() -> None:
    weight = torch.tensor([[0.0, 1.0, -2.0, 50.0]])
    for percentile, limit in ((100, 50.0), (50, 2.0)):
        figure = matrix(new_axes(), weight, percentile)
        assert figure.axes[0].images[0].get_clim() == (-limit, limit)


def test_a_distribution_counts_zeros_in_its_legend() -> None:
    weight, sign = torch.tensor([[0.0, 1.0, -2.0, 5.0]]), torch.tensor([[1, 1, -1, 0]])
    connected = torch.tensor([[True, True, True, False]])
    figure = distribution(new_axes(), weight, sign, connected)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["excitatory, 1 at 0", "inhibitory"]
