"""Results: one door to what is drawn, each part computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from choices import simulated

import netbuild
from netbuild import plots
from netbuild.results.activity import Activity
from netbuild.results.results import Results, results_of


def test_what_no_curve_can_be_drawn_of(small: Path, tmp_path: Path) -> None:
    run = netbuild.train(small, tmp_path / "runs")
    for draw, words in (
        (plots.psychometric, "no coherence"),
        (plots.trajectories, "no time"),
        (plots.rates, "no time"),
        (plots.eigenvalues, "recurrent layers"),
    ):
        with pytest.raises(netbuild.NetbuildError, match=words) as caught:
            draw(run)
        assert caught.value.exit_code == 2
    with pytest.raises(netbuild.NetbuildError, match="something is chosen"):
        plots.psychometric({"coh": np.zeros(3)})
    with pytest.raises(netbuild.NetbuildError, match="no variable `speed`") as caught:
        plots.psychometric(simulated(0, 1, seed=0), condition="speed")
    assert caught.value.hint == "there are coh, ground_truth, answer, choice, correct"
    with pytest.raises(netbuild.NetbuildError, match="no map `hidden2`"):
        plots.weights(run, layer="hidden2")


def test_every_part_is_computed_once(decision: netbuild.Run) -> None:
    results = Results(decision)
    assert results.activity(7) is results.activity(7)
    assert results.activity(7) is not results.activity(8)
    assert results.trials() is results.trials()
    assert results.maps is results.maps
    assert results_of(results) is results
    for name, values in results.trials(7).items():
        expected = results.activity(7).trials[name]
        assert np.array_equal(values, expected, equal_nan=values.dtype.kind == "f")


def test_data_that_are_given_have_no_other_parts(activity: Activity, small: Path) -> None:
    given = results_of(activity)
    assert given.activity(3) is activity
    assert given.trials()["coh"] is activity.trials["coh"]
    spec = Results(spec=netbuild.load(small), hint="train it")
    assert [*spec.maps] == ["hidden", "readout"]
    for results, read, hint in (
        (given, lambda r: r.maps, ""),
        (spec, lambda r: r.activity(), "train it"),
        (spec, lambda r: r.trials(), "train it"),
        (spec, lambda r: r.log, "train it"),
    ):
        with pytest.raises(netbuild.NetbuildError, match="name a run") as caught:
            read(results)
        assert (caught.value.exit_code, caught.value.hint) == (2, hint)
