"""Wiring: the same connections as a matrix has, in the order of its rows when it is transposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from netbuild import wiring as wirings
from netbuild.language.draw import random_mask, random_wiring
from netbuild.wiring import Connections, Wiring

Mask = npt.NDArray[np.bool_]
SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))
MASKS = SHAPES.flatmap(lambda shape: arrays.arrays(np.bool_, shape))


def pairs_of(mask: Mask) -> list[tuple[int, int]]:
    """(post, pre) of each connection, in a plain loop."""
    inputs, outputs = mask.shape
    return [(j, i) for j in range(outputs) for i in range(inputs) if mask[i, j]]


@given(MASKS)
def test_a_mask_and_its_wiring_are_the_same(mask: Mask) -> None:
    found = wirings.from_matrix(mask)
    assert (found.input_dim, found.output_dim) == mask.shape
    assert list(zip(found.targets.tolist(), found.sources.tolist(), strict=True)) == pairs_of(mask)
    assert len(found) == mask.sum()
    assert found.density == pytest.approx(mask.mean())
    assert found.starts.tolist() == [0, *np.cumsum(mask.sum(axis=0)).tolist()]
    assert (found.starts.dtype, found.sources.dtype, found.targets.dtype) == (np.int32,) * 3
    np.testing.assert_array_equal(found.matrix(), mask)


@given(MASKS, st.randoms())
def test_pairs_in_any_order_are_put_into_order(mask: Mask, random: Any) -> None:
    pairs = pairs_of(mask)
    random.shuffle(pairs)
    post, pre = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    inputs, outputs = mask.shape
    found, order = wirings.from_pairs(inputs, outputs, pre, post)
    np.testing.assert_array_equal(found.matrix(), mask)
    values = np.array([10 * j + i for j, i in pairs])  # each says which it is
    whole = found.matrix(values[order])
    for i, j in zip(*np.nonzero(mask), strict=True):
        assert whole[i, j] == 10 * j + i


@given(st.sampled_from([1, 2**40, 2**62]).flatmap(lambda n: st.lists(st.integers(0, n))))
def test_numbers_are_sorted_stably_whether_or_not_they_fit(numbers: list[int]) -> None:
    found, order = wirings.sorted_order(np.array(numbers, np.int64))
    assert found.tolist() == sorted(numbers)
    assert order.tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)


@given(MASKS)
def test_values_of_connections_come_back_from_their_matrix(mask: Mask) -> None:
    found = wirings.from_matrix(mask)
    values = np.arange(1, len(found) + 1, dtype=np.float32)
    whole = found.matrix(values)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole[found.sources, found.targets], values)
    assert (whole[~mask] == 0).all()


@given(MASKS, st.integers(0, 2**16))
def test_some_connections_are_kept_in_their_order(mask: Mask, seed: int) -> None:
    found = wirings.from_matrix(mask)
    chosen = np.random.default_rng(seed).random(len(found)) < 0.5
    kept = found.keep(chosen)
    expected = mask.copy()
    expected[found.sources[~chosen], found.targets[~chosen]] = False
    np.testing.assert_array_equal(kept.matrix(), expected)
    np.testing.assert_array_equal(kept.sources, found.sources[chosen])


def test_numbers_above_0_are_connections() -> None:
    found = wirings.from_matrix(np.array([[0.0, 2.5], [-1.0, 0.1]]))
    assert found.matrix().tolist() == [[False, True], [False, True]]


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.floats(0, 1),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_drawn_pairs_are_those_of_the_drawn_mask(
    inputs: int, outputs: int, density: float, seed: int, loops: bool
) -> None:
    outputs = outputs if loops else inputs
    mask = random_mask(inputs, outputs, density, np.random.default_rng(seed), loops)
    found = random_wiring(inputs, outputs, density, np.random.default_rng(seed), loops)
    assert isinstance(found, Wiring)
    np.testing.assert_array_equal(found.matrix(), mask)


@given(MASKS)
def test_a_wiring_of_a_mask_is_in_order(mask: Mask) -> None:
    wirings.from_matrix(mask).check()


@pytest.mark.parametrize(
    ("starts", "sources", "words"),
    [
        ([0, 1], [0], "starts must be"),
        ([1, 1, 2], [0, 1], "starts must be"),
        ([0, 1, 3], [0, 1], "starts must be"),
        ([0, 2, 1], [0], "starts must"),
        ([0, 1, 2], [0, 3], "sources must lie between 0 and 2"),
        ([0, 0, 2], [1, 1], "must rise, and be distinct"),
        ([0, 2, 2], [2, 0], "must rise, and be distinct"),
    ],
)
def test_a_wiring_out_of_order_is_refused(
    starts: list[int], sources: list[int], words: str
) -> None:
    parts = (np.array(part, np.int32) for part in (starts, sources))
    with pytest.raises(ValueError, match=words):
        Wiring(3, 2, *parts).check()


@pytest.mark.parametrize(
    ("pre", "post", "words"),
    [
        ([0, 1, 0], [1, 1, 1], "a pair of units is there twice"),
        ([0, 2], [0, 0], "pre holds a unit outside 0 to 1"),
        ([-1], [0], "pre holds a unit outside 0 to 1"),
        ([0], [3], "post holds a unit outside 0 to 2"),
    ],
)
def test_pairs_that_cannot_be_are_refused(pre: list[int], post: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        wirings.from_pairs(2, 3, np.array(pre), np.array(post))


def test_more_than_positions_can_count_is_refused() -> None:
    nothing = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="at most 2,147,483,647 units"):
        wirings.from_pairs(2**31, 1, nothing, nothing)
    assert len(wirings.from_pairs(3, 2, nothing, nothing)[0]) == 0


def test_ids_of_many_units_do_not_overflow() -> None:
    """post * input_dim + pre does not fit into 32 bits."""
    n = 200_000
    pre, post = np.array([n - 1, 0], np.int32), np.array([n - 1, n - 2], np.int32)
    found, order = wirings.from_pairs(n, n, pre, post)
    assert order.tolist() == [1, 0]
    assert found.sources.tolist() == [0, n - 1]
    assert found.targets.tolist() == [n - 2, n - 1]


@given(MASKS)
def test_a_cycle_is_found_where_some_power_of_the_matrix_has_a_diagonal(mask: Mask) -> None:
    n = min(mask.shape)
    square = mask[:n, :n]
    power, found = square.astype(float), False
    for _ in range(n):
        found |= bool(power.diagonal().any())
        power = np.minimum(power @ square, 1)
    assert wirings.from_matrix(square).has_cycle() == found


def test_a_long_chain_has_no_cycle_until_it_is_closed() -> None:
    n = 3000
    chain = np.arange(n - 1)
    wiring, _ = wirings.from_pairs(n, n, chain, chain + 1)
    assert not wiring.has_cycle()
    ring, _ = wirings.from_pairs(n, n, np.arange(n), (np.arange(n) + 1) % n)
    assert ring.has_cycle()


@given(MASKS, st.booleans())
def test_connections_answer_alike_however_they_are_kept(mask: Mask, full: bool) -> None:
    inputs, outputs = mask.shape
    mask = np.ones_like(mask) if full else mask
    dense = Connections(inputs, outputs, None if full else mask.T)
    sparse = dense.as_sparse()
    assert (dense.is_sparse, sparse.is_sparse) == (False, True)
    matrix = np.arange(1.0, mask.size + 1).reshape(outputs, inputs)
    signs = np.resize([1, -1, 0], inputs)
    sends, receives = np.resize([True, False], inputs), np.resize([False, True, True], outputs)
    places = [(j, i) for j, i in pairs_of(mask) if sends[i] and receives[j]]
    for kept in (dense, sparse, sparse.as_dense()):
        assert kept.count == mask.sum()
        assert kept.density == pytest.approx(mask.mean())
        np.testing.assert_array_equal(kept.whole(), mask.T)
        np.testing.assert_array_equal(kept.sends, mask.any(axis=1))
        np.testing.assert_array_equal(kept.receives, mask.any(axis=0))
        assert kept.of(matrix).shape == kept.of(signs).shape == kept.shape
        np.testing.assert_array_equal(kept.whole(kept.of(matrix)), matrix * mask.T)
        np.testing.assert_array_equal(kept.whole(kept.of(signs)), signs * mask.T)
        listed = np.array([matrix[place] for place in pairs_of(mask)])
        np.testing.assert_array_equal(kept.listed(kept.of(matrix)), listed)
        np.testing.assert_array_equal(kept.whole(kept.placed(listed)), matrix * mask.T)
        chosen = kept.between(sends, receives)
        found = kept.graph(chosen)
        assert list(zip(found.targets.tolist(), found.sources.tolist(), strict=True)) == places
