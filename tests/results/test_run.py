"""A run and what its network did: weights, trials and activity."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import small_spec

import netbuild


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    folder = tmp_path_factory.mktemp("run")
    return netbuild.train(small_spec(folder), folder / "runs")


def test_a_map_that_is_not_there_is_told_which_are(run: netbuild.Run) -> None:
    with pytest.raises(KeyError, match=r"no map 'hiden'; name one of hidden, readout"):
        run.weights("hiden")


def test_activity_is_of_the_test_trials(run: netbuild.Run) -> None:
    activity = run.activity(5)
    assert {name: tuple(a.shape) for name, a in activity.items()} == {
        "hidden": (5, 12),
        "drop": (5, 12),
        "readout": (5, 3),
    }
    assert (activity["hidden"] >= 0).all()


def test_trials_are_a_table(run: netbuild.Run) -> None:
    assert run.trials()["correct"].mean() == pytest.approx(run.final["accuracy"])


def test_trials_are_the_first_ones_that_are_scored(run: netbuild.Run) -> None:
    assert run.trials(5).equals(run.trials()[:5])
    inputs = run.batch().inputs
    assert (run.batch(5).inputs == inputs[:5]).all()
    assert np.array_equal(run.activity(5).inputs, inputs[:5].numpy())


def test_activity_of_an_older_checkpoint_has_its_weights(run: netbuild.Run) -> None:
    older = run.activity(5, checkpoint=20)
    assert not np.array_equal(older["readout"], run.activity(5)["readout"])
    network = run.network(checkpoint=20).eval()
    assert np.array_equal(older.outputs, network(run.batch(5).inputs).detach().numpy())


def test_a_parameter_may_be_named_in_full(run: netbuild.Run) -> None:
    assert run.weights("readout.bias").shape == (3,)
    assert (run.weights("readout") == run.weights("readout.weight")).all()
