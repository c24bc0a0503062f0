"""Tasks from arrays: splits, orders, and batches that are functions of their step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netbuild.tasks import ArraysTask, Batch, Task


def task(samples: int = 10, **words: float) -> ArraysTask:
    x = np.arange(samples, dtype=np.float32)[:, None].repeat(2, axis=1)
    return ArraysTask(x, np.arange(samples), **words)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_shows_every_training_sample_once(
    n: int, size: int, epoch: int, seed: int
) -> None:
    found = task(n, train=1, seed=seed)
    steps = found.steps_per_epoch(size)
    seen = torch.cat([found.batch(epoch * steps + i, size).targets for i in range(steps)])
    assert sorted(seen.tolist()) == list(range(n))


def test_a_batch_is_a_function_of_its_step() -> None:
    forward, backward = task(50, seed=1), task(50, seed=1)
    steps = range(40)
    one = [forward.batch(step, 8).targets for step in steps]
    other = [backward.batch(step, 8).targets for step in reversed(steps)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_orders_differ_by_epoch_and_seed() -> None:
    orders = {
        tuple(task(30, train=1, seed=s).batch(e, 30).targets.tolist())
        for s in (0, 1)
        for e in (0, 1)
    }
    assert len(orders) == 4


def test_split_is_complete_disjoint_and_its_own_seed() -> None:
    found = task(10, train=0.8, split_seed=2, seed=5)
    train, test = set(found.train_indices.tolist()), set(found.test_indices.tolist())
    assert len(train) == 8
    assert train | test == set(range(10))
    assert not train & test
    assert found.evaluation().targets.tolist() == found.test_indices.tolist()
    again = task(10, train=0.8, split_seed=2, seed=6)
    assert torch.equal(again.train_indices, found.train_indices)


def test_without_a_test_set_the_training_samples_serve() -> None:
    assert len(task(10, train=1).evaluation().inputs) == 10


def test_inputs_stay_with_their_targets() -> None:
    batch = task(20).batch(3, 4)
    assert torch.equal(batch.inputs[:, 0], batch.targets.float())


@pytest.mark.parametrize("train", [0.0, 0.01])
def test_nothing_to_train_on_is_refused(train: float) -> None:
    with pytest.raises(ValueError, match="samples to train on"):
        task(10, train=train)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 targets for 4 samples"):
        ArraysTask(np.zeros((4, 2)), np.zeros(3))


def test_moving_it_leaves_the_callers_own_alone() -> None:
    own = task(20)
    moved = own.to("meta")
    assert moved.batch(0, 4).inputs.is_meta
    assert not own.batch(0, 4).inputs.is_meta


def test_it_is_a_task() -> None:
    assert isinstance(task(), Task)


def sequences(**words: object) -> ArraysTask:
    x = np.arange(40, dtype=np.float32).reshape(10, 4, 1)
    mask = np.tile(np.arange(4.0), (10, 1))
    return ArraysTask(x, x[..., 0] * 2, loss_mask=mask, variables={"coh": np.arange(10)}, **words)  # type: ignore[arg-type]


def test_trials_stay_with_their_masks_and_variables() -> None:
    found = sequences(seed=3)
    for batch in (found.batch(5, 4), found.evaluation()):
        assert batch.loss_mask is not None
        assert batch.trials is not None
        assert torch.equal(batch.targets, batch.inputs[..., 0] * 2)
        assert torch.equal(batch.loss_mask[0], torch.arange(4.0, dtype=torch.float64))
        assert np.array_equal(batch.inputs[:, 0, 0], batch.trials["coh"] * 4)
    assert np.array_equal(found.evaluation().trials["sample"], found.test_indices)  # type: ignore[index]


def test_masks_and_variables_move_too() -> None:
    moved = sequences().to("meta").batch(0, 2)
    assert moved.loss_mask is not None
    assert moved.loss_mask.is_meta


def test_masks_and_variables_must_fit() -> None:
    x = np.zeros((4, 3, 2))
    with pytest.raises(ValueError, match=r"\(trial, time\) = \(4, 3\), not \(4, 2\)"):
        ArraysTask(x, x, loss_mask=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="3 values of coh for 4 samples"):
        ArraysTask(x, x, variables={"coh": np.zeros(3)})


def test_steps_say_what_is_padding() -> None:
    inputs, targets = torch.zeros(3, 5, 2), torch.zeros(3, 5)

    def steps(*given: object, inputs: torch.Tensor = inputs) -> object:
        return Batch(inputs, targets, trials={"steps": np.array(given)}).steps

    found = Batch(inputs, targets, None, {"steps": np.array([5, 0, 3], np.int32)}).steps
    assert isinstance(found, torch.Tensor)
    assert (found.tolist(), found.dtype) == ([5, 0, 3], torch.int64)
    assert steps(5, 5, 5) is None  # nothing is padded
    assert Batch(inputs, targets).steps is None
    for other in ((1.0, 2.0, 3.0), (1, 2), (1, 2, 6), (-1, 2, 3)):  # a variable of another meaning
        assert steps(*other) is None
    assert steps(1, 2, 3, inputs=torch.zeros(3, 2)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_in_the_default_precision(dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        x, mask = np.ones((4, 3, 2), np.float32), np.ones((4, 3))
        found = ArraysTask(x, np.ones((4, 3, 1)), loss_mask=mask).batch(0, 2)
        classes = ArraysTask(x[:, 0], np.arange(4)).batch(0, 2)
    finally:
        torch.set_default_dtype(before)
    assert found.inputs.dtype == found.targets.dtype == dtype
    assert found.loss_mask is not None
    assert found.loss_mask.dtype == classes.inputs.dtype == dtype
    assert classes.targets.dtype == torch.int64


def test_validation_samples_are_neither_trained_on_nor_tested() -> None:
    found = task(20, train=0.7, validation=0.15, seed=1)
    validation = found.validation()
    assert validation is not None
    assert validation.trials is not None
    assert validation.trials["sample"].tolist() == validation.targets.tolist()
    epoch = torch.cat([found.batch(i, 5).targets for i in range(found.steps_per_epoch(5))])
    seen = [epoch, validation.targets, found.evaluation().targets]
    assert [len(part) for part in seen] == [14, 3, 3]
    assert sorted(torch.cat(seen).tolist()) == list(range(20))
    moved = found.to("meta").validation()
    assert moved is not None
    assert moved.inputs.is_meta
    assert task(20).validation() is None
