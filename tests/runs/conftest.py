"""Runs that are trained once for all tests here; each test gets its own copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import small_spec
from resuming import begun, stopped_at

import netbuild

FILES = ("small.yaml", "data.npz")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the spec `small`, a run that has finished and one that was stopped."""
    folder = tmp_path_factory.mktemp("trained")
    spec = small_spec(folder)
    netbuild.train(spec, folder / "runs")
    begun(spec, folder / "cut", stopped_at(20))
    return folder


@pytest.fixture(scope="session")
def whole(trained: Path) -> Path:
    """The finished run, to be compared with and left as it is."""
    (path,) = (trained / "runs" / "small").iterdir()
    return path


@pytest.fixture
def small(trained: Path, tmp_path: Path) -> Path:
    """The spec `small` in a new folder."""
    for name in FILES:
        shutil.copy2(trained / name, tmp_path)  # with its time: it was there before the run
    return tmp_path / "small.yaml"


@pytest.fixture
def run(trained: Path, small: Path) -> netbuild.Run:
    """A finished run of `small`."""
    shutil.copytree(trained / "runs", small.parent / "runs")
    (path,) = (small.parent / "runs" / "small").iterdir()
    return netbuild.open_run(path, verify=False)


@pytest.fixture
def cut(trained: Path, small: Path) -> Path:
    """A run of `small` that was stopped after step 20."""
    shutil.copytree(trained / "cut", small.parent / "cut")
    (path,) = (small.parent / "cut" / "small").iterdir()
    return path
