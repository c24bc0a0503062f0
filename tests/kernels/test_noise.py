"""Normal numbers that follow from a seed alone: their bits, their accuracy, their distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from netbuild.kernels import noise


def test_words_are_those_of_the_published_generator() -> None:
    """Random123's known answer for the counter 0 and the key 0."""
    words = noise.philox((0, 0), np.zeros(1, np.uint32))
    assert [int(w[0]) for w in words] == [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 511, 512, 513, 5000])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_numba_and_numpy_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, count: int, seed: int
) -> None:
    assert noise._usable()
    one = noise.normal((count,), seed)
    monkeypatch.setattr(noise, "_usable", lambda: False)
    assert torch.equal(one, noise.normal((count,), seed))


def test_a_number_depends_on_its_place_alone() -> None:
    long = noise.normal((40, 50), 3)
    assert torch.equal(noise.normal((7, 50), 3), long[:7])
    assert not torch.equal(noise.normal((7, 50), 4), long[:7])


def test_they_are_those_of_the_exact_formula() -> None:
    words = noise.philox((5, 0), np.arange(128, dtype=np.uint32))
    radii, angles = words[0], words[2].view(np.int32)
    radius = np.sqrt(-2 * np.log(((radii >> 8) + 1) / 2**24))
    turn = 2 * math.pi * angles / 2**32
    found = noise.normal((512,), 5).double().numpy()
    np.testing.assert_allclose(found[:128], radius * np.sin(turn), atol=2e-6, rtol=0)
    np.testing.assert_allclose(found[256:384], radius * np.cos(turn), atol=2e-6, rtol=0)


def test_their_distribution() -> None:
    values = noise.normal((1_000_000,), 11).double().numpy()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4e-3
    for lag in (1, 50, 128, 256, 512):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 5e-3
    assert abs(stats.kurtosis(values)) < 2e-2
    assert 4.5 < np.abs(values).max() < 5.8
