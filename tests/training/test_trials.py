"""The table of trials: flat columns of one type, and nothing lost."""

from __future__ import annotations

import numpy as np
import polars
import pytest
import torch

from netbuild.layers import LinearLayer, Network
from netbuild.tasks import Batch
from netbuild.training.losses import answers
from netbuild.training.trials import trial_columns, trial_frame


def decisions(outputs: torch.Tensor, **variables: object) -> Batch:
    trials = {"answer": np.array([1, -1]), "answer_end": np.array([2, 3]), **variables}
    return Batch(torch.zeros(2, 3, 2), torch.zeros(2, 3, dtype=torch.long), None, trials)


def test_choices_of_trials_are_of_the_end_of_their_decision() -> None:
    outputs = torch.zeros(2, 3, 2)
    outputs[0, 1, 1] = 1.0  # the last step of the first trial's decision
    outputs[0, 2, 0] = 9.0
    columns = trial_columns(outputs, decisions(outputs), "cross_entropy")
    assert columns["choice"].tolist() == [1, 0]
    assert columns["correct"][0] == 1.0
    assert np.isnan(columns["correct"][1])  # nothing is right in the second
    frame = trial_frame(columns)
    assert frame["correct"].dtype == polars.Boolean
    assert frame["correct"].to_list() == [True, None]


def test_values_of_several_numbers_are_flat_columns() -> None:
    outputs = torch.zeros(2, 3, 2)
    places = np.arange(4.0).reshape(2, 2)
    batch = decisions(
        outputs,
        place=places,
        place_1=np.array([7, 8]),
        word=["a", None],
        lag=[None, 3],
        when=torch.ones(2),
    )
    frame = trial_frame(trial_columns(outputs, batch, "cross_entropy"))
    assert frame["place_0"].to_list() == [0.0, 2.0]
    assert frame["place_1"].to_list() == [1.0, 3.0]
    assert frame["given_place_1"].to_list() == [7, 8]
    assert all(not dtype.is_nested() for dtype in frame.dtypes)
    assert frame["word"].to_list() == ["a", ""]
    assert trial_columns(outputs, batch, "cross_entropy")["lag"][1] == 3.0
    assert frame["when"].dtype == polars.Float32


def test_a_variable_called_as_ours_is_kept_beside_it() -> None:
    outputs = torch.zeros(2, 3, 2)
    batch = decisions(outputs, choice=np.array([5, 6]))
    columns = trial_columns(outputs, batch, "cross_entropy")
    assert columns["given_choice"].tolist() == [5, 6]
    assert columns["choice"].tolist() == [0, 0]


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_loss_of_a_trial_leaves_its_padding_out(loss: str) -> None:
    outputs = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(2, 3, dtype=torch.long) if loss == "cross_entropy" else outputs.clone()
    if loss == "mse":
        targets[:, 0] += 1.0
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    batch = Batch(torch.zeros(2, 3, 2), targets, mask)
    before = trial_columns(outputs, batch, loss)["loss"]
    outputs[0, 2] = 1e6
    assert trial_columns(outputs, batch, loss)["loss"].tolist() == before.tolist()
    if loss == "mse":
        assert before.tolist() == pytest.approx([1 / 2, 1 / 3])


def test_classes_without_time() -> None:
    network = Network({"out": LinearLayer(2, 2, weight=np.eye(2), bias=None)}, input_dim=2)
    batch = Batch(torch.eye(2), torch.tensor([0, 0]), None, {"sample": np.array([4, 9])})
    table = trial_frame(trial_columns(answers(network, batch.inputs), batch, "cross_entropy"))
    assert table.to_dict(as_series=False) == {
        "sample": [4, 9],
        "target": [0, 0],
        "choice": [0, 1],
        "correct": [True, False],
    }
