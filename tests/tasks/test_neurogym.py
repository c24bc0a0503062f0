"""The neurogym task and its worker: batches of tensors, the same whoever makes them."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netbuild import system
from netbuild.environments import worker
from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Environment, Levels, Recipe
from netbuild.streams import rng_of
from netbuild.tasks import (
    Batch,
    NeurogymTask,
    Prefetch,
    Task,
    choices,
    correct,
    neurogym,
    unseen_trials,
    validation_trials,
)

TIMING = {"stimulus": ["choice", [100, 200]]}


def task(seed: int = 0, evaluation: Recipe | None = None, **words: Any) -> NeurogymTask:
    kwargs = words.pop("kwargs", {"timing": TIMING})
    environment = Environment("PerceptualDecisionMaking-v0", kwargs=kwargs)
    return NeurogymTask(Recipe((environment,), 20, **words), seed=seed, evaluation=evaluation)


def same(one: Batch, other: Batch) -> bool:
    def equal(a: Tensor | None, b: Tensor | None) -> bool:
        return torch.equal(a, b) if a is not None and b is not None else a is b

    a, b = one.trials or {}, other.trials or {}
    return (
        equal(one.inputs, other.inputs)
        and equal(one.targets, other.targets)
        and equal(one.loss_mask, other.loss_mask)
        and list(a) == list(b)
        and all(a[key].tobytes() == b[key].tobytes() for key in a)
    )


def test_it_is_a_task() -> None:
    assert isinstance(task(), Task)
    with Prefetch(task()) as quick:
        assert isinstance(quick, Task)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    one = task(seed=1)
    found = one.batch(5, 4, rng_of(1, "train", 5))
    one.batch(6, 4)
    assert same(found, one.batch(5, 4))
    assert same(found, task(seed=1).batch(5, 4))
    assert not same(found, task(seed=2).batch(5, 4))
    assert not same(found, one.batch(6, 4))
    assert found.inputs.dtype == torch.get_default_dtype()
    assert found.targets.dtype == torch.int64
    assert found.first(2).trials["coh"].shape == (2,)  # type: ignore[index]


def test_targets_and_masks_of_the_default_precision() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        batch = task(levels=Levels()).batch(0, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert batch.loss_mask is not None
    kinds = {batch.inputs.dtype, batch.targets.dtype, batch.loss_mask.dtype}
    assert kinds == {torch.float64}


def test_trials_are_never_reused() -> None:
    one = task()
    inputs = torch.cat([one.batch(step, 8).inputs[:, 5:12] for step in range(40)]).flatten(1)
    assert len(torch.unique(inputs, dim=0)) == len(inputs)


def test_evaluation_is_always_the_same_whole_trials() -> None:
    scored = task(kwargs={"timing": {"stimulus": 500}}).recipe
    windows = task(seed=3, window=30, evaluation=scored)
    assert windows.batch(0, 4).trials is None
    found = validation_trials(windows, 0, 6)
    assert found.inputs.shape == (6, 35, 3)
    assert found.trials is not None
    windows.batch(7, 4)
    assert same(found, validation_trials(windows, 99, 6))  # the task has a seed of its own
    assert not same(found, validation_trials(task(seed=4, evaluation=scored), 3, 6))
    unseen = unseen_trials(windows, 0, 6)
    assert unseen.inputs.shape == found.inputs.shape
    assert not same(found, unseen)


def test_it_can_be_pickled() -> None:
    for words in ({}, {"window": 20}):
        one = task(seed=2, **words)
        one.batch(3, 4)
        assert same(pickle.loads(pickle.dumps(one)).batch(3, 4), one.batch(3, 4))


def test_choices_are_read_at_the_end_of_the_decision() -> None:
    batch = task().batch(0, 40)
    assert batch.trials is not None
    right = torch.nn.functional.one_hot(batch.targets, 3).float()
    assert (choices(right, batch) == batch.trials["answer"]).all()
    assert (correct(right, batch) == 1).all()
    for i, end in enumerate(batch.trials["answer_end"]):
        right[i, end:] = torch.tensor([9.0, 0, 0])
        right[i, : end - 1] = torch.tensor([9.0, 0, 0])
    assert (correct(right, batch) == 1).all()
    assert (correct(1 - right, batch) == 0).all()
    assert choices(right, batch._replace(trials=None)) is None
    assert correct(right, batch._replace(trials=None)) is None


def test_a_trial_without_a_right_output_is_not_scored() -> None:
    recipe = Recipe((Environment("GoNogo-v0"),), 20, levels=Levels(fixation=False))
    batch = NeurogymTask(recipe).batch(0, 30)
    assert batch.trials is not None
    found = correct(batch.targets, batch)
    assert found is not None
    assert np.array_equal(np.isnan(found), batch.trials["ground_truth"] == 0)
    assert np.nanmean(found) == 1


def mixed() -> NeurogymTask:
    """Several environments, whose trials have different variables and periods."""
    parts = Environment("yang19.go-v0", "go", weight=5), Environment("yang19.dm1-v0", "dm")
    return NeurogymTask(Recipe(parts, 20, rule_input=True), seed=1)


@pytest.fixture(scope="module")
def quick() -> Iterator[Prefetch]:
    """A worker that several tests ask; its strings hash to other numbers than ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "1")
        found = Prefetch(mixed())
    with found:
        wait(found)
        yield found


