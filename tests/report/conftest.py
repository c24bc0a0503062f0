"""Runs and experiments that are trained once, and their pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL, small_spec
from places import ROOT

import netbuild
from netbuild.report.page import page
from netbuild.report.run import run_report
from netbuild.results.run import Run

EXPERIMENT = """\
netbuild: 1
experiment: try
spec: small.yaml
seeds: 3
set: {training.steps: 8, training.evaluate.every: 4}
conditions:
  calm: {}
  wild: {set: {training.optimizer.lr: 1e30}}   # doi 10.1000/made.up
baseline: calm
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the spec `small`, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("reported")
    small_spec(folder)
    (folder / "pyproject.toml").touch()
    spec = netbuild.load(folder / "small.yaml", set=["training.log_every=4"])
    return netbuild.train(spec, out=folder / "runs")


@pytest.fixture(scope="session")
def trained_page(trained: Run) -> bytes:
    return page(run_report(trained))


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment of six runs, of which three diverge."""
    folder = tmp_path_factory.mktemp("experiment")
    small_spec(folder)
    (folder / "small.yaml").write_text(SMALL.replace("  clip_grad_norm: 1.0\n", ""))
    (folder / "try.yaml").write_text(EXPERIMENT)
    words = [sys.executable, "-m", "netbuild", "sweep", "try.yaml", "--workers", "1", "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True,
                            check=False, timeout=240)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder / "experiments" / "try"
