"""The corpus of specs: what is wrong is told word for word, and what is right builds."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from corpus import (
    INVALID,
    MEMORY,
    SPECS,
    VALID,
    Row,
    catalogue,
    found_in,
    head_of,
    inside,
    rewrite,
    written,
)
from places import ROOT

from netbuild.builder import build, build_optimizer, build_task
from netbuild.errors import NetbuildError, SpecError
from netbuild.language import Spec, load
from netbuild.layers import CTRNNLayer
from netbuild.render import report
from netbuild.training import Trainer

PACKAGE = ROOT / "netbuild"
CODES = {
    code
    for room in ("yamltree", "language", "files", "connectomes")
    for path in (PACKAGE / room).glob("*.py")
    for code in re.findall(r'"(NB\d{3})"', path.read_text())
}


# No message is in the words of the program.
OF_THE_PROGRAM = (
    *("dict", "NoneType", "Traceback", "__main__", "None"),
    *("pydantic", "Input should", "Value error"),
)


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", INVALID, ids=names(INVALID))
def test_a_wrong_spec_is_told_where_why_and_what_to_write(path: Path) -> None:
    expected = head_of(path)
    assert expected.exit_code != 0
    assert found_in(path) == (expected.exit_code, expected.problems, expected.warnings)
    said = " ".join(expected.problems)
    for word in OF_THE_PROGRAM:
        assert word not in said
    for problem in expected.problems:
        hint = problem.partition(" | ")[2]
        assert hint == hint.strip(" ;")
        assert not hint or all(part.strip() for part in hint.split(";"))


def test_every_code_has_a_case() -> None:
    heads = [head_of(path) for path in INVALID + VALID]
    lines = [line for head in heads for line in head.problems + head.warnings]
    found = {line.split(" NB")[1][:3] for line in lines}
    assert len(CODES) > 30
    assert {f"NB{number}" for number in found} == CODES - {"NB001"}  # a file that cannot be read


def checked(path: Path) -> Spec:
    with inside(path.parent):
        return load(path.name, memory_limit=MEMORY)


@pytest.mark.parametrize("path", VALID, ids=names(VALID))
def test_a_right_spec_builds(path: Path) -> None:
    spec = checked(path)
    assert [written(warning, path.name) for warning in spec.warnings] == head_of(path).warnings
    network = build(spec)
    assert [name for name, _ in network.named_children()][:-1] == [
        layer.name for layer in spec.model.layers
    ]
    assert not any(check.violations for check in network.verify())
    sequence = (3,) if any(isinstance(layer, CTRNNLayer) for layer in network.children()) else ()
    _, activity = network(torch.zeros(2, *sequence, network.input_dim), return_activity=True)
    assert torch.isfinite(network.regularizers(activity))


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


def test_a_case_can_be_written_by_the_script(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("layrs: []\n")
    rewrite(file)
    expected = head_of(file)
    assert expected.exit_code == 3
    assert expected.problems == [
        "4:1 NB102 the key `netbuild` is missing | version of this language;"
        " for example `netbuild: 1`",
        "4:1 NB101 layrs: unknown key `layrs` | did you mean `layers`?",
    ]


# --- The catalogue of inputs that are known to go wrong


CATALOGUE = catalogue()
RIGHT = "netbuild: 1\nlayers: [{name: a, type: linear, input_dim: 4, output_dim: 8}]\n"
MASKED = RIGHT.replace("output_dim: 8", "output_dim: 8, sparsity_mask: FILE")


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_catalogue_is_complete() -> None:
    assert [row.number for row in CATALOGUE] == sorted(row.number for row in CATALOGUE)
    assert {row.number for row in CATALOGUE} == set(range(1, 126))
    inputs = Counter((row.number, row.input) for row in CATALOGUE)
    assert inputs.most_common(1)[0][1] == 1
    rows_of = defaultdict(set)
    for row in CATALOGUE:
        assert row.where, row
        for where in row.where:
            rows_of[where].add(row.number)
    assert [where for where, rows in rows_of.items() if "::" not in where and len(rows) > 1] == []


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: f"{row.number} {row.input}")
def test_every_row_is_tried_and_its_verdict_is_so(row: Row) -> None:
    for where in row.where:
        file, _, test = where.partition("::")
        if test:
            assert test in functions_in(ROOT / "tests" / file)
            assert (row.verdict, bool(row.said)) == ("refused", True)
            assert row.exit_code
            continue
        path = SPECS / file
        head = head_of(path)
        assert path in (INVALID if row.verdict == "refused" else VALID)
        assert bool(head.warnings) == (row.verdict == "warned")
        assert (row.exit_code, row.said) == (0, "")


def tried_in(test: str) -> Any:
    """The rows of the catalogue that a test of this file tries."""
    rows = [row for row in CATALOGUE if f"test_corpus.py::{test}" in row.where]
    assert rows
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.input)


def nested(depth: int) -> str:
    return RIGHT + f"set: {'[' * depth}{']' * depth}\n"


def large(path: Path, text: str) -> None:
    """A file of 1 GB that begins with a text; the rest is a hole, which takes no room."""
    path.write_text(text)
    os.truncate(path, 10**9)


# How the specs are made that git could not hold.
MADE: dict[str, Callable[[Path], object]] = {
    "an empty file": lambda path: path.touch(),
    "UTF-16 with its mark": lambda path: path.write_text(RIGHT, "utf-16"),
    "nesting 20,000 deep": lambda path: path.write_text(nested(20_000)),
    "nesting 100,000 deep": lambda path: path.write_text(nested(100_000)),
    "a file of 1 GB": lambda path: large(path, RIGHT),
    "a FIFO": os.mkfifo,
    "`/dev/zero`": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "no such file": lambda path: None,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "100,000 layers": lambda path: path.write_text("netbuild: 1\nlayers:\n" + "- {}\n" * 100_000),
    "100,000 errors": lambda path: path.write_text("".join(f"a{i}:\n" for i in range(100_000))),
}


def said_of(path: Path) -> tuple[int, str]:
    """The exit code and the one problem that a check finds, as the catalogue writes it."""
    with inside(path.parent), pytest.raises(SpecError) as caught:
        load(path.name, memory_limit=MEMORY)
    (problem,) = caught.value.problems
    hint = f" | {problem.hint}" if problem.hint else ""
    return caught.value.exit_code, f"{problem.code} {problem.what}{hint}"


@tried_in("test_files_that_git_could_not_hold")
def test_files_that_git_could_not_hold(row: Row, tmp_path: Path) -> None:
    MADE[row.input](tmp_path / "spec.yaml")
    assert said_of(tmp_path / "spec.yaml") == (row.exit_code, row.said)


def test_none_of_them_takes_much_memory(tmp_path: Path) -> None:
    for number, make in enumerate(MADE.values()):
        make(tmp_path / f"{number}.yaml")
    program = """
