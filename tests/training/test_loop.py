"""The training loop: records, constraints at every step, early ends, and bits that repeat."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import netbuild
from netbuild.builder import build, build_optimizer, build_task
from netbuild.errors import Exit, NetbuildError
from netbuild.language.training import Training
from netbuild.tasks import Batch
from netbuild.training.loop import Record, Trainer, steps_of
from netbuild.training.losses import task_loss


def trainer_of(path: Path, *changes: str) -> Trainer:
    spec = netbuild.load(path, changes)
    network, task = build(spec), build_task(spec)
    optimizer = build_optimizer(spec.model.training, network)
    return Trainer(network, task, spec.model.training, optimizer, seed=spec.model.seed)


def shape_of(records: list[Record]) -> list[tuple[str, int]]:
    return [(record.kind, record.step) for record in records]


def test_records_come_in_order(small: Path) -> None:
    assert shape_of(list(trainer_of(small).records())) == [
        ("evaluation", 8),
        ("train", 10),
        ("checkpoint", 10),
        ("evaluation", 16),
        ("train", 20),
        ("checkpoint", 20),
        ("train", 24),
        ("evaluation", 24),
        ("end", 24),
    ]


def test_what_is_logged_adds_up(small: Path) -> None:
    for record in trainer_of(small).records():
        if record.kind != "train":
            continue
        values = record.values
        weighted = sum(term["weighted"] for term in values["regularizers"].values())
        assert values["total"] == pytest.approx(values["loss"] + weighted, rel=1e-5)
        assert values["regularizers"]["dale"]["weighted"] == pytest.approx(
            1e-3 * values["regularizers"]["dale"]["raw"]
        )
        assert 0 <= values["accuracy"] <= 1
        assert values["grad_norm"] > 0
        assert values["steps_per_second"] > 0


def test_a_step_is_what_a_plain_loop_does(small: Path) -> None:
    changes = ("training.optimizer={type: SGD, lr: 0.1}", "training.clip_grad_norm=null")
    trainer = trainer_of(small, *changes)
    spec = netbuild.load(small, changes)
    network, task = build(spec), build_task(spec)
    optimizer = build_optimizer(spec.model.training, network)
    for step in range(24):
        network.set_step(step)
        batch = task.batch(step, 8, np.random.default_rng())
        loss = task_loss("cross_entropy", network(batch.inputs), batch) + network.regularizers()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for _ in trainer.records():
        pass
    for name, value in network.state_dict().items():
        assert torch.equal(value, trainer.network.state_dict()[name]), name


def test_logging_and_evaluating_do_not_shift_the_training(small: Path) -> None:
    one = trainer_of(small)
    other = trainer_of(small, "training.log_every=3", "training.evaluate.every=5")
    for trainer in (one, other):
        for _ in trainer.records():
            torch.rand(3)  # nor does what somebody else draws
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name


def test_constraints_hold_at_every_record(small: Path) -> None:
    trainer = trainer_of(small, "training.log_every=1", "training.optimizer.weight_decay=0.1")
    initial = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    for _ in trainer.records():
        checks = trainer.network.verify(initial)
        assert {check.constraint for check in checks} == {"sign", "absent", "frozen"}
        assert not [check for check in checks if check.violations]
    assert not torch.equal(initial["readout.weight"], trainer.network.readout.weight)


def test_the_schedule_sets_the_rate(small: Path) -> None:
    trainer = trainer_of(small, "training.log_every=1")
    rates = [record.values["lr"] for record in trainer.records() if record.kind == "train"]
    expected = [1e-2 * 0.5 * (1 + math.cos(math.pi * step / 24)) for step in range(24)]
    assert rates == pytest.approx(expected)


def test_stop_finishes_the_step_and_saves(small: Path) -> None:
    trainer = trainer_of(small)
    records = []
    for record in trainer.records():
        records.append(record)
        trainer.stop = True
    assert shape_of(records) == [("evaluation", 8), ("end", 8)]
    assert records[-1].values["reason"] == "interrupted"


def test_stop_when_ends_early(small: Path) -> None:
    rule = "training.stop_when={metric: accuracy, at_least: 0.0, mean_of_last: 2}"
    records = list(trainer_of(small, rule).records())
    assert shape_of(records)[-2:] == [("evaluation", 16), ("end", 16)]
    assert records[-1].values["reason"] == "stopped early"


def test_a_loss_that_is_not_finite_is_caught_before_the_step(small: Path) -> None:
    trainer = trainer_of(small, "training.steps=5")

    class Poisoned:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            inputs = torch.full((size, 5), math.nan if step == 3 else 1.0)
            return Batch(inputs, torch.zeros(size, dtype=torch.long))

    trainer.task = Poisoned()
    with pytest.raises(NetbuildError, match="the loss is nan at step 3") as caught:
        list(trainer.records())
    assert caught.value.exit_code == Exit.DIVERGED
    assert all(p.isfinite().all() for p in trainer.network.parameters())


def test_a_loss_that_is_not_finite_at_the_end_is_caught_too(small: Path) -> None:
    changes = ("training.optimizer={type: SGD, lr: 1e30}", "training.steps=1")
    with pytest.raises(NetbuildError, match="the loss on the test trials is nan after step 0"):
        list(trainer_of(small, *changes, "training.clip_grad_norm=null").records())


@pytest.mark.parametrize("kind", ["type: exponential", "type: step, every: 1"])
def test_a_learning_rate_that_grows_without_end_is_a_divergence(small: Path, kind: str) -> None:
    change = f"training.optimizer={{type: SGD, lr: 1e-9, schedule: {{{kind}, factor: 1e200}}}}"
    with pytest.raises(NetbuildError, match="the learning rate is inf at step 2") as caught:
        for _ in trainer_of(small, change).records():
            pass
    assert caught.value.exit_code == Exit.DIVERGED


def test_a_gradient_that_is_not_finite_is_caught_before_it_is_clipped(small: Path) -> None:
    trainer = trainer_of(small)
    trainer.network.hidden.bias.register_hook(lambda gradient: gradient * math.inf)
    start = trainer.network.readout.weight.detach().clone()
    with pytest.raises(NetbuildError, match=r"the norm of the gradient is (inf|nan) at step 0"):
        list(trainer.records())
    assert torch.equal(trainer.network.readout.weight, start)


def test_a_stop_at_the_last_step_is_an_end(small: Path) -> None:
    trainer = trainer_of(small, "training.evaluate.every=null", "training.checkpoint.every=null")
    records = []
    for record in trainer.records():
        records.append(record)
        trainer.stop = record.step == 24
    assert records[-1].values["reason"] == "finished"
    assert shape_of(records)[-2:] == [("evaluation", 24), ("end", 24)]


def test_every_group_is_clipped(small: Path) -> None:
    trainer = trainer_of(small, "training.clip_grad_norm=1e-6", "training.steps=1")
    parameters = dict(trainer.network.named_parameters())
    bias = parameters.pop("readout.bias")
    groups = [{"params": list(parameters.values())}, {"params": [bias]}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    trainer.network.attach(optimizer)
    start = bias.detach().clone()
    for _ in Trainer(trainer.network, trainer.task, trainer.training, optimizer).records():
        pass
    assert (bias - start).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (np.zeros((4, 5)), TypeError, "inputs must be a tensor"),
        (
            torch.zeros(4, 5, dtype=torch.float64),
            ValueError,
            r"\(batch, 5\).*float32, not .*float64",
        ),
        (torch.zeros(4, 6), ValueError, r"not \(4, 6\)"),
    ],
)
def test_what_a_task_gives_is_checked(
    small: Path, inputs: object, error: type[Exception], message: str
) -> None:
    class Odd:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            return Batch(inputs, torch.zeros(4, dtype=torch.long))

    trainer = trainer_of(small)
    trainer.task = Odd()
    with pytest.raises(error, match=message):
        list(trainer.records())


def test_any_object_with_a_batch_method_is_a_task(small: Path) -> None:
    class Drawn:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            x = torch.from_numpy(rng.normal(size=(size, 5)).astype(np.float32))
            return Batch(x, (x[:, 0] > 0).long())

    results = []
    for _ in range(2):
        trainer = trainer_of(small, "training.evaluate.trials=40")
        trainer.task = Drawn()
        results.append(
            [record.values for record in trainer.records() if record.kind == "evaluation"]
        )
    assert results[0] == results[1]
    assert len(results[0]) == 3


def test_epochs_are_passes_over_the_training_samples(small: Path) -> None:
    spec = netbuild.load(small, ["training.epochs=3"], unset=["training.steps"])
    assert steps_of(spec.model.training, build_task(spec)) == 3 * 6  # 48 samples in batches of 8
    with pytest.raises(NetbuildError, match="neither `steps` nor `epochs`"):
        steps_of(Training(), build_task(spec))


def test_a_callback_that_evaluates_the_network_changes_nothing(small: Path) -> None:
    one, other = trainer_of(small), trainer_of(small)
    for _ in one.records():
        pass
    for record in other.records():
        if record.step % 2:
            other.network.eval()
        else:
            other.network.drop.eval()
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name


def test_padding_costs_nothing(small: Path) -> None:
    class Trials:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            steps = np.array([2, 6])
            mask = torch.arange(6) < torch.from_numpy(steps)[:, None]
            inputs = torch.ones(2, 6, 5) * mask[..., None]
            targets = torch.zeros(2, 6, dtype=torch.long)
            return Batch(inputs, targets, mask.float(), {"steps": steps})

    regularizers = "[{name: rates, type: FiringRateL2, layers: hidden}]"
    changes = ("training.steps=1", "training.evaluate.every=null", f"regularizers={regularizers}")
    spec = netbuild.load(small, [*changes, "layers[drop].p=0"])
    network = build(spec)
    training = spec.model.training
    trainer = Trainer(network, Trials(), training, build_optimizer(training, network))
    with torch.no_grad():
        network.hidden.bias.fill_(1.0)  # so that there is an activity without inputs too
        _, there = network(torch.ones(1, 5), return_activity=True)
        _, padding = network(torch.zeros(1, 5), return_activity=True)
    expected = there["hidden"].square().mean().item()
    assert padding["hidden"].square().mean().item() != pytest.approx(expected)
    first = next(trainer.records())
    assert first.values["regularizers"]["rates"]["raw"] == pytest.approx(expected)


class Looked:
    """A task that writes down which trials were asked for, and when."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        x = torch.from_numpy(rng.normal(size=(size, 5)).astype(np.float32))
        return Batch(x, (x[:, 0] > 0).long())

    def evaluation(self) -> Batch:
        self.looks.append("test")
        return self.batch(0, 6, np.random.default_rng(1))

    def validation(self) -> Batch | None:
        self.looks.append("validation")
        return self.batch(0, 6, np.random.default_rng(2))


