"""Arrays of whole trials: time as the second axis, a loss mask, and variables beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import plan_of, said_of, spec_of

from netbuild.builder import build_task
from netbuild.language import load
from netbuild.language.arrays_task import ArraysPlan

RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.integers(0, 17, (6, 5, 2)),
    "y": RNG.integers(0, 3, (6, 5)),
    "values": RNG.random((6, 5, 3)),
    "mask": np.tile([0, 0, 1, 2, 0], (6, 1)),
    "coh": np.arange(6) * 1.5,
}
CLASSES = "inputs: {array: x, divide: 16}, targets: y"
MSE = "training: {steps: 1, batch_size: 2, loss: mse}\n"


def text(words: str, outputs: int = 3, more: str = "") -> str:
    layer = f"layers: [{{name: a, type: linear, output_dim: {outputs}}}]\n"
    return f"task: {{type: arrays, file: d.npz, {words}}}\n{layer}{more}"


def planned(folder: Path, *words: Any) -> ArraysPlan:
    np.savez(folder / "d.npz", **ARRAYS)
    plan = plan_of(folder, text(*words))
    assert plan.layers["a"].reads.size == 2
    assert isinstance(plan.task, ArraysPlan)
    return plan.task


def told(folder: Path, *words: Any, **arrays: Any) -> list[str]:
    np.savez(folder / "d.npz", **ARRAYS | arrays)
    return said_of(folder, text(*words))


def test_classes_of_each_step(tmp_path: Path) -> None:
    found = planned(tmp_path, f"{CLASSES}, loss_mask: mask, variables: [coh]")
    assert found.samples.dtype == np.float32
    assert np.array_equal(found.samples, (ARRAYS["x"] / 16).astype(np.float32))
    assert found.targets.dtype == np.int64
    assert np.array_equal(found.targets, ARRAYS["y"])
    assert found.loss_mask is not None
    assert np.array_equal(found.loss_mask, ARRAYS["mask"])
    assert np.array_equal(found.variables["coh"], ARRAYS["coh"])


def test_values_of_each_step(tmp_path: Path) -> None:
    found = planned(tmp_path, "inputs: x, targets: values", 3, MSE)
    assert np.array_equal(found.targets, ARRAYS["values"].astype(np.float32))
    assert found.loss_mask is None


def test_a_value_of_each_step_may_lack_its_axis(tmp_path: Path) -> None:
    found = planned(tmp_path, "inputs: x, targets: mask", 1, MSE)
    assert found.targets.shape == (6, 5, 1)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("inputs: x, targets: coh", "NB307 task.targets: the inputs are 6 trials of 5 time steps"),
        ("inputs: x, targets: values", "NB307 task.targets: cross_entropy takes one class number"),
        ("inputs: coh, targets: y", "NB201 task.inputs: inputs are (sample, input) or (trial, t"),
        (f"{CLASSES}, loss_mask: coh", "NB201 task.loss_mask: a loss mask is (trial, time) = (6"),
        (f"{CLASSES}, loss_mask: nothing", "NB205 task.loss_mask: a loss mask holds weights"),
        (f"{CLASSES}, loss_mask: minus", "NB205 task.loss_mask: a loss mask holds weights"),
        (f"{CLASSES}, variables: [coh, y]", "NB201 task.variables[1]: a variable has one value"),
        (f"{CLASSES}, variables: [choh]", "NB206 task.variables[0]: d.npz holds no array choh"),
        (
            "inputs: flat, targets: one, loss_mask: mask",
            "NB308 task.loss_mask: a loss mask weighs the time steps of trials",
        ),
    ],
)
def test_what_does_not_fit(tmp_path: Path, words: str, wrong: str) -> None:
    zeros = np.zeros((6, 5))
    more = {"flat": zeros[:, :2], "one": ARRAYS["y"][:, 0], "nothing": zeros, "minus": zeros - 1}
    said = told(tmp_path, words, **more)
    assert len(said) == 1
    assert said[0].startswith(wrong)


def test_steps_must_agree(tmp_path: Path) -> None:
    said = told(tmp_path, CLASSES, y=ARRAYS["y"][:, :4])
    assert said == [
        "NB307 task.targets: the inputs are 6 trials of 5 time steps; their targets are"
        " (trial, time), and this array is (6, 4)"
    ]


def test_they_reach_the_batches(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **ARRAYS)
    words = f"{CLASSES}, loss_mask: mask, variables: [coh]"
    (tmp_path / "spec.yaml").write_text(
        "netbuild: 1\n" + text(words, 3, "training: {steps: 1, batch_size: 3}\n")
    )
    task = build_task(load(tmp_path / "spec.yaml"))
    batch = task.batch(0, 3, np.random.default_rng(0))
    assert batch.trials is not None
    assert batch.loss_mask is not None
    rows = (np.asarray(batch.trials["coh"]) / 1.5).astype(int)
    assert np.array_equal(batch.targets, ARRAYS["y"][rows])
    assert np.array_equal(batch.loss_mask, ARRAYS["mask"][rows])


@pytest.mark.parametrize(("split", "part"), [("", "tested"), (", seed: 4", "trained on")])
def test_a_mask_must_count_something_in_either_part_of_the_split(
    tmp_path: Path, split: str, part: str
) -> None:
    """In the very split that the task makes."""
    words = f"{CLASSES}, split: {{train: 0.5{split}}}"
    np.savez(tmp_path / "d.npz", **ARRAYS)
    task = build_task(spec_of(tmp_path, text(words)))
    hidden = task.test_indices if part == "tested" else task.train_indices
    mask = ARRAYS["mask"].copy()
    mask[hidden] = 0
    said = told(tmp_path, f"{words}, loss_mask: mask", mask=mask)
    wanted = f"NB205 task.loss_mask: the loss mask is 0 in all 3 trials {part}, so that they have"
    assert said == [f"{wanted} no loss"]
    mask[hidden[0]] = 1
    assert told(tmp_path, f"{words}, loss_mask: mask", mask=mask) == []
