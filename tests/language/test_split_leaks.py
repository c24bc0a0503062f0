"""Samples that were trained on are never test samples: not in a stage, not in another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import said_of, spec_of
from hypothesis import given
from hypothesis import strategies as st
from resuming import begun, stopped_at

import netbuild
from netbuild.errors import SpecError
from netbuild.files.tensors import read_tensors
from netbuild.splits import SampleSplit, counts_of
from netbuild.tasks import ArraysTask

BASE = """seed: SEED
layers: [{name: out, type: linear, output_dim: 2}]
task: {type: arrays, inputs: x.npy, targets: y.npy, split: {train: PART}}
training: {batch_size: 4, TRAINING}
"""
DIGEST = "0" * 64
FROM = "start_from: {run: runs/network/latest}\n"


def text(seed: int = 0, train: float | str = 0.5, training: str = "steps: 6") -> str:
    words = {"SEED": seed, "PART": train, "TRAINING": training}
    found = BASE
    for key, value in words.items():
        found = found.replace(key, str(value))
    return found


def recorded(samples: int, trained: int) -> str:
    """The metadata of weights that were trained on some samples."""
    split = {"file": DIGEST, "data": DIGEST, "samples": samples, "trained": trained, "seed": 0}
    return json.dumps({"trained_on": [split]})


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(40, 3)), "y": rng.integers(0, 2, size=40)}


@pytest.fixture
def run(tmp_path: Path) -> netbuild.Run:
    """A run that is trained on half of the samples, which seed 0 chooses."""
    return netbuild.train(spec_of(tmp_path, text(), **arrays()), tmp_path / "runs")


SPLITS = st.sampled_from([(0.2, 0), (0.5, 0), (1.0, 0), (0.2, 0.3), (0.5, 0.2), (0.5, 0.4)])


@given(st.tuples(SPLITS, SPLITS), st.tuples(*[st.integers(0, 1)] * 2))
def test_a_leak_is_what_the_task_itself_would_score(
    fractions: tuple[tuple[float, float], tuple[float, float]], seeds: tuple[int, int]
) -> None:
    """With 40 samples two seeds never choose the same half."""
    x, y = np.zeros((40, 1), np.float32), np.zeros(40, np.int64)
    tasks, splits = [], []
    for (train, validation), seed in zip(fractions, seeds, strict=True):
        tasks.append(ArraysTask(x, y, train=train, validation=validation, split_seed=seed))
        trained, validated, _ = counts_of(40, train, validation)
        splits.append(SampleSplit("0" * 64, "1" * 64, 40, trained, seed, validated))
    trained_on, chosen_on, _ = parts_of(tasks[0])
    own, validated_on, tested = parts_of(tasks[1])
    leaks = trained_on & (validated_on | tested) or chosen_on & tested
    assert splits[0].leaks_into(splits[1]) is (bool(leaks) and own != tested)


def parts_of(task: ArraysTask) -> list[set[int]]:
    parts = (task.train_indices, task.validation_indices, task.test_indices)
    return [{*part.tolist()} for part in parts]


@pytest.mark.parametrize(
    ("seed", "train", "is_refused"),
    [(0, 0.5, False), (0, 0.6, False), (7, 0.5, True), (0, 0.4, True), (7, 1.0, False)],
)
def test_another_run_starts_from_weights_only_with_their_split(
    run: netbuild.Run, tmp_path: Path, seed: int, train: float, is_refused: bool
) -> None:
    found = said_of(tmp_path, text(seed, train) + FROM)
    assert [each.split(":")[0] for each in found] == is_refused * ["NB311 start_from.run"]


def test_the_hint_cures_it(run: netbuild.Run, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("netbuild: 1\n" + text(seed=7) + FROM)
    with pytest.raises(SpecError) as caught:
        netbuild.load(tmp_path / "spec.yaml")
    (problem,) = caught.value.problems
    assert problem.hint == "write `task: {split: {train: 0.5, seed: 0}}`"
    changes = ["task.split={train: 0.5, seed: 0}"]
    assert netbuild.load(tmp_path / "spec.yaml", changes).plan.trained_on


def test_the_same_values_in_another_file_are_the_same_samples(
    run: netbuild.Run, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=arrays()["x"].astype(np.float32))
    (words,) = said_of(tmp_path, text(seed=7).replace("x.npy", "x.npz") + FROM)
    assert words.startswith("NB311")


def test_other_data_has_nothing_to_leak(run: netbuild.Run, tmp_path: Path) -> None:
    assert not said_of(tmp_path, text(seed=7) + FROM, x=arrays()["x"] + 1)


def test_a_fork_keeps_the_split_or_is_refused(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, text(), **arrays())
    cut = begun(spec, tmp_path / "runs", stopped_at(3))
    assert netbuild.fork(cut, tmp_path / "runs", set=["training.steps=2"]).step == 2
    with pytest.raises(SpecError, match="NB311"):
        netbuild.fork(cut, tmp_path / "runs", set=["seed=1"])
    new = netbuild.fork(cut, tmp_path / "runs", set=["seed=1", "task.split.seed=0"])
    assert new.about["status"] == "finished"


def test_what_weights_were_trained_on_is_handed_down(run: netbuild.Run, tmp_path: Path) -> None:
    """From run to run, through runs on other data, and by a file of weights alone."""
    other = {"x": arrays()["x"] + 1, "y": arrays()["y"]}
    second = netbuild.train(spec_of(tmp_path, text(seed=7) + FROM, **other), tmp_path / "runs")
    splits = second.spec.plan.trained_on
    assert [split.seed for split in splits] == [0]
    file = second.checkpoint() / "network.safetensors"
    (tmp_path / "w.safetensors").write_bytes(file.read_bytes())
    start = FROM.replace("runs/network/latest", "w.safetensors")
    for seed, data in ((3, arrays()), (3, other), (0, other)):
        (words,) = said_of(tmp_path, text(seed) + start, **data)
        assert words.startswith("NB311")
    assert not said_of(tmp_path, text(7) + start, **other)
    assert netbuild.reproduce(second.path).same


def test_a_stage_tests_on_no_sample_of_a_stage_before(tmp_path: Path) -> None:
    stages = "stages: [{name: a, steps: 1}, {name: b, steps: 1, set: {SET}}]"
    for change, is_refused in (
        ("task.split.seed: 1", True),
        ("task.split.train: 0.4", True),
        ("task.split.train: 0.6", False),
        ("task.split: {train: 1, seed: 1}", False),
    ):
        words = text(training=stages.replace("SET", change))
        found = said_of(tmp_path, words, **arrays())
        assert [each.split(":")[0] for each in found] == is_refused * ["NB311 task.split"]


def test_samples_that_were_chosen_on_are_no_test_samples(tmp_path: Path) -> None:
    part = "0.5, validation: 0.25"
    netbuild.train(spec_of(tmp_path, text(train=part), **arrays()), tmp_path / "runs")
    for own, is_refused in (("0.6", True), (part, False), ("0.75", False), ("0.4", True)):
        found = said_of(tmp_path, text(train=own) + FROM)
        assert [each.split(":")[0] for each in found] == is_refused * ["NB311 start_from.run"]
    (words,) = said_of(tmp_path, text(train="0.6") + FROM)
    assert words.endswith(
        "the run trained on, or chose on, samples of the same file that are test samples here"
    )
    (words,) = said_of(tmp_path, text(train="0.4, validation: 0.4") + FROM)
    assert words.endswith("that are validation or test samples here")


@pytest.mark.parametrize(
    "about",
    [
        "[]",
        '{"trained_on": 3}',
        '{"trained_on": [{}]}',
        '{"trained_on": [{"file": "x", "data": "x", "samples": 4, "trained": 2, "seed": 0}]}',
        recorded(samples=4, trained=5),
        recorded(samples=-4, trained=2),
        "[" * 10**5,
    ],
)
def test_a_file_that_tells_something_odd_is_malformed(
    run: netbuild.Run, tmp_path: Path, about: str
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(run.checkpoint() / "network.safetensors")
    save_file(tensors, tmp_path / "w.safetensors", {"netbuild": about})
    found = said_of(tmp_path, text() + FROM.replace("runs/network/latest", "w.safetensors"))
    assert [each.split(":")[0] for each in found] == ["NB204 start_from.run"]


def test_a_file_of_others_tells_nothing(run: netbuild.Run, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file(load_file(run.checkpoint() / "network.safetensors"), tmp_path / "w.safetensors")
    assert not read_tensors(tmp_path / "w.safetensors").metadata
    assert not said_of(tmp_path, text(7) + FROM.replace("runs/network/latest", "w.safetensors"))