import json, resource, sys
from pathlib import Path
from netbuild.language import load
from netbuild.errors import SpecError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB

before, told = peak(), 0
for number in range(int(sys.argv[1])):
    try:
        load(f"{number}.yaml")
    except SpecError:
        told += 1
print(json.dumps([told, peak() - before]))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(len(MADE))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    told, kib = json.loads(result.stdout)
    assert told == len(MADE)
    assert kib < 300 * 1024


@tried_in("test_files_that_may_not_be_read")
def test_files_that_may_not_be_read(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is played."""
    np.save(tmp_path / "m.npy", np.ones((4, 8)))
    (tmp_path / "spec.yaml").write_text(MASKED.replace("FILE", "m.npy"))
    closed = "m.npy" if "mask" in row.input else "spec.yaml"
    really_open = os.open

    def refuse(path: Any, *rest: Any, **options: Any) -> int:
        if os.path.basename(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return really_open(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert said_of(tmp_path / "spec.yaml") == (row.exit_code, row.said)


def link_outside(folder: Path) -> str:
    np.save(folder.parent / "secret.npy", np.ones((4, 8)))
    (folder / "m.npy").symlink_to("../secret.npy")
    return "m.npy"


def fifo(folder: Path) -> str:
    os.mkfifo(folder / "m.npy")
    return "m.npy"


def bomb(folder: Path) -> str:
    np.savez_compressed(folder / "m.npz", m=np.zeros(70 << 20, np.uint8))
    return "m.npz"


def one_line(folder: Path) -> str:
    large(folder / "m.csv", "1,0,")
    return "m.csv"


MASKS: dict[str, Callable[[Path], str]] = {
    "a link that leaves the project": link_outside,
    "a FIFO as a mask": fifo,
    "an archive that unpacks to 1000 times its size": bomb,
    "one line of 1 GB": one_line,
}


@tried_in("test_masks_that_git_could_not_hold")
def test_masks_that_git_could_not_hold(row: Row, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    name = MASKS[row.input](project)
    (project / "spec.yaml").write_text(MASKED.replace("FILE", name))
    exit_code, said = said_of(project / "spec.yaml")
    assert exit_code == row.exit_code
    assert said.startswith(row.said.removesuffix("..."))


@tried_in("test_a_device_that_is_not_there_is_told_when_it_is_asked_for")
def test_a_device_that_is_not_there_is_told_when_it_is_asked_for(row: Row) -> None:
    """A spec may be checked on another machine than the one that it is for."""
    spec = load({"netbuild": 1, "device": "cuda:99", "layers": checked(VALID[0]).data["layers"]})
    with pytest.raises(NetbuildError, match=row.said) as caught:
        build(spec)
    assert caught.value.exit_code == row.exit_code


@tried_in("test_of_many_problems_fifty_are_shown")
def test_of_many_problems_fifty_are_shown(
    row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = "".join(f"- {{name: l{i}, type: linear, oops: 1}}\n" for i in range(3000))
    (tmp_path / "spec.yaml").write_text(f"netbuild: 1\nlayers:\n{layers}")
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml")
    report(caught.value)
    assert caught.value.exit_code == row.exit_code
    lines = capsys.readouterr().err.splitlines()
    assert sum("error[" in line for line in lines) == 50
    assert lines[-1] == row.said


@pytest.mark.parametrize("name", ["big-endian", "fortran", "csv-bom", "csv-semicolon"])
def test_what_is_accepted_is_read_rightly(name: str) -> None:
    found = checked(SPECS / "valid" / f"mask-{name}.yaml").plan.layers["hidden"].maps[""]
    assert np.array_equal(found.connections.whole().T, np.load(SPECS / "data" / "wiring.npy"))


def test_numbers_and_text_are_those_of_yaml_1_2() -> None:
    assert checked(SPECS / "valid" / "number-exponent.yaml").model.training.optimizer.lr == 0.001
    assert checked(SPECS / "valid" / "date-is-text.yaml").model.name == "2001-12-14"


def test_the_page_of_the_catalogue_is_current() -> None:
    path = ROOT / "docs" / "make_robustness.py"
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    page = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(page)
    text = (ROOT / "docs" / "robustness.md").read_text()
    assert text == page.with_table(text), "python docs/make_robustness.py"