# It says that it is ready, and then nothing: neurogym takes seconds to import.
SILENT = f"""
import sys
sys.stdout.buffer.write({worker.frame({"ready": True})!r})
sys.stdout.buffer.flush()
sys.stdin.read()
"""


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefetch]:
    """A worker that never gives a batch."""
    monkeypatch.setattr(system, "worker_command", lambda module: [sys.executable, "-c", SILENT])
    with Prefetch(task(seed=1)) as found:
        wait(found)
        yield found


def wait(quick: Prefetch) -> None:
    """Until the worker has begun."""
    end = time.monotonic() + 60
    while not quick.is_ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_worker_gives_the_same_windows() -> None:
    with Prefetch(task(seed=1, window=30, levels=Levels())) as found:
        wait(found)
        gives_the_same_batches(found)


def test_the_worker_gives_the_same_trials(quick: Prefetch) -> None:
    gives_the_same_batches(quick)


def gives_the_same_batches(quick: Prefetch) -> None:
    plain = NeurogymTask(quick.task.recipe, seed=1)
    for step in [*range(20), 3, 4, 5, 40, 41]:
        found = quick.batch(step, 4, rng_of(1, "train", step))
        assert same(found, plain.batch(step, 4))
    other = rng_of(5, "analysis", 0)
    if quick.task.recipe.window is None:
        assert same(quick.batch(7, 4, other), plain.batch(7, 4, rng_of(5, "analysis", 0)))
    assert same(quick.whole_trials(3, rng_of(1)), plain.whole_trials(3, rng_of(1)))


@pytest.mark.parametrize("words", [{}, {"window": 30, "period_weights": {"decision": 2.0}}])
def test_two_workers_give_the_same_batches(
    monkeypatch: pytest.MonkeyPatch, words: dict[str, Any]
) -> None:
    monkeypatch.setattr(neurogym, "LATE", -1.0)
    monkeypatch.setattr(neurogym, "cores", lambda: 2)
    plain = task(seed=1, **words)
    with Prefetch(task(seed=1, **words)) as found:
        wait(found)
        for first in range(3):
            assert same(found.batch(first, 5), plain.batch(first, 5))
        assert found.second is not None
        end = time.monotonic() + 60
        while found._shares == 1:
            assert time.monotonic() < end
            first += 1
            assert same(found.batch(first, 5), plain.batch(first, 5))
        for step in [*range(first + 1, first + 25), 3, 4, 5]:
            assert same(found.batch(step, 5), plain.batch(step, 5))
        assert same(found.batch(6, 1), plain.batch(6, 1))
        processes = [found.worker.process, found.second.process]
        processes[1].kill()
        processes[1].wait()
        found.batch(10, 5)
        with pytest.warns(RuntimeWarning, match=r"prepares trials has ended \(exit -9\)"):
            rest = [found.batch(step, 5) for step in range(11, 60)]
        assert all(same(b, plain.batch(step, 5)) for step, b in enumerate(rest, 11))
    assert all(process.returncode is not None for process in processes)


