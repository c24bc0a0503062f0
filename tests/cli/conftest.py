"""A trained run for tests of commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import small_spec

import netbuild


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tests copy."""
    folder = tmp_path_factory.mktemp("trained")
    return netbuild.train(small_spec(folder), folder / "runs").path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Any:
    """A run that a test may damage."""
    return netbuild.open_run(shutil.copytree(trained, tmp_path / "runs" / "small" / trained.name))
