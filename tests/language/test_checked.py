"""What `load` returns: a Spec that can travel, that knows its files, and that is read quickly."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.language import load

TEXT = """netbuild: 1
layers:
  - {name: a, type: linear, input_dim: 4, output_dim: 3, sparsity_mask: mask.npy}
  - {name: b, type: linear, output_dim: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "mask.npy", np.ones((4, 3), np.uint8))
    path = tmp_path / "spec.yaml"
    path.write_text(TEXT)
    return path


def test_the_same_from_a_mapping(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    data = {
        "netbuild": 1,
        "layers": [
            {
                "name": "a",
                "type": "linear",
                "input_dim": np.int64(4),
                "output_dim": 3,
                "sparsity_mask": Path("mask.npy"),
            },
            {"name": "b", "type": "linear", "output_dim": 2},
        ],
    }
    spec = load(data)
    assert spec.path is None
    assert spec.hash == load(file).hash
    assert len(load(data, unset=["layers[b]"]).model.layers) == 1
    with pytest.raises(SpecError, match=r"spec:\d+:\d+: error\[NB101\] oops"):
        load(data | {"oops": 1})


def test_the_hash_is_of_meaning_and_of_files(file: Path) -> None:
    spec = load(file)
    file.write_text("# a comment\nseed: 0\n" + TEXT)
    assert load(file).hash == spec.hash
    assert load(file, set=["training.track=wandb"]).hash == spec.hash
    assert load(file, set=["seed=1"]).hash != spec.hash
    np.save(file.parent / "mask.npy", np.zeros((4, 3), np.uint8))
    assert load(file).hash != spec.hash


def test_a_spec_is_pickled_without_its_arrays_and_reads_them_again(
    file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    spec = load("spec.yaml", set=["layers[b].output_dim=5"])
    sent = pickle.dumps(spec)
    assert b"numpy" not in sent
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    again = pickle.loads(sent)
    assert again == spec
    assert again.plan.layers["b"].gives.size == 5
    mask = again.plan.layers["a"].maps[""].connections.matrix
    assert np.array_equal(mask, np.ones((3, 4)))
    assert json.dumps(again.data)


def test_a_changed_file_is_noticed(file: Path) -> None:
    sent = pickle.dumps(load(file))
    np.save(file.parent / "mask.npy", np.zeros((4, 3), np.uint8))
    with pytest.raises(NetbuildError, match="has changed since") as caught:
        _ = pickle.loads(sent).plan
    assert caught.value.exit_code == Exit.DATA


def test_the_spec_itself_is_remembered_but_not_what_it_extends(file: Path) -> None:
    base = file.parent / "base.yaml"
    base.write_text("seed: 1\n")
    file.write_text("extends: base.yaml\n" + TEXT)
    sent = pickle.dumps(load(file))
    file.write_text("nothing: like before\n")
    assert pickle.loads(sent).plan.layers["b"].gives.size == 2
    base.write_text("seed: 2\n")
    with pytest.raises(NetbuildError, match="what the spec extends has changed"):
        _ = pickle.loads(sent).plan


def test_a_memory_limit_is_kept(file: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(file, memory_limit=100)
    assert caught.value.exit_code == Exit.RESOURCES
    spec = pickle.loads(pickle.dumps(load(file, memory_limit=10**6)))
    assert spec.plan.layers


def test_files_are_recorded_by_where_they_stand(file: Path) -> None:
    record = load(file).files["layers[a].sparsity_mask.file"]
    assert record.reference == "mask.npy"
    assert record.path == str((file.parent / "mask.npy").resolve())
    assert record.size == (file.parent / "mask.npy").stat().st_size
    assert len(record.sha256) == 64


def test_data_root_widens_what_may_be_read(tmp_path: Path) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    np.save(tmp_path / "mask.npy", np.ones((4, 3), np.uint8))
    file = tmp_path / "project" / "spec.yaml"
    file.write_text(TEXT.replace("mask.npy", "../mask.npy"))
    with pytest.raises(SpecError, match="NB203"):
        load(file)
    assert load(file, data_root=tmp_path).files
    (tmp_path / "base.yaml").write_text("seed: 3\n")
    file.write_text("extends: ../base.yaml\n" + TEXT.replace("mask.npy", "../mask.npy"))
    with pytest.raises(SpecError, match="NB112"):
        load(file)
    assert load(file, data_root=tmp_path).model.seed == 3


def test_problems_come_in_the_order_of_their_places(file: Path) -> None:
    file.write_text(
        TEXT.replace("output_dim: 3", "output_dim: x").replace("netbuild: 1", "seed: x\nname: ''")
        + "training: {loss: mes}\nregularizers: [{type: L1, params: nothing}]\n"
    )
    with pytest.raises(SpecError) as caught:
        load(file, set=["layers[b].density=2", "training.log_every=0"])
    places = [str(problem.place) for problem in caught.value.problems]
    own = [place for place in places if not place.startswith("--")]
    assert own == sorted(own, key=lambda place: [int(n) for n in place.split(":")[-2:]])
    assert places[len(own) :] == ["--set #1, column 19", "--set #2, column 20"]
    assert len(own) >= 5


def test_a_string_is_no_list_of_overrides(file: Path) -> None:
    with pytest.raises(TypeError, match='takes a list of "PATH=VALUE": set='):
        load(file, set="seed=1")
    with pytest.raises(TypeError, match='takes a list of "PATH=VALUE", not dict'):
        load(file, set={"training.steps": 5})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='unset takes a list of "PATH", not list'):
        load(file, unset=[1])  # type: ignore[list-item]


def loaded_modules(program: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in result.stdout.splitlines()[-1].split()}


def test_checking_a_spec_with_masks_loads_no_mathematics(file: Path) -> None:
    heavy = {"torch", "matplotlib", "polars", "scipy", "pandas", "rich"}
    program = f"from netbuild.language import load\nassert load({str(file)!r}).files"
    assert not loaded_modules(program) & heavy


def test_a_hundred_layers_take_a_twentieth_of_a_second(tmp_path: Path) -> None:
    layers = "".join(
        f"""  - name: l{i}
    type: linear
    output_dim: 64
    excitatory: 0.8
    density: 0.3
    weight: {{init: normal, std: 0.1}}
    bias: zero
    activation: relu
    plasticity_mask: {{file: plastic.npy, rows: pre}}
"""
        for i in range(1, 101)
    )
    np.save(tmp_path / "plastic.npy", np.ones((64, 64)))
    text = "netbuild: 1\nlayers:\n  - {name: l0, type: linear, input_dim: 8, output_dim: 64}\n"
    file = tmp_path / "spec.yaml"
    file.write_text(text + layers)
    taken = []
    for _ in range(5):
        began = time.process_time()
        load(file)
        taken.append(time.process_time() - began)
    assert min(taken) < 0.3  # about 0.05 s on a machine that does nothing else
