"""What every task shares: batches of samples or trials, and how choices are scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netbuild.streams import rng_of
from netbuild.tasks import (
    Batch,
    Task,
    choices,
    correct,
    has_validation,
    right_choices,
    unseen_trials,
    validation_trials,
)


def batch(count: int = 3, time: int = 4, **trials: Any) -> Batch:
    inputs = torch.arange(count * time * 2.0).reshape(count, time, 2)
    targets = torch.zeros(count, time, dtype=torch.int64)
    return Batch(inputs, targets, torch.ones(count, time), trials or None)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([4, 2, 3], [4, 2, 3]),
        ([4, 4, 4], None),  # nothing is padded
        ([0, 4, 4], [0, 4, 4]),
        ([5, 2, 3], None),  # no lengths of these trials
        ([-1, 2, 3], None),
        ([1.5, 2, 3], None),
        ([4, 2], None),
    ],
)
def test_steps_are_the_lengths_of_padded_trials(steps: list[float], found: Any) -> None:
    given = batch(steps=np.array(steps)).steps
    assert (None if given is None else given.tolist()) == found


def test_some_of_the_trials() -> None:
    whole = batch(steps=np.array([4, 2, 3]))
    two = whole.first(2)
    assert two.trials is not None
    assert two.trials["steps"].tolist() == [4, 2]
    picked = whole.at(torch.tensor([2, 0]))
    assert torch.equal(picked.inputs, whole.inputs[[2, 0]])
    assert picked.trials is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 4))
def test_the_choice_is_the_largest_output_at_the_end_of_the_decision(
    answers: list[int], end: int
) -> None:
    count = len(answers)
    outputs = torch.zeros(count, 4, 4)
    outputs[torch.arange(count), end - 1, torch.tensor(answers)] = 1
    trials = {"answer": np.array(answers), "answer_end": np.full(count, end)}
    scored = batch(count, **trials)
    assert np.array_equal(choices(outputs, scored), answers)  # type: ignore[arg-type]
    assert np.array_equal(correct(outputs, scored), np.ones(count))  # type: ignore[arg-type]
    assert correct(outputs, batch(count)) is None


def test_a_negative_answer_is_no_choice() -> None:
    assert np.array_equal(right_choices([1, -1, 0]), [1, np.nan, 0], equal_nan=True)


class Whole:
    """A task whose evaluation is of other trials than its batches."""

    seed = 5

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        raise AssertionError("not the trials that are scored")

    def whole_trials(self, count: int, rng: np.random.Generator) -> Batch:
        return batch(count, drawn=rng.integers(0, 100, count))


def drawn(found: Batch | None) -> list[int]:
    assert found is not None
    assert found.trials is not None
    return list(found.trials["drawn"])


def test_trials_are_drawn_from_the_tasks_own_seed() -> None:
    task = Whole()
    assert isinstance(task, Task)
    old, new = (list(rng_of(5, name, 0).integers(0, 100, 7)) for name in ("evaluation", "test"))
    assert has_validation(task)
    assert drawn(validation_trials(task, 0, 7)) == old
    assert drawn(unseen_trials(task, 0, 7)) == new
    assert drawn(unseen_trials(task, 0, 7, separate=False)) == old


class Own(Whole):
    """A task with test trials of its own."""

    def evaluation(self) -> Batch:
        return batch(2)


class Both(Own):
    """A task with validation trials too."""

    def validation(self) -> Batch | None:
        return batch(5)


def test_a_task_may_have_trials_of_its_own() -> None:
    for task, count in ((Own(), None), (Both(), 5)):
        found = validation_trials(task, 0, 7)
        assert (None if found is None else len(found.inputs)) == count
        assert has_validation(task) is (count is not None)
        assert len(unseen_trials(task, 0, 7).inputs) == 2
