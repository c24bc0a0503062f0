"""Conditions: the variable that tells trials apart, its sign, and its groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from choices import simulated

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.plots.conditions import condition_of, grouped
from netbuild.results.activity import Activity


def test_coherences_are_signed_in_each_environment_by_itself() -> None:
    trials = {
        "environment": np.array(["a", "a", "b", "b", "c"]),
        "ground_truth": np.array([0.0, 1.0, 1.0, 2.0, np.nan]),
        "coh": np.array([5.0, 6.0, 7.0, 8.0, np.nan]),
    }
    found = condition_of(trials)
    assert found is not None
    assert found.unit == "%"
    assert np.array_equal(found.values, [-5, 6, -7, 8, np.nan], equal_nan=True)
    trials["coh"][0] = -5.0
    signed = condition_of(trials)
    assert signed is not None
    assert signed.unit == ""
    assert signed.values[:3].tolist() == [-5, 6, 7]


def test_the_difference_of_two_variables() -> None:
    trials = {"v1": np.array([1, 2]), "v2": np.array([3.0, 1.0]), "word": np.array(["a", "b"])}
    found = condition_of(trials, "v1-v2")
    assert found is not None
    assert found.values.tolist() == [-2.0, 1.0]
    assert condition_of(trials) is None
    with pytest.raises(netbuild.NetbuildError, match="no variable `v1-word`"):
        condition_of(trials, "v1-word")


def test_many_values_are_put_together() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    few = grouped(values)
    assert len(np.unique(few)) == 8
    assert few.mean() == pytest.approx(values.mean())
    assert np.corrcoef(few, values)[0, 1] > 0.9
    assert grouped(values[:10]) is not few
    words = np.array(["a", "b"])
    assert grouped(words) is words


@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        ({"environment": "no"}, "no environment `no`", "there are go, match"),
        ({"environment": "go", "align": "stimulus"}, "no period `stimulus`", "decision"),
        ({"environment": "go", "condition": "coh"}, "no variable `coh`", "there are sample, steps"),
        ({"condition": "no"}, "no variable `no`", "there are sample, steps"),
        ({"align": "no"}, "no period `no`", "there are decision, stimulus"),
        ({"ax": True}, "one panel cannot show 2 environments", "names one of go, match"),
    ],
)
def test_what_no_environment_has(several: Activity, given: Any, what: str, hint: str) -> None:
    if "ax" in given:
        given = {"ax": new_axes()}
    for draw in (plots.rates, plots.trajectories):
        with pytest.raises(netbuild.NetbuildError, match=what) as caught:
            draw(several, **given)
        assert caught.value.exit_code == 2
        assert hint in caught.value.hint
    with pytest.raises(netbuild.NetbuildError, match="there is no environment"):
        plots.psychometric(simulated(0, 1, seed=0), environment="go")
