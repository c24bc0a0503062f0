"""Null models: what each keeps exactly, and that the rest is left to chance."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netbuild.connectomes import controls
from netbuild.connectomes.controls import control
from netbuild.wiring import Wiring, from_matrix

REWIRES = ["degree_preserving", "er"]


def keys_of(wiring: Wiring) -> Any:
    return wiring.targets.astype(np.int64) * wiring.input_dim + wiring.sources


def loops(wiring: Wiring) -> Any:
    return wiring.sources[wiring.sources == wiring.targets]


def random_wiring(n: int, density: float, seed: int, self_connections: bool = True) -> Wiring:
    mask = np.random.default_rng(seed).random((n, n)) < density
    return from_matrix(mask if self_connections else mask & ~np.eye(n, dtype=bool))


def numbered(wiring: Wiring) -> Any:
    """Values that tell every connection from the others."""
    return np.arange(1, len(wiring) + 1, dtype=np.float32)


wirings = st.builds(
    random_wiring,
    st.integers(1, 12),
    st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
    st.integers(0, 50),
    st.booleans(),
)


@given(wirings, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_degrees_values_and_self_connections_are_kept(wiring: Wiring, seed: int) -> None:
    values = numbered(wiring)
    rewired, moved, signs = control(
        wiring, values, None, rewire="degree_preserving", rng=np.random.default_rng(seed)
    )
    n = wiring.input_dim
    assert signs is None
    assert (np.diff(keys_of(rewired)) > 0).all()  # in order, none twice
    assert (rewired.starts == wiring.starts).all()  # in-degrees
    assert (
        np.bincount(rewired.sources, minlength=n) == np.bincount(wiring.sources, minlength=n)
    ).all()
    assert (loops(rewired) == loops(wiring)).all()
    # Each value is still with its presynaptic unit.
    presynaptic = dict(zip(values, wiring.sources, strict=True))
    assert dict(zip(moved, rewired.sources, strict=True)) == presynaptic


@given(wirings, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_er_keeps_numbers_alone(wiring: Wiring, seed: int) -> None:
    values = numbered(wiring)
    drawn, moved, _ = control(wiring, values, None, rewire="er", rng=np.random.default_rng(seed))
    assert len(drawn) == len(wiring)
    assert (np.diff(keys_of(drawn)) > 0).all()
    assert sorted(moved) == sorted(values)
    if not len(loops(wiring)):
        assert not len(loops(drawn))


@given(wirings, st.sampled_from([*REWIRES, None]), st.sampled_from(["signs", "weights", None]))
@settings(max_examples=40, deadline=None)
def test_a_pure_function_of_the_seed(wiring: Wiring, rewire: Any, shuffle: Any) -> None:
    signs = np.resize(np.array([1, -1, 0, 1], np.int8), wiring.input_dim)
    values = numbered(wiring)
    before = [a.copy() for a in (wiring.sources, wiring.starts, values, signs)]

    def one() -> Any:
        rng = np.random.default_rng(3)
        return control(wiring, values, signs, rewire=rewire, shuffle=shuffle, rng=rng)

    (first, first_values, first_signs), (second, *rest) = one(), one()
    assert (keys_of(first) == keys_of(second)).all()
    for left, right in zip((first_values, first_signs), rest, strict=True):
        assert (left == right).all()
    for left, right in zip(before, (wiring.sources, wiring.starts, values, signs), strict=True):
        assert (left == right).all()
    assert first_values.dtype == values.dtype
    assert first_signs.dtype == signs.dtype


@pytest.mark.parametrize("rewire", REWIRES)
def test_little_of_the_wiring_is_left(rewire: Any) -> None:
    wiring = random_wiring(200, 0.05, 0, self_connections=False)
    rng = np.random.default_rng(1)
    rewired, *_ = control(wiring, numbered(wiring), None, rewire=rewire, rng=rng)
    overlap = np.isin(keys_of(rewired), keys_of(wiring)).mean()
    assert overlap == pytest.approx(0.05, abs=0.015)  # what chance leaves


def test_dense_wirings_are_rewired_too() -> None:
    wiring = random_wiring(40, 0.5, 0, self_connections=False)
    rng = np.random.default_rng(1)
    rewired, *_ = control(wiring, numbered(wiring), None, rewire="degree_preserving", rng=rng)
    assert np.isin(keys_of(rewired), keys_of(wiring)).mean() == pytest.approx(0.51, abs=0.05)


def test_rectangular_wirings_have_no_self_connections_to_avoid() -> None:
    mask = np.random.default_rng(0).random((30, 20)) < 0.3
    wiring = from_matrix(mask)
    for rewire in REWIRES:
        rng = np.random.default_rng(1)
        rewired, *_ = control(wiring, numbered(wiring), None, rewire=rewire, rng=rng)  # type: ignore[arg-type]
        assert len(rewired) == len(wiring)
        assert (rewired.sources == rewired.targets).any()


def degree_sequence_peers(wiring: Wiring) -> list[bytes]:
    """All wirings without self-connections that have the degrees of this one."""
    n = wiring.input_dim
    mask = wiring.matrix().astype(int)
    rows = [
        [list(chosen) for chosen in combinations([j for j in range(n) if j != i], mask[i].sum())]
        for i in range(n)
    ]
    found = []

    def grow(i: int, partial: Any) -> None:
        if i == n:
            if (partial.sum(0) == mask.sum(0)).all():
                found.append(keys_of(from_matrix(partial)).tobytes())
            return
        for chosen in rows[i]:
            grown = partial.copy()
            grown[i, chosen] = 1
            if (grown.sum(0) <= mask.sum(0)).all():
                grow(i + 1, grown)

    grow(0, np.zeros((n, n), int))
    return found


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 1), (2, 3)],  # one swap to and fro: without laziness a round would decide the outcome
        [(0, 1), (0, 2), (1, 2), (2, 3), (3, 1), (3, 0)],
        [(0, 1), (1, 0), (2, 3), (3, 2), (0, 2)],
    ],
)
def test_all_wirings_of_these_degrees_are_equally_likely(pairs: list[tuple[int, int]]) -> None:
    mask = np.zeros((5, 5), bool)
    mask[tuple(np.transpose(pairs))] = True
    wiring = from_matrix(mask)
    peers = degree_sequence_peers(wiring)
    samples = 8 * len(peers)
    rng = np.random.default_rng(5)
    values = numbered(wiring)
    counts = Counter(
        keys_of(control(wiring, values, None, rewire="degree_preserving", rng=rng)[0]).tobytes()
        for _ in range(samples)
    )
    assert set(counts) <= set(peers)
    expected = samples / len(peers)
    chi_square = sum((counts[peer] - expected) ** 2 / expected for peer in peers)
    freedom = len(peers) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("looped", [False, True])
def test_er_draws_all_wirings_equally_likely(looped: bool) -> None:
    mask = np.zeros((3, 3), bool)
    mask[[0, 1], [0 if looped else 1, 2]] = True
    wiring = from_matrix(mask)
    places = 9 if looped else 6
    peers = places * (places - 1) // 2
    rng = np.random.default_rng(0)
    values = numbered(wiring)
    counts = Counter(
        keys_of(control(wiring, values, None, rewire="er", rng=rng)[0]).tobytes()
        for _ in range(40 * peers)
    )
    assert len(counts) == peers
    chi_square = sum((count - 40) ** 2 / 40 for count in counts.values())
    assert chi_square < peers - 1 + 4 * (2 * (peers - 1)) ** 0.5


@given(wirings, st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_the_way_back_is_as_likely(wiring: Wiring, seed: int) -> None:
    """Whichever of the possible swaps are done: the same pairs may swap back, and no others.

    So a round is symmetric, and what it leads to in the long run favours no wiring.
    """
    rng = np.random.default_rng(seed)
    n = wiring.input_dim
    pre, post = wiring.sources.astype(np.int64), wiring.targets.astype(np.int64)
    pre, post = pre[pre != post], post[pre != post]
    assume(len(pre) > 1)
    order = rng.permutation(len(pre))
    possible = controls.possible_swaps(pre, post, order, n, True)
    done = possible & (rng.random(len(possible)) < 0.6)
    one, two = (half[done] for half in controls.halves(order))
    swapped = post.copy()
    swapped[one], swapped[two] = post[two], post[one]
    assert len(set(zip(pre, swapped, strict=True))) == len(pre)
    assert (controls.possible_swaps(pre, swapped, order, n, True) == possible).all()


@given(st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_distinct_numbers(possible: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, possible))
    chosen = controls.distinct(possible, wanted, np.random.default_rng(0))
    assert len(chosen) == wanted
    assert (np.diff(chosen) > 0).all()
    assert all(0 <= number < possible for number in chosen)


@given(st.integers(1, 30), st.integers(2, 40), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_both_ways_to_find_clashes_agree_with_counting(pairs: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys, others = rng.integers(most, size=(4, pairs)), rng.integers(most, size=3)
    counts = Counter([*keys.ravel().tolist(), *others.tolist()])
    expected = [any(counts[key] > 1 for key in column) for column in keys.T.tolist()]
    assert controls.clashing(keys, others).tolist() == expected
    far = 1 << 61  # numbers in which no owner fits beside the key
    assert controls.clashing(keys + far, others + far).tolist() == expected


def test_shuffled_signs_are_as_many_as_before() -> None:
    wiring = random_wiring(50, 0.1, 0)
    signs = np.array([1] * 30 + [-1] * 12 + [0] * 8, np.int8)
    rng = np.random.default_rng(0)
    same, values, shuffled = control(wiring, numbered(wiring), signs, shuffle="signs", rng=rng)
    assert same is wiring
    assert (values == numbered(wiring)).all()
    assert shuffled is not None
    assert Counter(shuffled.tolist()) == {1: 30, -1: 12, 0: 8}
    assert (shuffled != signs).sum() > 10


def test_shuffled_weights_stay_on_the_wiring() -> None:
    wiring = random_wiring(50, 0.1, 0)
    rng = np.random.default_rng(0)
    same, values, _ = control(wiring, numbered(wiring), None, shuffle="weights", rng=rng)
    assert same is wiring
    assert sorted(values) == sorted(numbered(wiring))
    assert (values != numbered(wiring)).mean() > 0.9


def test_nothing_asked_nothing_done() -> None:
    wiring = random_wiring(5, 0.5, 0)
    values = numbered(wiring)
    assert control(wiring, values, None, rng=np.random.default_rng(0)) == (wiring, values, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rewire": "lattice"}, "rewire is degree_preserving or er, got 'lattice'"),
        ({"shuffle": "names"}, "shuffle is signs or weights, got 'names'"),
        ({"shuffle": "signs"}, "there are no signs to shuffle"),
        ({"values": np.ones(3)}, r"values is \(6,\), one a connection, got \(3,\)"),
        ({"signs": np.ones(5)}, r"signs is \(3,\), one a unit, got \(5,\)"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    wiring = from_matrix(~np.eye(3, dtype=bool))
    given = {"values": np.ones(6), "signs": None, "rng": np.random.default_rng(0)} | arguments
    with pytest.raises(ValueError, match=message):
        control(wiring, **given)
