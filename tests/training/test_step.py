"""What is not finite never reaches a weight or a checkpoint, and is told by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from resuming import lines

import netbuild
from netbuild.builder import build_optimizer
from netbuild.errors import Exit, NetbuildError
from netbuild.runs.checkpoint import checkpoints
from netbuild.tasks import Batch
from netbuild.training.guard import are_finite, bad_gradient, first_bad, total_norm
from netbuild.training.loop import Record, Trainer
from netbuild.training.optimizer_state import optimizer_tensors

Poison = Callable[[Trainer], None]


def input_(trainer: Trainer) -> None:
    task = trainer.task

    class Poisoned:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            batch = task.batch(step, size, rng)
            batch.inputs[0, 0] = math.nan
            return batch

    trainer.task = Poisoned()


def weight(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.network.readout.bias[1] = math.inf


def loss(trainer: Trainer) -> None:
    trainer.learner.regularizers.total = lambda raw: torch.tensor(math.nan)


def gradient(trainer: Trainer) -> None:
    trainer.network.readout.weight.register_hook(lambda value: value * math.nan)


SAID = {
    input_: "the loss is nan at step {}; first found in the inputs",
    weight: "the loss is nan at step {}; first found in `readout.bias`",
    loss: "the loss is nan at step {}; first found in a regularizer",
    gradient: "the norm of the gradient is nan at step {}; first found in that of `readout.weight`",
}


@pytest.mark.parametrize("poison", SAID, ids=lambda p: p.__name__)
@pytest.mark.parametrize("step", [1, 20])
@pytest.mark.parametrize("clip", ["null", "1.0"])
def test_it_is_caught_before_the_step(
    small: Path, tmp_path: Path, poison: Poison, step: int, clip: str
) -> None:
    changes = [f"training.clip_grad_norm={clip}", "training.log_every=1"]
    spec = netbuild.load(small, changes, unset=["training.evaluate.every"])
    before: dict[str, torch.Tensor] = {}

    def watch(record: Record, trainer: Trainer) -> None:
        last = record.kind == "checkpoint" if step in (10, 20) else record.kind == "train"
        if record.step == step and last:
            poison(trainer)
            before.update({n: p.detach().clone() for n, p in trainer.network.named_parameters()})
            found.append(trainer)

    found: list[Trainer] = []
    with pytest.raises(NetbuildError) as caught:
        netbuild.train(spec, tmp_path / "runs", watch=watch)
    assert caught.value.exit_code == Exit.DIVERGED
    assert str(caught.value).startswith(SAID[poison].format(step))
    for name, value in found[0].network.named_parameters():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num()), name
    (path,) = (tmp_path / "runs" / "small").iterdir()
    saved = [int(p.name[5:]) for p in checkpoints(path / "checkpoints")]
    assert saved == [each for each in (10, 20) if each <= step]
    last = f"the last good checkpoint is of step {saved[-1]}" if saved else "there is no checkpoint"
    assert caught.value.hint.startswith(last)
    about = json.loads((path / "run.json").read_text())
    assert about["status"] == "diverged"
    last_line = lines(path)[-1]
    assert (last_line["kind"], last_line["step"]) == ("diverged", step)
    assert "nan at step" in last_line["error"]


def test_weights_that_are_not_finite_are_not_saved(small: Path, tmp_path: Path) -> None:
    """As a step may make them that no gradient warned of."""

    def watch(record: Record, trainer: Trainer) -> None:
        if record.kind == "train" and record.step == 20:
            weight(trainer)

    changes = ["training.evaluate.every=null"]
    with pytest.raises(NetbuildError, match=r"`readout\.bias` holds NaN or Inf") as caught:
        netbuild.train(netbuild.load(small, changes), tmp_path / "runs", watch=watch)
    assert caught.value.exit_code == Exit.DIVERGED
    (path,) = (tmp_path / "runs" / "small").iterdir()
    assert [p.name for p in checkpoints(path / "checkpoints")] == ["step-00000010"]


def test_large_and_finite_gradients_go_through(small: Path) -> None:
    network = netbuild.build(small)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e30)
    assert total_norm(network.parameters()).item() == math.inf
    assert bad_gradient(network) == ""
    assert are_finite(p.grad for p in network.parameters())
    network.readout.bias.grad[0] = math.nan
    assert bad_gradient(network) == "readout.bias"
    assert not are_finite(p.grad for p in network.parameters())
    network.readout.bias.grad[:2] = torch.tensor([math.inf, -math.inf])
    assert not are_finite([network.readout.bias.grad])


def test_the_first_place_is_found_in_the_order_of_computation(small: Path) -> None:
    network = netbuild.build(small)
    batch = Batch(torch.ones(4, 5), torch.zeros(4, dtype=torch.long))
    assert first_bad(network, batch, 0) == ""
    with torch.no_grad():
        network.hidden.weight.fill_(1e38)
        network.hidden.bias.fill_(3e38)
    assert first_bad(network, batch, 0) == "the activity of `hidden`"


def test_a_diverged_run_is_not_gone_on_with_by_itself(
    small: Path, tmp_path: Path, cli: Any
) -> None:
    words = ("train", small, "--out", tmp_path / "runs", "--set", "training.clip_grad_norm=null")
    words += ("--set", "training.optimizer={type: SGD, lr: 1e30}")
    result = cli(*words, "--resume")
    assert result.code == Exit.DIVERGED
    assert "Traceback" not in result.err
    assert cli(*words, "--resume").code == Exit.DIVERGED
    assert len(list((tmp_path / "runs" / "small").glob("*/run.json"))) == 2


@pytest.mark.parametrize("clip", ["null", "1.0"])
@pytest.mark.parametrize("poison", [input_, weight, gradient], ids=lambda p: p.__name__)
def test_a_bad_step_that_nobody_waits_for_changes_nothing(
    small: Path, poison: Poison, clip: str
) -> None:
    """As on a GPU, where the steps after it are queued before anyone knows of it."""
    spec = netbuild.load(small, [f"training.clip_grad_norm={clip}", "training.log_every=9"])
    network = netbuild.build(spec)
    trainer = Trainer.of(spec, network, build_optimizer(spec.model.training, network))
    trainer._begin_stage()
    trainer.learner.delay()
    for step in range(8):
        if step == 3:
            poison(trainer)
            before = optimizer_tensors(network, trainer.optimizer)[0] | network.state_dict()
            before = {name: values.clone() for name, values in before.items()}
        assert trainer.take_step(logged=False) == {}
        trainer.progress.step += 1
    after = optimizer_tensors(network, trainer.optimizer)[0] | network.state_dict()
    assert all(torch.equal(after[name], before[name]) or name == "readout.bias" for name in before)
    with pytest.raises(NetbuildError) as caught:
        trainer.take_step(logged=True)
    assert str(caught.value).startswith(SAID[poison].format(3))
    assert trainer.step == 3


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adagrad"])
@pytest.mark.parametrize("clip", ["null", "0.1"])
def test_steps_that_nobody_waits_for_are_those_of_the_cpu(
    small: Path, kind: str, clip: str
) -> None:
    changes = [f"training.clip_grad_norm={clip}", f"training.optimizer={{type: {kind}, lr: 0.01}}"]
    spec, states = netbuild.load(small, changes), []
    for delayed in (False, True):
        network = netbuild.build(spec)
        trainer = Trainer.of(spec, network, build_optimizer(spec.model.training, network))
        trainer._begin_stage()
        if delayed:
            trainer.learner.delay()
        for _ in range(6):
            trainer.take_step(logged=False)
            trainer.progress.step += 1
        assert trainer.learner.bad_step() is None
        states.append(optimizer_tensors(network, trainer.optimizer)[0] | network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