def test_batches_that_come_in_order_are_the_workers(
    quick: Prefetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: list[int] = []
    monkeypatch.setattr(
        quick.task, "batch", lambda step, *_: own.append(step) or mixed().batch(0, 1)
    )
    for step in [*range(7, 27), 3, 4, 5, 6]:
        quick.batch(step, 4)
    assert own == [7, 3]


def test_it_works_before_the_worker_does() -> None:
    with Prefetch(task(seed=1)) as found:
        assert same(found.batch(0, 4), task(seed=1).batch(0, 4))


def test_closing_ends_the_worker_and_may_be_repeated() -> None:
    found = Prefetch(task())
    process = found.worker.process
    found.close()
    found.close()
    assert process.returncode is not None
    assert same(found.batch(2, 3), task().batch(2, 3))
    forgotten = Prefetch(task())
    process = forgotten.worker.process
    del forgotten
    gc.collect()
    assert process.returncode is not None


def test_it_ends_when_training_raises() -> None:
    def train() -> None:
        with Prefetch(task()) as found:
            processes.append(found.worker.process)
            raise KeyboardInterrupt

    processes: list[subprocess.Popen[bytes]] = []
    with pytest.raises(KeyboardInterrupt):
        train()
    assert processes[0].returncode is not None


def test_a_worker_that_dies_is_not_needed(silent: Prefetch) -> None:
    silent.batch(0, 4)
    silent.worker.process.kill()
    silent.worker.process.wait()
    with pytest.warns(RuntimeWarning, match=r"prepares trials has ended \(exit -9\)"):
        found = [silent.batch(step, 4) for step in range(1, 9)]
    assert all(same(b, task(seed=1).batch(i, 4)) for i, b in enumerate(found, 1))


def test_a_worker_that_died_unseen_is_not_waited_for(silent: Prefetch) -> None:
    silent.worker.process.kill()
    silent.worker.process.wait()
    silent.worker.begin(1, 4)
    with pytest.warns(RuntimeWarning, match="trials are made in this one, which takes longer"):
        found = [silent.batch(step, 4) for step in range(3)]
    assert all(same(b, task(seed=1).batch(i, 4)) for i, b in enumerate(found))


def test_a_worker_that_does_not_answer_is_not_waited_for(
    silent: Prefetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neurogym, "PATIENCE", 0.2)
    silent.batch(0, 4)
    with pytest.warns(RuntimeWarning, match="prepares trials does not answer"):
        found = silent.batch(1, 4)
    assert same(found, task(seed=1).batch(1, 4))
    assert silent.worker.process.returncode is not None


def test_batches_of_more_bytes_than_a_pipe_holds(quick: Prefetch) -> None:
    plain = mixed()
    for step in range(4):
        batch = quick.batch(step, 120)
        assert batch.inputs.nbytes > worker.PIPE
        assert same(batch, plain.batch(step, 120))


def test_other_random_numbers_give_other_trials(quick: Prefetch) -> None:
    """Where the worker makes the batch of that step, too."""
    quick.batch(0, 4)
    spent = rng_of(1, "train", 1)
    spent.normal()
    for other in (rng_of(2, "train", 1), spent):
        state = other.bit_generator.state
        found = quick.batch(1, 4, other)
        other.bit_generator.state = state
        assert same(found, mixed().batch(1, 4, other))
    assert same(quick.batch(1, 4, rng_of(1, "train", 1)), mixed().batch(1, 4))


def test_errors_of_the_environment_come_out() -> None:
    kwargs = {"timing": {"delay": ["unheard-of", [1, 2]]}}
    with Prefetch(task(kwargs=kwargs)) as found:
        wait(found)
        found.worker.begin(1, 4)
        found._next = (1, 4)
        with pytest.raises(EnvironmentFailed, match=r"unheard-of not found.* \(in step 1\)"):
            found.batch(1, 4)


def test_it_ends_with_its_parent() -> None:
    program = """
import os, signal
from netbuild.environments.recipe import Environment, Recipe
from netbuild.environments.worker import Worker
worker = Worker(Recipe((Environment("GoNogo-v0"),), 20), 0)
print(worker.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert run.returncode == -signal.SIGKILL
    assert gone(int(run.stdout))


def gone(pid: int) -> bool:
    """Whether a process ends, or only waits for its parent to notice, within a minute."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.1)
    return False
