"""Every example is run, and reaches what it promises."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from places import EXAMPLES

import netbuild
from netbuild import plots

SPECS = sorted(EXAMPLES.glob("*.yaml"))


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_example_builds_and_holds_its_constraints(path: Path) -> None:
    network = netbuild.build(path)
    assert not [check for check in network.verify() if check.violations]
    layers = {name.partition(".")[0] for name in network.get_specs()}
    assert layers == {layer.name for layer in netbuild.load(path).model.layers}


SEEDS = [pytest.param([1], id="one"), pytest.param([0, 1, 2], id="three", marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", ["digits_dale", "digits_plain"])
def test_digits_reach_their_accuracy(name: str, seeds: list[int], tmp_path: Path) -> None:
    scores = []
    for seed in seeds:
        spec = netbuild.load(EXAMPLES / f"{name}.yaml", [f"seed={seed}"])
        run = netbuild.train(spec, tmp_path)
        scores.append(run.final["accuracy"])
        checks = run.network().verify(run.initial)
        assert not [check for check in checks if check.violations]
    assert np.mean(scores) >= 0.96, scores


def test_the_frozen_synapses_of_digits_are_those_of_the_file(tmp_path: Path) -> None:
    spec = netbuild.load(EXAMPLES / "digits_dale.yaml", ["training.epochs=1"])
    run = netbuild.train(spec, tmp_path)
    plastic = np.loadtxt(EXAMPLES / "masks" / "plastic.csv", delimiter=",").T
    before, after = run.initial["readout.weight"].numpy(), run.weights("readout").numpy()
    assert (before[plastic == 0] == after[plastic == 0]).all()
    present = run.network().readout.connected.numpy()
    assert (before != after)[(plastic == 1) & present].mean() > 0.9


def test_mask_sources_are_what_the_files_say() -> None:
    network = netbuild.build(EXAMPLES / "mask_sources.yaml")
    masks = EXAMPLES / "masks"
    wiring = np.load(masks / "wiring.npy")
    assert (network.from_npy.sparsity_mask.numpy() == (wiring > 0)).all()
    counts = np.load(masks / "counts.npz")["synapses"]
    assert (network.from_npz.sparsity_mask.numpy() == (counts > 2)).all()
    half = np.loadtxt(masks / "half_plastic.csv", delimiter=",")
    assert np.allclose(network.from_csv.plasticity_mask.numpy(), half)
    assert network.random.get_specs()["n_connections"] == 30
    incoming = network.fixed_indegree.sparsity_mask.numpy()
    assert (incoming.sum(axis=0) == 4).all()
    assert not incoming.diagonal().any()


@pytest.mark.parametrize("name", ["make_masks", "nn4n_layer"])
def test_files_are_what_their_scripts_write(name: str, tmp_path: Path) -> None:
    script(name).write(tmp_path)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    for path in written:
        own = EXAMPLES / path.relative_to(tmp_path)
        if path.suffix == ".npz":
            with np.load(path) as new, np.load(own) as old:
                assert all((new[key] == old[key]).all() for key in old.files)
        else:
            assert path.read_bytes() == own.read_bytes(), path.name


def test_the_data_is_what_it_says(tmp_path: Path) -> None:
    with np.load(EXAMPLES / "digits.npz") as data:
        assert (data["x"].dtype, data["x"].shape) == (np.uint8, (1797, 64))
        assert (data["x"].min(), data["x"].max()) == (0, 16)
        assert set(data["y"].tolist()) == set(range(10))
    shutil.copy(EXAMPLES / "digits.npz", tmp_path)
    template = Path(netbuild.__file__).parent / "cli" / "templates" / "digits.npz"
    assert template.read_bytes() == (EXAMPLES / "digits.npz").read_bytes()


@pytest.mark.parametrize("name", ["ei_decision", "delayed_comparison", "context_decision"])
def test_a_cognitive_task_starts_to_be_learnt(name: str, tmp_path: Path) -> None:
    """Long enough for the loss to fall; what it reaches in the end is in test_reproductions.py."""
    changes = ["training.steps=60", "training.log_every=1", "training.evaluate={trials: 50}"]
    spec = netbuild.load(EXAMPLES / f"{name}.yaml", changes, unset=UNSET.get(name, []))
    run = netbuild.train(spec, tmp_path)
    losses = [record["loss"] for record in run.metrics if record["kind"] == "train"]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    assert not [check for check in run.network().verify(run.initial) if check.violations]
    assert len(run.trials()) == 50
    assert plots.learning(run).data
    assert plots.rates(run, trials=50, condition=CONDITION.get(name)).data


def test_a_run_is_looked_at_without_neurogym(
    tmp_path: Path,
) -> None:
    """Its network is rebuilt from what the run wrote down; only new trials need the package."""
    changes = ["training.steps=2", "training.evaluate={trials: 5}"]
    spec = netbuild.load(EXAMPLES / "delayed_comparison.yaml", changes)
    run = netbuild.train(spec, tmp_path)
    program = f"""
