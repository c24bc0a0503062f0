"""Losses against their definitions; a loss mask weighs steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from netbuild.layers import CTRNNLayer, Dropout, Network
from netbuild.tasks import Batch
from netbuild.training.losses import accuracy, answers, score, task_loss


def test_cross_entropy_is_the_mean_negative_log_probability() -> None:
    output = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 2, 1, 1, 0])
    expected = -output.log_softmax(-1)[range(5), targets].mean()
    assert torch.allclose(task_loss("cross_entropy", output, Batch(output, targets)), expected)


def test_mse_is_the_mean_square() -> None:
    output, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0])
    assert task_loss("mse", output, Batch(output, targets)).item() == pytest.approx(2.5)


@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_masked_steps_do_not_count(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(2, 4, 3, generator=generator)  # (batch, time, output)
    targets = torch.randint(3, (2, 4), generator=generator)
    if kind == "mse":
        targets = torch.randn(2, 4, 3, generator=generator)
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0]])
    masked = task_loss(kind, output, Batch(output, targets, mask))
    kept = task_loss(kind, output[:, :2], Batch(output, targets[:, :2]))
    assert torch.allclose(masked, kept)
    if kind == "cross_entropy":
        cut = accuracy(output[:, :2], Batch(output, targets[:, :2]))
        assert accuracy(output, Batch(output, targets, mask)) == pytest.approx(cut)


def test_score_leaves_the_mode_as_it_was_and_does_not_depend_on_its_chunks() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.9)).train()
    batch = Batch(torch.ones(7, 2), torch.zeros(7, dtype=torch.long))
    one, two = answers(network, batch.inputs, 7), answers(network, batch.inputs, 2)
    assert torch.allclose(one, two)
    assert network.training
    assert set(score(one, batch, "cross_entropy")) == {"loss", "accuracy"}
    assert set(score(one, Batch(batch.inputs, torch.zeros(7, 3)), "mse")) == {"loss"}


@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_where_no_step_counts_there_is_no_score(kind: str) -> None:
    output = torch.randn(2, 4, 3, requires_grad=True)
    targets = torch.zeros(2, 4, dtype=torch.long) if kind == "cross_entropy" else output.detach()
    batch = Batch(output.detach(), targets, torch.zeros(2, 4))
    loss = task_loss(kind, output, batch)
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert not output.grad.any()
    found = score(output.detach(), batch, kind)
    assert found["loss"] is None
    assert math.isnan(found.get("accuracy", math.nan))


@pytest.mark.parametrize("weight", [1e-30, 1e-40, 1e30])
def test_only_the_ratios_of_a_mask_count(weight: float) -> None:
    output = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2))
    batch = Batch(output, torch.zeros(2, 4, dtype=torch.long), torch.full((2, 4), weight))
    mean = task_loss("cross_entropy", output, batch._replace(loss_mask=None))
    assert task_loss("cross_entropy", output, batch).item() == pytest.approx(mean.item(), rel=1e-3)


STEPS, CLASSES = torch.zeros(4, 5, 3), torch.zeros(4, 5, dtype=torch.long)


@pytest.mark.parametrize(
    ("kind", "output", "targets", "mask", "said"),
    [
        ("cross_entropy", STEPS, CLASSES.T, None, r"\(batch, time\) = \(4, 5\) .*not \(5, 4\)"),
        ("cross_entropy", STEPS, CLASSES.int(), None, r"torch.int64, not \(4, 5\) torch.int32"),
        ("cross_entropy", STEPS, CLASSES + 3, None, "classes 0 to 2, .*not 3 to 3"),
        ("cross_entropy", STEPS[:, 0], CLASSES, None, r"\(batch\) = \(4,\) .*not \(4, 5\)"),
        ("cross_entropy", STEPS, CLASSES, torch.ones(4), r"mask is .*\(4, 5\), not \(4,\)"),
        ("mse", STEPS, STEPS.mT, None, r"\(batch, time, output\) = \(4, 5, 3\), .*\(4, 3, 5\)"),
        ("mse", STEPS, CLASSES, None, r"\(4, 5, 3\), as the network's output, not \(4, 5\)"),
        ("mse", STEPS, STEPS, torch.ones(5, 4), r"mask is .*\(4, 5\), not \(5, 4\)"),
    ],
)
def test_targets_of_another_shape_are_refused(
    kind: str, output: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        task_loss(kind, output, Batch(output, targets, mask))


def test_noise_in_evaluation_is_of_its_own_stream_and_dropout_is_off() -> None:
    layers = {
        "hidden": CTRNNLayer(2, 4, alpha=0.5, noise=0.3, activation="tanh"),
        "drop": Dropout(0.5),
    }
    network = Network(layers, input_dim=2)
    network.set_step(3)
    inputs = torch.ones(6, 5, 2)
    plain = answers(network, inputs)
    one, again = (answers(network, inputs, noise="test") for _ in range(2))
    other = answers(network, inputs, noise="validation")
    assert torch.equal(one, again)
    assert len({found.sum().item() for found in (plain, one, other)}) == 3
    assert (one != 0).all()  # dropout would make half of them 0
    parts = answers(network, inputs, 3, noise="test")
    assert not torch.equal(parts[:3], parts[3:])  # each part of the samples gets other noise
    assert network.training
    assert network.hidden.step_number == 3
