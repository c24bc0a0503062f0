"""What several test files need: a small spec with data beside it, trained in a moment."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from decision import decision_run
from hypothesis import settings

import netbuild
from netbuild import system
from netbuild.cli.main import main

if TYPE_CHECKING:
    from netbuild.results.activity import Activity

# The same examples in every run, however slow the machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# As the command line does, before torch is loaded: several workers share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SMALL = """\
netbuild: 1
name: small
seed: 3
task:
  type: arrays
  file: data.npz
  inputs: {array: x, divide: 2}
  targets: y
layers:
  - {name: hidden, type: linear, output_dim: 12, excitatory: 0.75, activation: relu, \
sparsity_mask: {generate: random, density: 0.5, seed: 5}}
  - {name: drop, type: dropout, p: 0.2}
  - name: readout
    type: linear
    output_dim: 3
    plasticity_mask: {generate: random, density: 0.7}
regularizers:
  - {name: dale, type: DaleLawL2, params: readout.weight, Lambda: 1e-3}
  - {name: sparse, type: L1, params: "*.weight", Lambda: 1e-4}
training:
  steps: 24
  batch_size: 8
  optimizer: {type: Adam, lr: 1e-2, schedule: cosine}
  clip_grad_norm: 1.0
  evaluate: {every: 8}
  checkpoint: {every: 10, keep: 2}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `runs` of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    return Path("runs")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A spec of 24 steps that holds every kind of constraint; returns its path."""
    return small_spec(tmp_path)


def small_spec(folder: Path) -> Path:
    """Write the spec `small` and its data into a folder; for fixtures that several tests share."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=60)
    x = rng.normal(size=(60, 5)) + np.eye(3, 5)[y] * 3
    np.savez(folder / "data.npz", x=x.astype(np.float32), y=y)
    path = folder / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(autouse=True)
def handlers_as_they_were() -> Iterator[None]:
    """A command that a signal has ended leaves its handlers: its process is about to end."""
    before = {number: signal.getsignal(number) for number in system.ENDING}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


class Result(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line in this process; threads and determinism are left as they were."""
    from netbuild.cli import training

    monkeypatch.setattr(training, "prepare_process", lambda spec, threads=None: None)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["netbuild", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def decision(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    """A trained run of a decision task, for tests that do not change it."""
    return decision_run(tmp_path_factory.mktemp("decision"))


@pytest.fixture(scope="session")
def activity(decision: netbuild.Run) -> Activity:
    """What its units do in its test trials."""
    return decision.activity()


@pytest.fixture(scope="session")
def several(activity: Activity) -> Activity:
    """Trials of two environments, of which one has neither coherences nor a stimulus."""
    go = np.arange(120) % 3 == 0
    trials = {name: values.copy() for name, values in activity.trials.items()}
    trials["environment"] = np.where(go, "go", "match")
    trials["coh"] = np.where(go, np.nan, trials["coh"])
    for edge in ("start", "end"):
        trials[f"stimulus_{edge}"][go] = -1
    return replace(activity, trials=trials)
