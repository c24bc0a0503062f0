"""`netbuild analyze`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import netbuild
from netbuild.cli.analyze import _left_out

SPEC = """\
netbuild: 1
name: memory
seed: 1
dt: 20
task: {type: arrays, file: data.npz, inputs: x, targets: y, split: {train: 0.5}}
layers:
  - {name: hidden, type: ctrnn, size: 8, activation: tanh, tau: 100, noise: 0.1}
  - {name: readout, type: linear, output_dim: 2}
training: {steps: 3, batch_size: 4, loss: cross_entropy}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recurrent")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 12, 3)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 2, size=(20, 12)))
    (folder / "memory.yaml").write_text(SPEC)
    return netbuild.train(netbuild.load(folder / "memory.yaml"), folder / "runs").path


def test_it_prints_a_table_and_writes_arrays_and_a_figure(cli: Any, run: Path) -> None:
    result = cli("analyze", run, "--fixed-points", "--starts", 20)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "hidden: fixed points of 8 units; input: mean input of whole trials"
    assert lines[2].startswith("mean input [")
    assert lines[2].endswith(": 1 fixed, 0 slow")
    assert lines[3].split() == ["starts", "q", "multiplier", "time", "(ms)", "point"]
    assert lines[4].split()[0] == "20"
    assert lines[4].endswith("  stable")
    folder = run / "analysis"
    assert lines[-2:] == [str(folder / "fixed-points.npz"), str(folder / "fixed-points.png")]
    assert {path.name for path in folder.iterdir()} == {"fixed-points.npz", "fixed-points.png"}
    assert (folder / "fixed-points.png").read_bytes().startswith(b"\x89PNG")
    with np.load(folder / "fixed-points.npz", allow_pickle=False) as saved:
        weight = netbuild.open_run(run).weights("hidden.recurrent").double().numpy()
        v, r = saved["states"][0], saved["rates"][0]
        assert np.allclose(r, np.tanh(v))
        J = np.eye(8) * 0.8 + 0.2 * weight * (1 - r**2)
        assert np.allclose(saved["jacobians"][0], J, atol=1e-7)
        assert float(saved["dt"]) == 20


def test_without_a_flag_it_is_fixed_points(cli: Any, run: Path, tmp_path: Path) -> None:
    result = cli("analyze", run, "--starts", 5, "-o", tmp_path / "a")
    assert result.code == 0
    assert result.err == "note: fixed points; `netbuild analyze --help` lists the options\n"
    named = cli("analyze", run, "--fixed-points", "--starts", 5, "-o", tmp_path / "a")
    assert named == (0, result.out, "")
    assert cli("analyze", run, "--starts", 5, "-o", tmp_path / "a", "-q").err == ""