def test_nothing_looks_at_the_test_trials_before_the_end(small: Path) -> None:
    rule = "training.stop_when={metric: loss, patience: 1}"
    task, trainer = Looked(), trainer_of(small, "training.evaluate.every=4", rule)
    trainer.task = task
    evaluations = [record for record in trainer.records() if record.kind == "evaluation"]
    assert [record.values["on"] for record in evaluations] == ["validation"] * len(evaluations)
    assert {*task.looks} == {"validation"}
    expected = task.validation()
    assert expected is not None
    assert torch.equal(trainer.trials("validation").inputs, expected.inputs)
    last = {key: evaluations[-1].values[key] for key in ("loss", "accuracy")}
    assert last == trainer.scores("validation") == trainer.progress.evaluations[-1]
    assert trainer.scores("test") != last
    assert task.looks[-1] == "test"


def test_without_validation_samples_evaluations_are_of_the_test_set(small: Path) -> None:
    trainer = trainer_of(small)
    (first, *_) = [record for record in trainer.records() if record.kind == "evaluation"]
    assert "on" not in first.values
    with pytest.raises(ValueError, match="no validation trials"):
        trainer.trials("validation")


def test_what_choices_are_made_on(small: Path) -> None:
    def selected(*changes: str, task: object = None) -> str | None:
        spec = netbuild.load(small, changes)
        network = build(spec)
        optimizer = build_optimizer(spec.model.training, network)
        return Trainer.of(spec, network, optimizer, task=task).selected_on  # type: ignore[arg-type]

    rule = "training.stop_when={metric: loss, at_most: 1}"
    validated = "task.split={train: 0.7, validation: 0.15}"
    assert selected() == selected(rule) == "test"
    assert selected(validated) == selected(validated, rule) == "validation"
    assert selected("task.split.train=1") == "training"
    assert selected("training.evaluate.every=null") is None
    assert selected("training.evaluate.every=24") is None  # the only evaluation is the last one
    split = "task.split: {train: 0.8, validation: 0.1}"
    staged = [
        *("training.steps=null", "training.evaluate.every=null"),
        f"training.stages=[{{name: a, steps: 4}}, {{name: b, steps: 4, set: {{{split}}}}}]",
    ]
    assert selected(*staged) is None
    assert selected(*staged, "training.evaluate.every=2") == "test"  # of the first stage
    assert selected(task=Looked()) == "validation"


