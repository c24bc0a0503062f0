"""`start_from`: weights of another run, their masks, and what does not fit."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import small_spec
from safetensors.torch import save_file

import netbuild
from netbuild.errors import DataFileError, Exit, SpecError
from netbuild.files.tensors import read_tensors
from netbuild.runs.checkpoint import checkpoints

OTHER = """\
netbuild: 1
name: other
seed: 3
task: {type: arrays, file: data.npz, inputs: {array: x, divide: 2}, targets: y}
layers:
  - {name: hidden, type: linear, output_dim: 12, excitatory: 0.75, activation: relu, \
sparsity_mask: {generate: random, density: 0.5, seed: 5}}
  - {name: readout, type: linear, output_dim: 4}
training: {steps: 6, batch_size: 8, evaluate: {every: 2}}
"""


RECURRENT = """\
netbuild: 1
name: cut
dt: 20
task: {type: arrays, file: data.npz, inputs: x, targets: y}
layers:
  - {name: hidden, type: ctrnn, size: 8, excitatory: 0.75, tau: {value: 100, learn: true}, \
recurrent: {density: 0.6, storage: STORAGE, plasticity_mask: {generate: random, density: 0.7}}}
  - {name: readout, type: linear, output_dim: 2}
training: {steps: 3, batch_size: 6}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained spec, its data and its run; each test gets a copy of it."""
    folder = tmp_path_factory.mktemp("trained")
    netbuild.train(small_spec(folder), folder / "runs")
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> netbuild.Run:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (path,) = (tmp_path / "runs" / "small").glob("*/")
    return netbuild.open_run(path)


def start(text: str, words: str = '{run: runs/small/latest, params: "hidden.*"}') -> str:
    return f"{text}start_from: {words}\n"


def said(folder: Path, text: str, code: str | None = None) -> str:
    """The one problem of a spec."""
    (folder / "other.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        netbuild.load(folder / "other.yaml")
    (problem,) = caught.value.problems
    assert code in (None, problem.code)
    return f"{problem.path}: {problem.what}"


def test_named_parameters_are_taken_and_the_others_drawn(run: netbuild.Run, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(start(OTHER))
    spec = netbuild.load(tmp_path / "other.yaml")
    network, old = netbuild.build(spec), run.network()
    assert torch.equal(network.hidden.weight, old.hidden.weight)
    assert torch.equal(network.hidden.bias, old.hidden.bias)
    (tmp_path / "plain.yaml").write_text(OTHER)
    plain = netbuild.build(tmp_path / "plain.yaml")
    assert torch.equal(network.readout.weight, plain.readout.weight)
    new = netbuild.train(spec, tmp_path / "runs")
    assert torch.equal(new.initial["hidden.weight"], old.hidden.weight)
    record = new.about["inputs"]["start_from.run"]
    newest = checkpoints(run.path / "checkpoints")[-1]
    state = json.loads((newest / "state.json").read_text())
    assert record["sha256"] == state["sha256"]["network.safetensors"]


def test_a_run_that_started_so_stands_alone(run: netbuild.Run, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(start(OTHER))
    new = netbuild.train(tmp_path / "other.yaml", tmp_path / "new")
    shutil.rmtree(run.path)
    assert netbuild.reproduce(new.path).same
    again = netbuild.train(new.path / "resolved.yaml", tmp_path / "again")
    assert torch.equal(again.weights("hidden"), new.weights("hidden"))


def test_frozen_is_frozen_at_the_loaded_value(run: netbuild.Run, tmp_path: Path) -> None:
    frozen = OTHER.replace("density: 0.5, seed: 5}}", "density: 0.5, seed: 5}, bias: 0}")
    text = frozen.replace(
        "activation: relu", "activation: relu, weight: {init: normal, learn: false}"
    )
    (tmp_path / "other.yaml").write_text(
        start(text, "{run: runs/small/latest, params: hidden.weight}")
    )
    new = netbuild.train(tmp_path / "other.yaml", tmp_path / "new")
    assert torch.equal(new.weights("hidden"), run.weights("hidden"))


@pytest.mark.parametrize("which", ["best", "last", "20"])
def test_which_checkpoint(run: netbuild.Run, tmp_path: Path, which: Any) -> None:
    relative = run.path.relative_to(tmp_path)
    words = f"{{run: {relative}, checkpoint: {which}, params: hidden.weight}}"
    (tmp_path / "other.yaml").write_text(start(OTHER, words))
    network = netbuild.build(tmp_path / "other.yaml")
    wanted = int(which) if which.isdecimal() else which
    assert torch.equal(network.hidden.weight, run.network(checkpoint=wanted).hidden.weight)


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        ("{run: runs/nowhere}", "NB202", "start_from.run: there is no file runs/nowhere/run.json"),
        ("{run: ../../etc}", "NB203", "start_from.run: ../../etc/run.json is outside the project"),
        ("{run: ../latest}", "NB203", "start_from.run: .. is outside the project"),
        ("{run: nobody/latest}", "NB202", "start_from.run: there is no run nobody"),
        (
            "{run: runs/small/latest, checkpoint: 7}",
            "NB202",
            "start_from.run: runs/small/",
        ),
        (
            "{run: runs/small/latest, params: nothing.weight}",
            "NB304",
            "start_from.params[0]: no parameter of this network is named `nothing.weight`",
        ),
        (
            '{run: runs/small/latest, params: "readout.weight"}',
            "NB305",
            "start_from.params: `readout.weight` is (3, 12) in the run, and (4, 12) here",
        ),
        ("{run: runs/small/latest, params: 3}", "NB103", "start_from.params"),
        ("{run: runs/small/latest, checkpoint: newest}", None, "start_from.checkpoint"),
    ],
)
def test_what_does_not_fit(
    run: netbuild.Run, tmp_path: Path, words: str, code: str | None, what: str
) -> None:
    assert said(tmp_path, start(OTHER, words), code).startswith(what)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("seed: 5", "seed: 6", "the sparsity mask of `hidden` is not that of the run: "),
        (
            "activation: relu",
            "activation: relu, ei_mask: [1, 1, -1, 1, 0]",
            "the ei_mask of `hidden` is not that of the run",
        ),
        (
            "activation: relu",
            "activation: relu, plasticity_mask: {generate: random, density: 0.5}",
            "the plasticity mask of `hidden` is not that of the run",
        ),
    ],
)
def test_masks_that_differ_are_refused(
    run: netbuild.Run, tmp_path: Path, old: str, new: str, what: str
) -> None:
    (text,) = [start(OTHER.replace(old, new))]
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        netbuild.load(tmp_path / "other.yaml")
    assert caught.value.exit_code == Exit.SPEC
    assert what in str(caught.value)


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_recurrent_maps(tmp_path: Path, storage: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 7, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x[..., 0] > 0).astype(np.int64))
    path = tmp_path / "cut.yaml"
    text = RECURRENT.replace("STORAGE", storage)
    path.write_text(text)
    old = netbuild.train(path, tmp_path / "runs").network()
    path.write_text(start(text, "{run: runs/cut/latest}"))
    network = netbuild.build(path)
    for name, value in old.named_parameters():
        assert torch.equal(value, network.get_parameter(name)), name


def test_a_damaged_checkpoint_is_no_start(run: netbuild.Run, tmp_path: Path) -> None:
    file = run.checkpoint() / "network.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert "digest" in said(tmp_path, start(OTHER), "NB204")


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_state_that_was_changed_is_no_start(
    run: netbuild.Run, tmp_path: Path, which: str
) -> None:
    text = start(OTHER, f'{{run: runs/small/latest, checkpoint: {which}, params: "hidden.*"}}')
    (tmp_path / "other.yaml").write_text(text)
    netbuild.load(tmp_path / "other.yaml")
    file = run.checkpoint() / "state.json"
    state = json.loads(file.read_text())
    state["best"]["step"] = 20
    file.write_text(json.dumps(state, indent=1) + "\n")
    assert "state.json is damaged" in said(tmp_path, text, "NB204")
    file.unlink()
    os.mkfifo(file)
    said(tmp_path, text, "NB203")  # and it is not waited for


def test_a_stage_cannot_start_from(run: netbuild.Run, tmp_path: Path) -> None:
    text = OTHER.replace("steps: 6, ", "") + ""
    text = text.replace(
        "training: {", "training: {stages: [{name: a, steps: 2, set: {start_from.run: x}}], "
    )
    assert "cannot change `start_from`" in said(tmp_path, start(text), "NB110")


def test_tensors_are_read_as_the_library_wrote_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "a": torch.from_numpy(rng.normal(size=(3, 4)).astype(np.float32)),
        "b": torch.tensor(True),
        "c": torch.arange(6, dtype=torch.int8),
        "d": torch.zeros(0, 2, dtype=torch.float64),
    }
    save_file(tensors, tmp_path / "x.safetensors", {"netbuild": "{}"})
    found = read_tensors(tmp_path / "x.safetensors").arrays
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert np.array_equal(found[name], value.numpy())
        assert found[name].dtype == value.numpy().dtype


def test_damaged_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(3, 4)}, path)
    whole = path.read_bytes()
    for content in (b"", whole[:7], whole[:40], whole[:-1], b"\xff" * 8 + whole[8:], whole[:8] * 9):
        path.write_bytes(content)
        with pytest.raises(DataFileError) as caught:
            read_tensors(path)
        assert caught.value.code == "NB204"
    for old, new in ((b"[3,4]", b"[9,4]"), (b"F32", b"X32"), (b"[0,48]", b"[-48]")):
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(DataFileError):
            read_tensors(path)


def test_tensors_with_a_hole_behind_them_are_not_read(run: netbuild.Run, tmp_path: Path) -> None:
    file = run.checkpoint() / "network.safetensors"
    os.truncate(file, 40 << 30)
    text = start(OTHER, '{run: runs/small/latest, params: "hidden.*"}')
    assert "has 42,949,672,960 bytes" in said(tmp_path, text, "NB901")


def test_a_link_inside_a_run_is_not_followed(run: netbuild.Run, tmp_path: Path) -> None:
    file = run.checkpoint() / "network.safetensors"
    shutil.move(file, tmp_path / "elsewhere.safetensors")
    file.symlink_to(tmp_path / "elsewhere.safetensors")
    text = start(OTHER, '{run: runs/small/latest, params: "hidden.*"}')
    assert "is a symbolic link" in said(tmp_path, text, "NB203")
