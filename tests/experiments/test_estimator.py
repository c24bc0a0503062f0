"""Searches by optuna: they find what is better, and continue as they would have."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from experiments.conftest import experiment_in, netbuild

from netbuild import open_experiment

HAS_OPTUNA = importlib.util.find_spec("optuna") is not None
SEARCH = """\
netbuild: 1
experiment: try
spec: small.yaml
seeds: 2
set: {training.steps: 8}
method: {type: tpe, trials: TRIALS}
parameters:
  training.optimizer.lr: {distribution: log_uniform, min: 1e-6, max: 1e-1}
  layers.hidden.output_dim: [8, 12]
metric: {name: loss}
"""


@pytest.mark.skipif(HAS_OPTUNA, reason="optuna is installed")
def test_without_optuna_it_says_what_to_install(tmp_path: Path) -> None:
    experiment_in(tmp_path, SEARCH.replace("TRIALS", "3"))
    result = netbuild(tmp_path, "sweep", "try.yaml")
    assert result.returncode == 10
    assert "pip install 'netbuild[optuna]'" in result.stderr


@pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is missing")
def test_a_search_that_is_continued_is_the_same_search(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    path = experiment_in(whole, SEARCH.replace("TRIALS", "12"))
    assert netbuild(whole, "sweep", "try.yaml", "--workers", 2).returncode == 0
    for trials in ("4", "12"):
        other = experiment_in(parts, SEARCH.replace("TRIALS", trials))
        assert netbuild(parts, "sweep", "try.yaml", "--workers", 2).returncode == 0
    points = [
        json.loads((each / "experiment.json").read_text())["points"] for each in (path, other)
    ]
    assert points[0] == points[1]
    assert [point["trial"] for point in points[0]] == [i // 2 for i in range(24)]
    assert len(open_experiment(path).table()) == 24
