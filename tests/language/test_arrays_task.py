"""The task's arrays, against each other, the network, the loss and the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import plan_of, said_of, spec_of

from netbuild.language.arrays_task import ArraysPlan
from netbuild.splits import split_of

X = np.array([[0, 16], [8, 4], [2, 2], [1, 1]], np.uint8)
Y = np.array([0, 1, 2, 1])
TEXT = "task: {{type: arrays, {}}}\nlayers: [{{name: a, type: linear, output_dim: {}}}]\n"


def task(folder: Path, words: str, outputs: int = 3, more: str = "", **arrays: Any) -> ArraysPlan:
    text = TEXT.format(words, outputs) + more
    plan = plan_of(folder, text, **{"x": X, "y": Y} | arrays)
    assert plan.layers["a"].reads.size == 2
    assert isinstance(plan.task, ArraysPlan)
    return plan.task


def test_inputs_are_scaled(tmp_path: Path) -> None:
    words = "inputs: {file: x.npy, subtract: 4, divide: 16}, targets: y.npy"
    found = task(tmp_path, words)
    assert found.samples.dtype == np.float32
    assert np.array_equal(found.samples, (X.astype(float) - 4) / 16)
    assert found.targets.dtype == np.int64
    assert np.array_equal(found.targets, Y)


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8", ">i2", "?"])
def test_classes_of_any_dtype(tmp_path: Path, dtype: str) -> None:
    y = (Y > 0).astype(dtype) if dtype == "?" else Y.astype(dtype)
    for shaped in (y, y[:, None]):
        found = task(tmp_path, "inputs: x.npy, targets: y.npy", y=shaped)
        assert found.targets.dtype == np.int64
        assert np.array_equal(found.targets, y.astype(int))


def test_classes_from_text(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("0\n1\n2\n1\n")
    found = task(tmp_path, "inputs: x.npy, targets: y.csv")
    assert np.array_equal(found.targets, Y)


def test_values(tmp_path: Path) -> None:
    y = np.arange(8.0).reshape(4, 2)
    found = task(
        tmp_path,
        "inputs: x.npy, targets: y.npy",
        2,
        "training: {loss: mse, steps: 1, batch_size: 2}\n",
        y=y,
    )
    assert found.targets.dtype == np.float32
    assert np.array_equal(found.targets, y)


def test_arrays_of_one_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", one=X, two=Y)
    found = task(tmp_path, "file: d.npz, inputs: one, targets: two")
    assert np.array_equal(found.samples, X)
    found = task(tmp_path, "file: d.npz, inputs: one, targets: y.npy")
    assert np.array_equal(found.targets, Y)


GOOD = "inputs: x.npy, targets: y.npy"


@pytest.mark.parametrize(
    ("train", "batch", "fine"), [(0.5, 2, True), (0.5, 3, False), (1, 4, True), (0.1, 1, False)]
)
def test_batches_fit_the_training_samples(
    tmp_path: Path, train: float, batch: int, fine: bool
) -> None:
    text = TEXT.format(f"{GOOD}, split: {{train: {train}}}", 3)
    text += f"training: {{steps: 1, batch_size: {batch}}}\n"
    said = said_of(tmp_path, text, x=X, y=Y)
    assert [line[:5] for line in said] == ([] if fine else ["NB309"])


def test_a_task_without_training_is_fine(tmp_path: Path) -> None:
    assert said_of(tmp_path, TEXT.format(GOOD, 3), x=X, y=Y) == []
    assert said_of(tmp_path, TEXT.format(GOOD, 3) + "training: {}\n", x=X, y=Y) == []


@pytest.mark.parametrize("scale", ["divide: 1e-300", "divide: 1e-38", "subtract: -1e300"])
def test_scaling_cannot_overflow(tmp_path: Path, scale: str) -> None:
    text = TEXT.format(f"inputs: {{file: x.npy, {scale}}}, targets: y.npy", 3)
    said = said_of(tmp_path, text, x=X, y=Y)
    assert len(said) == 1
    assert said[0][:5] in ("NB104", "NB205")


def test_large_values_that_scale_well_are_fine(tmp_path: Path) -> None:
    found = task(tmp_path, "inputs: {file: x.npy, divide: 1e300}, targets: y.npy", x=X * 1e300)
    assert np.array_equal(found.samples, X)


def test_both_arrays_are_told_of(tmp_path: Path) -> None:
    text = TEXT.format("inputs: no.npy, targets: neither.npy", 3)
    assert [line[:5] for line in said_of(tmp_path, text)] == ["NB202", "NB202"]


@pytest.mark.parametrize(
    ("training", "codes"),
    [
        ("steps: 1", []),
        ("epochs: 1", ["NB308"]),
        ("steps: 1, epochs: 1", ["NB308"]),
        ("batch_size: 3", []),
        ("steps: 1, optimizer: {type: SGD, nesterov: true}", ["NB308"]),
        ("steps: 1, optimizer: {type: SGD, nesterov: true, momentum: 0.5}", []),
        ("steps: 1, stop_when: {metric: loss}", ["NB102", "NB308"]),
        ("steps: 9, stop_when: {metric: loss, patience: 3}, evaluate: {every: 3}", []),
    ],
)
def test_training_without_a_task(tmp_path: Path, training: str, codes: list[str]) -> None:
    text = "layers: [{name: a, type: linear, input_dim: 1, output_dim: 1}]\n"
    said = said_of(tmp_path, f"{text}training: {{{training}}}\n")
    assert [line[:5] for line in said] == codes


def validated(words: str, training: str = "") -> str:
    return (
        f"task: {{type: arrays, inputs: x.npy, targets: y.npy, split: {{{words}}}}}\n"
        "layers: [{name: a, type: linear, output_dim: 2}]\n"
        f"training: {{steps: 9, batch_size: 2{training}}}\n"
    )


TWENTY = {"x": np.arange(40.0).reshape(20, 2), "y": np.arange(20) % 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train: 0.7, validation: 0.15", ""),
        ("validation: 0.1", ""),
        ("train: 0.7, validation: 0.3", "NB309 {}none of 20 samples is left to test on"),
        ("train: 0.7, validation: 0.02", "NB309 {}none of 20 samples is left to validate on"),
        ("train: 1, validation: 0.1", "NB309 {}none of 20 samples is left to test on"),
        ("validation: 0", "NB104 {}must be more than 0, found `0`"),
        ("validation: 1", "NB104 {}must be less than 1, found `1`"),
    ],
)
def test_a_validation_part_leaves_samples_to_train_and_to_test(
    tmp_path: Path, words: str, said: str
) -> None:
    place = "task.split.validation: " + (f"with `{words}`, " if "NB309" in said else "")
    expected = [said.format(place)] if said else []
    assert said_of(tmp_path, validated(words), **TWENTY) == expected


def test_the_split_of_the_plan_has_the_validation_samples(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, validated("train: 0.7, validation: 0.15, seed: 2"), **TWENTY)
    assert plan.split is not None
    assert (plan.split.trained, plan.split.validated, plan.selects_on) == (14, 3, "validation")


STOP = ", evaluate: {every: 3}, stop_when: {metric: loss, at_most: 0.1}"


@pytest.mark.parametrize(
    ("words", "training", "who"),
    [
        ("", ", evaluate: {every: 3}", "the best checkpoint is chosen on the test set"),
        ("train: 0.7", STOP, "`stop_when` and the best checkpoint are chosen on the test set"),
        ("train: 0.7, validation: 0.15", STOP, ""),
        ("train: 1", STOP, ""),  # there is no test set
        ("", ", evaluate: {every: 9}", ""),  # one evaluation: nothing is chosen
        ("", "", ""),
    ],
)
def test_a_choice_on_the_test_set_is_warned_of(
    tmp_path: Path, words: str, training: str, who: str
) -> None:
    found = spec_of(tmp_path, validated(words, training), **TWENTY).warnings
    assert [(w.code, w.path) for w in found] == ([("NB607", "task.split")] if who else [])
    assert all(warning.what.startswith(who) for warning in found)


def test_a_choice_of_a_stage_is_warned_of_once(tmp_path: Path) -> None:
    stage = "{{name: {}, steps: 4, set: {{training.evaluate.every: 2}}}}"
    stages = f", stages: [{stage.format('a')}, {stage.format('b')}]"
    text = validated("", stages).replace("steps: 9, ", "")
    assert [warning.code for warning in spec_of(tmp_path, text, **TWENTY).warnings] == ["NB607"]


def test_a_mask_counts_some_validation_trials(tmp_path: Path) -> None:
    x, seed = np.ones((20, 3, 2)), 4
    mask = np.ones((20, 3))
    mask[split_of(20, 0.7, seed, 0.15).validation] = 0
    text = validated(f"train: 0.7, validation: 0.15, seed: {seed}")
    text = text.replace("targets: y.npy", "targets: y.npy, loss_mask: m.npy")
    (said,) = said_of(tmp_path, text, x=x, y=np.zeros((20, 3), int), m=mask)
    assert said.startswith("NB205 task.loss_mask: the loss mask is 0 in all 3 trials validated on")