def test_what_is_left_out_is_said(cli: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(20) % 2
    np.savez(
        tmp_path / "data.npz",
        x=rng.normal(size=(20, 12, 3)).astype(np.float32),
        y=rng.integers(0, 2, size=(20, 12)),
        environment=kind,
        stimulus_start=np.where(kind == 0, 3, -1),
        stimulus_end=np.where(kind == 0, 6, -1),
    )
    variables = "targets: y, variables: [environment, stimulus_start, stimulus_end],"
    (tmp_path / "kinds.yaml").write_text(SPEC.replace("targets: y,", variables))
    run = netbuild.train(tmp_path / "kinds.yaml", tmp_path / "runs")
    lacking = int((np.asarray(run.batch().trials["environment"]) == 1).sum())
    what = f"note: {lacking} of 10 trials (environment 1) have no `stimulus` and are left out;"
    options = ("--fixed-points", "--starts", 5, "-o", tmp_path / "out")
    for more in ((), ("--condition", "environment")):
        result = cli("analyze", run.path, *options, *more)
        assert result.code == 0
        assert result.err == f"{what} --period names another\n"
        assert "environment=1" not in result.out
    result = cli("analyze", run.path, *options, "--format", "json")
    assert result.err == ""
    assert json.loads(result.out)["notes"] == [f"{what} --period names another"[len("note: ") :]]
    for quiet in (("-q",), ("--inputs", "0,0,0")):
        assert cli("analyze", run.path, *options, *quiet).err == ""


def test_trials_without_a_value_are_counted() -> None:
    trials = {"coh": np.array([5.0, np.nan, np.nan]), "side": np.array(["a", "b", ""])}
    found = SimpleNamespace(trials=trials, period="")
    assert [*_left_out(found, ["coh", "side"])] == [
        "2 of 3 trials have no `coh` and are left out",
        "1 of 3 trials have no `side` and are left out",
    ]


def test_the_same_seed_gives_the_same_bits(cli: Any, run: Path, tmp_path: Path) -> None:
    written = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        result = cli("analyze", run, "--fixed-points", "--starts", 5, "--seed", seed, "--quiet",
                     "-o", tmp_path / name)  # fmt: skip
        assert result.out.splitlines() == [
            str(tmp_path / name / f"fixed-points.{kind}") for kind in ("npz", "png")
        ]
        written.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert written[0] == written[1]
    assert written[0][0] != written[2][0]


def test_json_and_given_inputs(cli: Any, run: Path, tmp_path: Path) -> None:
    result = cli("analyze", run, "--fixed-points", "--inputs", "0,0,0", "--inputs=-1,0.5,2",
                 "--layer", "hidden", "--format", "json", "-o", tmp_path / "out")  # fmt: skip
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["layer"] == "hidden"
    assert [each["inputs"] for each in found["conditions"]] == [[0, 0, 0], [-1, 0.5, 2]]
    assert [point["condition"] for point in found["points"]] == [0, 1]
    assert all(point["fixed"] and point["stability"] == "stable" for point in found["points"])


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--fixed-points", "--layer", "readout"], 2, "no recurrent layer readout; there are: hid"),
        (["--fixed-points", "--period", "delay"], 2, "no period 'delay'; there are: none"),
        (["--fixed-points", "--condition", "coh"], 2, "no variable 'coh'"),
        (["--fixed-points", "--inputs", "1,2"], 2, "inputs must be (conditions, 3); got (1, 2)"),
        (["--fixed-points", "--inputs", "1,b,2"], 2, "numbers with commas between them; got '1,b"),
        (["--fixed-points", "--inputs", "1,nan,2"], 2, "u must be finite"),
        (["--fixed-points", "--inputs", "1", "--inputs", "1,2"], 2, "of different lengths"),
        (["--fixed-points", "--tolerance", "0"], 2, "tolerance must be above 0"),
        (["--fixed-points", "--starts", "0"], 2, "--starts"),
        (["--fixed-points", "-o", "nowhere/at/all"], 7, "there is no folder nowhere/at"),
    ],
)
def test_what_it_refuses(cli: Any, run: Path, arguments: Any, code: int, what: str) -> None:
    result = cli("analyze", run, *arguments)
    assert result.code == code
    assert what in result.err
    assert result.out == ""


def test_a_spec_and_a_run_without_recurrent_layers_are_refused(cli: Any, small: Path) -> None:
    result = cli("analyze", small, "--fixed-points")
    assert result.code == 2
    assert "is not a run" in result.err
    run = netbuild.train(netbuild.load(small, ["training.steps=1"]), small.parent / "runs")
    result = cli("analyze", run.path, "--fixed-points")
    assert result.code == 2
    assert result.err == f"error: {run.path} has no recurrent layer\n"
    assert not (run.path / "analysis").exists()


def test_a_damaged_run_is_one_line(cli: Any, run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (weights,) = copy.glob("checkpoints/*/network.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])
    result = cli("analyze", copy, "--fixed-points")
    assert result.code == 5
    assert result.err.count("\n") == 1
