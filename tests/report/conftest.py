"""Runs and experiments that are trained once, and their pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SMALL, small_spec

import netbuild
from netbuild.errors import NetbuildError
from netbuild.experiments.folder import prepare, write
from netbuild.language.design import load_experiment
from netbuild.language.points import points_of
from netbuild.report.page import page
from netbuild.report.run import run_report
from netbuild.results.run import Run
from netbuild.runs.start import new_trainer, start_run
from netbuild.runs.writer import recording

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
    points = points_of(load_experiment(folder / "try.yaml"))
    experiment = prepare(points, folder / "experiments")
    write(experiment, points)
    for point in points.points:
        spec = netbuild.load(folder / "small.yaml", set=point.overrides)
        trainer = new_trainer(spec)
        writer = start_run(spec, experiment.path / "runs", trainer, name=point.hash)
        try:
            with recording(trainer, writer) as records:
                for _ in records:
                    pass
        except NetbuildError as error:
            log = f"diverged, exit code {int(error.exit_code)}: {error}\n"
            experiment.log(point.hash).write_text(log)
    return experiment.path
