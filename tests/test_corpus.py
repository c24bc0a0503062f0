"""The corpus of specs: what is wrong is told word for word, and what is right builds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corpus import INVALID, MEMORY, SPECS, VALID, found_in, head_of, inside

from netbuild.builder import build, build_optimizer, build_task
from netbuild.check import Spec, load
from netbuild.training.trainer import Trainer

PACKAGE = Path(__file__).parent.parent / "netbuild"
CODES = {
    code
    for part in ("spec", "check", "masks")
    for path in (PACKAGE / part).glob("*.py")
    for code in re.findall(r'"(NB\d{3})"', path.read_text())
}


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", INVALID, ids=names(INVALID))
def test_a_wrong_spec_is_told_where_why_and_what_to_write(path: Path) -> None:
    expected = head_of(path)
    assert expected.exit_code != 0
    assert found_in(path) == (expected.exit_code, expected.problems)


@pytest.mark.parametrize("path", INVALID, ids=names(INVALID))
def test_nothing_is_said_in_the_words_of_the_program(path: Path) -> None:
    said = " ".join(head_of(path).problems)
    for word in ("dict", "NoneType", "Traceback", "pydantic", "Input should", "__main__", "None"):
        assert word not in said


def test_every_code_has_a_case() -> None:
    found = {line.split(" NB")[1][:3] for path in INVALID for line in head_of(path).problems}
    assert len(CODES) > 30
    assert {f"NB{number}" for number in found} == CODES - {"NB001"}  # a file that cannot be read


def checked(path: Path) -> Spec:
    with inside(path.parent):
        return load(path.name, memory_limit=MEMORY)


@pytest.mark.parametrize("path", VALID, ids=names(VALID))
def test_a_right_spec_builds(path: Path) -> None:
    spec = checked(path)
    network = build(spec)
    assert [name for name, _ in network.named_children()][:-1] == [
        layer.name for layer in spec.model.layers
    ]
    assert not any(check.violations for check in network.verify())
    network.regularizers()


@pytest.mark.parametrize("path", VALID, ids=names(VALID))
def test_what_is_resolved_loads_again_and_means_the_same(path: Path) -> None:
    spec = checked(path)
    again = path.parent / f"resolved-{path.stem}.yml"  # beside it, since paths are relative to it
    try:
        again.write_text(spec.to_yaml())
        with inside(path.parent):
            if "extends" not in spec.text:  # paths of a base start at the base
                assert load(again.name, memory_limit=MEMORY).hash == spec.hash
    finally:
        again.unlink()


TRAINED = [path for path in VALID if path.stem.startswith(("optimizer-", "task-"))]


@pytest.mark.parametrize("path", TRAINED, ids=names(TRAINED))
def test_a_task_trains(path: Path) -> None:
    spec = checked(path)
    network, task, training = build(spec), build_task(spec), spec.model.training
    if training.steps is None and training.epochs is None:
        training = training.model_copy(update={"steps": 2})
    trainer = Trainer(network, task, training, build_optimizer(training, network))
    records = list(trainer.records())
    assert all(np.isfinite(r.values["loss"]) for r in records if r.kind == "train")


def test_the_data_are_what_the_script_writes() -> None:
    sys.path.insert(0, str(SPECS))
    try:
        import make_data
    finally:
        sys.path.remove(str(SPECS))
    for name, content in make_data.files().items():
        assert (SPECS / "data" / name).read_bytes() == content, name


def test_extends_merges_and_changes_of_kind_drop_what_the_new_kind_lacks() -> None:
    spec = checked(SPECS / "valid" / "extends.yaml")
    training = spec.data["training"]
    assert training["steps"] == 10
    assert training["optimizer"] == {
        "type": "SGD",
        "lr": 0.01,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "nesterov": False,
    }
    assert spec.model.layers[0].output_dim == 6  # type: ignore[union-attr]
    assert not spec.files  # the layers of the base were replaced, its mask with them


def test_paths_start_at_the_file_that_holds_them() -> None:
    spec = checked(SPECS / "valid" / "extends-two.yaml")
    record = spec.files["layers[hidden].sparsity_mask.file"]
    assert record.reference == "../../data/wiring.npy"
    assert Path(record.path) == SPECS / "data" / "wiring.npy"


@pytest.mark.parametrize("program", ["corpus.py"])
def test_a_case_can_be_written_by_the_script(tmp_path: Path, program: str) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("layrs: []\n")
    script = Path(__file__).parent / program
    subprocess.run([sys.executable, script, file], check=True)
    expected = head_of(file)
    assert expected.exit_code == 3
    assert expected.problems == [
        "4:1 NB102 the key `netbuild` is missing | version of this language;"
        " for example `netbuild: 1`",
        "4:1 NB101 layrs: unknown key `layrs` | did you mean `layers`?",
    ]