import sys
sys.modules["neurogym"] = None  # importing it fails
import netbuild
from netbuild.errors import NetbuildError
run = netbuild.open_run({str(run.path)!r})
print(sorted(run.maps()), len(run.trials()), run.spec.plan.layers["hidden"].reads.areas)
try:
    run.activity(5)
except NetbuildError as error:
    print(int(error.exit_code), error.hint)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first == "['hidden.input', 'hidden.recurrent', 'readout'] 5 ('fixation', 'stimulus')"
    assert second.startswith("10 pip install 'netbuild[tasks]'")


UNSET = {"context_decision": ["training.stop_when"]}
CONDITION = {"delayed_comparison": "v1-v2"}


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its cells, one after the other, as the script that they are."""
    book = json.loads((EXAMPLES / "activity.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    code = "\n".join(cells).replace("training.steps=1000", "training.steps=20")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "examples")
    exec(compile(code, "activity.ipynb", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.splitlines()[-1].startswith("(200, ")


WORM = EXAMPLES / "celegans"


def test_the_worm_is_that_of_cook_and_others() -> None:
    """Counts of the published connectome, taken from the files without the program's readers."""
    nodes = [line.split(",") for line in (WORM / "neurons.csv").read_text().split()[1:]]
    edges = [line.split(",") for line in (WORM / "edges.csv").read_text().split()[1:]]
    names = [name for name, _, _ in nodes]
    assert (len(names), len({(pre, post) for pre, post, _ in edges})) == (302, 3638)
    assert sum(sign == "-1" for _, _, sign in nodes) == 26
    plan = netbuild.load(WORM / "celegans.yaml").plan
    recurrent = plan.layers["worm"].maps["recurrent"]
    found = recurrent.connections.whole().T
    wanted = np.zeros((302, 302), bool)
    for pre, post, _ in edges:
        wanted[names.index(pre), names.index(post)] = True
    assert (found == wanted).all()
    motor = [i for i, (_, kind, _) in enumerate(nodes) if kind == "motor"]
    assert plan.layers["readout"].reads.indices.tolist() == motor
    entry = plan.layers["worm"].maps["input"].connections.whole().T
    sensory = [kind == "sensory" for _, kind, _ in nodes]
    assert entry.tolist() == [sensory] * len(entry)


def test_the_rewired_worm_keeps_the_numbers_of_partners() -> None:
    plans = [
        netbuild.load(WORM / f"{name}.yaml").plan.layers["worm"].maps["recurrent"]
        for name in ("celegans", "rewired")
    ]
    first, second = (plan.connections.whole() for plan in plans)
    for axis in (0, 1):
        assert (first.sum(axis) == second.sum(axis)).all()
    assert (first & second).sum() < 0.5 * first.sum()


@pytest.mark.parametrize("name", ["celegans", pytest.param("rewired", marks=pytest.mark.slow)])
def test_the_worm_is_trained(name: str, tmp_path: Path) -> None:
    changes = ["training.steps=8", "training.log_every=1", "training.evaluate={trials: 20}"]
    run = netbuild.train(netbuild.load(WORM / f"{name}.yaml", changes), tmp_path)
    losses = [record["loss"] for record in run.metrics if record["kind"] == "train"]
    assert len(losses) == 8
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert not [check for check in run.network().verify(run.initial) if check.violations]


def test_the_fly_is_generated_and_trained(tmp_path: Path) -> None:
    fly = EXAMPLES / "fly_scale"
    command = [sys.executable, str(fly / "generate.py"), "--neurons", "2000"]
    command += ["--connections", "40000", "--out", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 2
    shutil.copy(fly / "fly.yaml", tmp_path)
    changes = ["training.steps=2", "training.evaluate={trials: 2}"]
    spec = netbuild.load(tmp_path / "fly.yaml", changes)
    wiring = spec.plan.layers["brain"].maps["recurrent"].connections.wiring
    assert wiring is not None
    assert (wiring.input_dim, len(wiring)) == (2000, 40_000)
    run = netbuild.train(spec, tmp_path / "runs")
    assert run.initial["brain.recurrent.weight"].shape == (40_000,)
    losses = [record["loss"] for record in run.metrics if record["kind"] == "train"]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert not [check for check in run.network().verify(run.initial) if check.violations]
