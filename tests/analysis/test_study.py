"""The study of a network with a task: inputs, starts, arrays, and a published result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analysed import FORMULATIONS, network_of, same, trials_of
from places import ROOT
from torch import Tensor

import netbuild
from netbuild.analysis import (
    Study,
    labelled,
    pca,
    study,
    trajectories,
)
from netbuild.layers import LinearLayer, Network
from netbuild.tasks import Batch


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_trajectories_are_what_the_network_does(formulation: str) -> None:
    network, batch = network_of(formulation), trials_of()
    seen = trajectories(network, "hidden", batch.inputs)
    assert network.hidden.training
    network.eval()
    with torch.no_grad():
        _, activity = network(batch.inputs, return_activity=True)
        rates = network.hidden.activation(seen.states)
    assert torch.allclose(seen.inputs, activity["first"])
    assert torch.allclose(rates if formulation == "current" else seen.states, activity["hidden"])
    assert not network.hidden._forward_pre_hooks
    with pytest.raises(ValueError, match="no recurrent layer 'readout'; there are: hidden"):
        trajectories(network, "readout", batch.inputs)


def test_inputs_are_the_means_of_a_period_and_of_conditions() -> None:
    network, batch = network_of(), trials_of()
    read = trajectories(network, "hidden", batch.inputs).inputs.double()
    plain = study(network, batch, starts=10)
    assert (plain.labels, plain.period) == (("mean input",), "stimulus")
    assert torch.allclose(plain.points.inputs[0], read[:, 2:5].mean((0, 1)))
    by_side = study(network, batch, starts=10, condition=["side", "coh"])
    assert by_side.labels == tuple(f"side={s}, coh={c}" for s in (0, 1) for c in ("1.5", "6"))
    assert torch.allclose(by_side.points.inputs[0], read[[0, 2], 2:5].mean((0, 1)))
    assert by_side.which.tolist() == [0, 2, 0, 3, 1, 3]
    delay = study(network, batch, starts=10, condition=["side"], period="delay")
    assert delay.labels == ("side=0",)  # the others have none
    whole = study(network, batch._replace(trials=None), starts=10)
    assert torch.allclose(whole.points.inputs[0], read.mean((0, 1)))
    given = torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0], [1, 2, 3, 4]])
    own = study(network, batch, starts=10, inputs=given)
    assert torch.equal(own.points.inputs, given[:2].double())
    assert own.labels == ("1, 2, 3, 4 or 1, 2, 3, 4", "0, 0, 0, 0")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.array(["left", "right", None] * 2, object), ("side=left", "side=right")),
        (np.array([b"left", b"right", b""] * 2), ("side=b'left'", "side=b'right'")),
        (np.array([1, 2, None] * 2, object), ("side=1", "side=2")),
    ],
)
def test_conditions_are_of_any_kind(values: Any, labels: tuple[str, ...]) -> None:
    batch = trials_of()
    mine = batch._replace(trials={**(batch.trials or {}), "side": values})
    found = study(network_of(), mine, starts=10, condition=["side"])
    assert found.labels == labels
    assert found.which.tolist() == [0, 1, -1] * 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"period": "dealy"}, "no period 'dealy'; there are: stimulus, delay"),
        ({"condition": ["cohh"]}, "no variable 'cohh'; there are: steps"),
        ({"layer": "readout"}, "no recurrent layer 'readout'"),
        ({"inputs": torch.zeros(1, 3)}, r"inputs must be \(conditions, 4\); got \(1, 3\)"),
        ({"inputs": torch.zeros(1, 4), "period": "delay"}, "either inputs, or a period"),
    ],
)
def test_a_study_says_what_is_wrong(words: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        study(network_of(), trials_of(), **words)
    with pytest.raises(ValueError, match="no recurrent layer"):
        study(Network({"a": LinearLayer(3, 2)}, input_dim=3), trials_of())


def test_starts_follow_from_their_seed_and_stay_out_of_the_padding() -> None:
    network, batch = network_of(), trials_of()
    assert study(network, batch).points.starts.sum() == 6 * 8  # there are no more
    a, b = (study(network, batch, starts=7, seed=seed) for seed in (0, 0))
    assert same(a.points, b.points)
    assert a.points.starts.sum() == 7


def test_arrays_are_labelled_and_need_no_pickle(tmp_path: Path) -> None:
    found = study(network_of(), trials_of(), starts=10, condition=["side"])
    np.savez(tmp_path / "points.npz", **labelled(found, 20.0))
    with np.load(tmp_path / "points.npz", allow_pickle=False) as saved:
        count = len(found.points)
        assert saved["states"].shape == saved["rates"].shape == (count, 5)
        assert saved["jacobians"].shape == (count, 5, 5)
        assert saved["condition_labels"].tolist() == ["side=0", "side=1"]
        assert saved["stability"].tolist() == list(found.points.stability)
        assert (saved["time_unit"], saved["dt"], saved["layer"]) == ("ms", 20.0, "hidden")
        assert np.allclose(saved["time_constants"], found.points.time_constants(20.0))
        assert saved["pca_components"].shape == (2, 5)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the command line trains small networks; other last bits lead to another network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_decision_is_integrated_in_slow_states(tmp_path: Path, one_thread: None) -> None:
    """nn-brain's "RNN + DynamicalSystemAnalysis", three seeds; its own, of one: loss .0115.

    The loss is counted as there: the mean of the last 100 steps. It is the median of the seeds that
    is compared, since other last bits lead to another network, and one in three may still be on a
    plateau. That the slow states form a line is not claimed (docs/reproductions.md).
    """
    losses, slowest, lost, told = [], [], [], []
    for seed in (0, 1, 2):
        changes = [f"seed={seed}", "training.log_every=1"]
        spec = netbuild.load(ROOT / "examples" / "line_attractor.yaml", changes)
        run = netbuild.train(spec, tmp_path)
        steps = [line["loss"] for line in run.metrics if line["kind"] == "train"]
        losses.append(float(np.mean(steps[-100:])))
        assert run.final["accuracy"] < 0.8957 + 3 * 0.0137  # the ideal observer's, 500 trials
        network, batch = run.network().eval(), run.batch(256)
        # In the notebook q is the mean square over units; here it is half the sum over 64. A start
        # is kept as soon as its q is below the tolerance, wherever that is.
        found = study(network, batch, starts=64, tolerance=32 * 1e-4)
        points = found.points
        slowest.append(float(points.multipliers.real.max(1).values.median()))
        lost.append(int(points.lost.sum()))
        told.append(separated(found, network, batch))
        assert len(points) > 20
    assert np.median(losses) < 0.0115 * 1.3
    assert np.exp(-1 / 5) < np.median(slowest) < np.exp(1 / 5)  # five times as slow as a unit
    assert np.median(lost) <= 4
    assert np.median(told) > 0.95


def separated(found: Study, network: Network, batch: Batch) -> float:
    """How many of the choices one threshold on PC 1, at the end of the stimulus, tells right."""
    assert found.trials is not None
    trial = torch.arange(len(batch.inputs))
    end = torch.as_tensor(np.asarray(found.trials["stimulus_end"]))
    with torch.no_grad():
        outputs: Tensor = network(batch.inputs)
    first = outputs[trial, end].argmax(-1) == 1
    states = found.trajectories.states[trial, end - 1]
    x = pca(states, 1).project(states)[:, 0]
    told = ((x[:, None] > x) == first[:, None]).double().mean(0)
    return float(torch.maximum(told, 1 - told).max())