def test_noise_stays_on_where_it_is_asked_for(tmp_path: Path) -> None:
    spec = {
        "netbuild": 1,
        "layers": [
            {"name": "hidden", "type": "ctrnn", "input_dim": 5, "size": 6, "alpha": 0.3},
            {"name": "out", "type": "linear", "output_dim": 2},
        ],
        "training": {"steps": 4, "evaluate": {"every": 2, "trials": 8}},
    }

    class Trials:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            x = torch.from_numpy(rng.normal(size=(size, 3, 5)).astype(np.float32))
            return Batch(x, (x[..., 0] > 0).long())

    def losses(*changes: str) -> list[float]:
        checked = netbuild.load(spec, changes)
        network = build(checked)
        optimizer = build_optimizer(checked.model.training, network)
        trainer = Trainer.of(checked, network, optimizer, task=Trials())
        found = [r.values["loss"] for r in trainer.records() if r.kind == "evaluation"]
        return [*found, trainer.scores("test")["loss"]]

    noise, on = "layers[hidden].noise=0.5", "training.evaluate.noise=true"
    quiet, noisy = losses(noise), losses(noise, on)
    assert noisy == losses(noise, on)
    assert all(one != other for one, other in zip(quiet, noisy, strict=True))
    assert losses() == losses(on)  # nothing has noise
