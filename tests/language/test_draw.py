"""Drawn masks: exact counts, every possible mask equally likely, the same bits for a seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.language.draw import (
    fixed_indegree,
    indegree_among,
    random_among,
    random_mask,
)
from netbuild.splits import round_half_up

sizes = st.integers(1, 30)
fractions = st.floats(0, 1)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize(
    ("fraction", "n", "expected"),
    [
        (0.29, 100, 29),
        (0.7, 5, 4),
        (0.5, 3, 2),
        (0.15, 10, 2),
        (0.35, 10, 4),
        (0.49, 1, 0),
        (0, 7, 0),
        (1, 7, 7),
        (1.0, 0, 0),
        (5e-324, 10**6, 0),
        (1e-6, 500_000, 1),
        (np.float64(0.29), 100, 29),
        (np.float32(0.7), 5, 4),
    ],
)
def test_round_half_up(fraction: float, n: int, expected: int) -> None:
    assert round_half_up(fraction, n) == expected


@given(st.decimals(0, 1, places=4), st.integers(0, 10**9))
def test_round_half_up_means_the_decimal_that_is_written(fraction: Decimal, n: int) -> None:
    exact = (fraction * n).quantize(Decimal(1), ROUND_HALF_UP)
    assert round_half_up(float(fraction), n) == exact


@given(sizes, sizes, fractions, seeds)
def test_random_mask_is_exact(input_dim: int, output_dim: int, density: float, seed: int) -> None:
    mask = random_mask(input_dim, output_dim, density, np.random.default_rng(seed))
    assert mask.shape == (input_dim, output_dim)
    assert mask.dtype == np.bool_
    assert mask.sum() == round_half_up(density, input_dim * output_dim)


@given(sizes, fractions, seeds)
def test_random_mask_without_self_connections(size: int, density: float, seed: int) -> None:
    mask = random_mask(size, size, density, np.random.default_rng(seed), self_connections=False)
    assert mask.shape == (size, size)
    assert not mask.diagonal().any()
    assert mask.sum() == round_half_up(density, size * (size - 1))


@given(sizes, sizes, st.data(), seeds)
def test_fixed_indegree_is_exact(input_dim: int, output_dim: int, data: st.DataObject, seed: int):
    k = data.draw(st.integers(0, input_dim))
    mask = fixed_indegree(input_dim, output_dim, k, np.random.default_rng(seed))
    assert mask.shape == (input_dim, output_dim)
    assert mask.dtype == np.bool_
    assert (mask.sum(axis=0) == k).all()


@given(st.integers(1, 30), st.data(), seeds)
def test_fixed_indegree_without_self_connections(size: int, data: st.DataObject, seed: int):
    k = data.draw(st.integers(0, size - 1))
    rng = np.random.default_rng(seed)
    mask = fixed_indegree(size, size, k, rng, self_connections=False)
    assert not mask.diagonal().any()
    assert (mask.sum(axis=0) == k).all()


def assert_uniform(masks: Counter[bytes], kinds: int, draws: int) -> None:
    """Every kind comes, and chi-squared is within five standard deviations of its mean."""
    assert len(masks) == kinds
    expected = draws / kinds
    chi_squared = sum((count - expected) ** 2 / expected for count in masks.values())
    assert abs(chi_squared - (kinds - 1)) < 5 * (2 * (kinds - 1)) ** 0.5


@pytest.mark.parametrize(("density", "k"), [(0.25, 3), (0.75, 9)])  # gaps are drawn above a half
def test_random_mask_is_uniform(density: float, k: int) -> None:
    rng = np.random.default_rng(1)
    draws = 20 * comb(12, k)
    masks = Counter(random_mask(3, 4, density, rng).tobytes() for _ in range(draws))
    assert_uniform(masks, comb(12, k), draws)


def test_random_mask_without_self_connections_is_uniform() -> None:
    rng = np.random.default_rng(2)
    draws = 6000
    masks = Counter(random_mask(3, 3, 0.5, rng, False).tobytes() for _ in range(draws))
    assert_uniform(masks, comb(6, 3), draws)


def test_fixed_indegree_is_uniform() -> None:
    rng = np.random.default_rng(3)
    draws = 6000
    masks = Counter(fixed_indegree(4, 2, 2, rng).tobytes() for _ in range(draws))
    assert_uniform(masks, comb(4, 2) ** 2, draws)
    masks = Counter(fixed_indegree(3, 3, 1, rng, False).tobytes() for _ in range(draws))
    assert_uniform(masks, 2**3, draws)


def test_a_seed_gives_the_same_bits_for_ever() -> None:
    """A spec's masks are drawn again wherever it runs; another numpy stream must not pass."""

    def digest(mask: np.ndarray) -> str:
        return hashlib.sha256(mask.tobytes()).hexdigest()[:16]

    drawn = [
        digest(random_mask(40, 30, 0.1, np.random.default_rng(7))),
        digest(random_mask(40, 40, 0.8, np.random.default_rng(7), False)),
        digest(fixed_indegree(40, 30, 5, np.random.default_rng(7))),
        digest(fixed_indegree(40, 40, 5, np.random.default_rng(7), False)),
    ]
    assert drawn == ["bcc8d36b3057e9b2", "70a0e0c6e317af10", "e3697a70b6ed20d4", "c3987abe4f012a02"]


@given(st.integers(2, 12), fractions, seeds)
def test_masks_among_allowed_pairs_are_exact(size: int, density: float, seed: int) -> None:
    allowed = np.random.default_rng(seed + 1).random((size, size)) < 0.6
    mask = random_among(allowed, density, np.random.default_rng(seed))
    assert not mask[~allowed].any()
    assert mask.sum() == round_half_up(density, int(allowed.sum()))
    most = int(allowed.sum(axis=0).min())
    mask = indegree_among(allowed, most, np.random.default_rng(seed))
    assert not mask[~allowed].any()
    assert (mask.sum(axis=0) == most).all()


@pytest.mark.parametrize(("density", "n"), [(1.5, 3), (-0.1, 3), (float("nan"), 3), (0.5, -1)])
def test_a_fraction_is_from_0_to_1_of_a_number(density: float, n: int) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1|at least 0"):
        round_half_up(density, n)


def test_more_partners_than_there_are() -> None:
    with pytest.raises(ValueError, match="larger sample"):
        fixed_indegree(3, 4, 4, np.random.default_rng(0))
