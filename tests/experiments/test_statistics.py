"""Statistics against known answers: planted effects, scipy, and the coverage of the interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from netbuild.experiments import statistics
from netbuild.experiments.statistics import difference, holm, interval, rank_p, summary


def test_a_summary_is_what_numpy_and_scipy_say() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 12)
    said = summary(list(values), "a")
    assert said.n == 12
    assert said.mean == pytest.approx(np.mean(values))
    assert said.sd == pytest.approx(np.std(values, ddof=1))
    assert said.sem == pytest.approx(stats.sem(values))
    assert said.median == pytest.approx(np.median(values))
    assert said.low is not None
    assert said.high is not None
    student = stats.t.interval(0.95, 11, loc=np.mean(values), scale=stats.sem(values))
    assert said.low == pytest.approx(student[0], abs=0.01)
    assert said.high == pytest.approx(student[1], abs=0.01)
    assert summary(list(values), "a") == said


def test_few_values_say_what_they_can() -> None:
    assert summary([]) == statistics.Summary(0)
    one = summary([0.5])
    assert (one.n, one.mean, one.sd, one.low) == (1, 0.5, None, None)
    assert summary([0.5, 0.7]).sd == pytest.approx(math.sqrt(0.02))
    assert summary([0.5, 0.7]).low is None
    assert interval(np.full(5, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize("count", [5, 10, 20])
def test_the_interval_holds_the_mean_in_95_of_100_cases(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 999)
    rng = np.random.default_rng(count)
    held = 0
    for case in range(1000):
        low, high = interval(rng.normal(3, 2, count), "coverage", case)
        assert low is not None
        assert high is not None
        held += low <= 3 <= high
    assert 930 <= held <= 970


def test_a_planted_difference_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.normal(0.7, 0.1, 10)  # what replicates share
    better = difference(seeds + 0.05 + rng.normal(0, 0.02, 10), seeds, "better")
    same = difference(seeds + rng.normal(0, 0.02, 10), seeds, "same")
    assert better.mean == pytest.approx(0.05, abs=0.015)
    assert better.low is not None
    assert better.low > 0
    assert better.p is not None
    assert better.p < 0.01
    assert better.effect is not None
    assert better.effect > 1
    assert same.p is not None
    assert same.p > 0.05


def test_the_p_value_is_that_of_all_exchanged_signs() -> None:
    differences = np.array([0.1, 0.3, -0.05, 0.2, 0.15])
    means = [
        np.mean(differences * [1 if mask >> i & 1 else -1 for i in range(5)]) for mask in range(32)
    ]
    exact = np.mean(np.abs(means) >= differences.mean() - 1e-12)
    assert statistics.permutation_p(differences) == pytest.approx(exact)
    assert statistics.permutation_p(np.zeros(4)) == 1


def test_p_values_are_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(2)
    values = [statistics.permutation_p(rng.normal(size=8)) for _ in range(400)]
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_holm_as_it_was_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_the_rank_among_null_models() -> None:
    nulls = [0.1 * i for i in range(20)]
    assert rank_p(2.5, nulls) == 1 / 21
    assert rank_p(-1, nulls) == 1
    assert rank_p(-1, nulls, minimizes=True) == 1 / 21
    assert rank_p(1.9, nulls) == 2 / 21
