"""A process gives the batches that this one would make, one step after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from recipes import drawn, mixed, recipe, same

from netbuild.environments.worker import AHEAD, Answer, Worker

MINUTE = 60.0


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker(mixed(), 1)
    assert answer(found)[0] == {"ready": True}
    yield found
    found.close()


def answer(worker: Worker) -> Answer:
    found = worker.receive(MINUTE)
    assert found is not None
    return found


def answers_from(worker: Worker, step: int, size: int) -> Iterator[Answer]:
    """The answers after a request, without those that were made before it was read."""
    worker.begin(step, size)
    found = answer(worker)
    while (found[0]["step"], found[0]["size"]) != (step, size):
        found = answer(worker)
    while True:
        yield found
        found = answer(worker)


def test_batches_come_in_the_order_of_their_steps(worker: Worker) -> None:
    answers = answers_from(worker, 3, 5)
    for step in range(3, 3 + 2 * AHEAD):
        head, batch = next(answers)
        assert (head["step"], head["size"]) == (step, 5)
        assert batch is not None
        assert same(batch, drawn(mixed(), 5, step, seed=1))


def test_arrays_are_the_callers_own(worker: Worker) -> None:
    _, batch = next(answers_from(worker, 0, 2))
    assert batch is not None
    batch.inputs[:] = 0
    assert not np.any(batch.inputs)


def test_an_error_comes_in_place_of_a_batch() -> None:
    failing = Worker(recipe(kwargs={"timing": {"delay": ["unheard-of", [1, 2]]}}), 0)
    assert answer(failing)[0] == {"ready": True}
    head, batch = next(answers_from(failing, 4, 2))
    assert batch is None
    assert "unheard-of not found" in head["error"]
    assert "Traceback" in head["traceback"]
    failing.close()
    assert not failing.is_open
    with pytest.raises(ValueError, match="closed"):
        failing.receive()
