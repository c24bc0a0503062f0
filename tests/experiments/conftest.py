"""Experiments of a small spec, and their sweeps by the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import small_spec
from places import ROOT

EXPERIMENT = """\
netbuild: 1
experiment: try
spec: small.yaml
seeds: 3
parameters: {layers.hidden.output_dim: [8, 12]}
conditions:
  signed: {}
  free: {set: {layers.hidden.excitatory: 0.5}}
baseline: signed
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netbuild", *map(str, arguments)]


def netbuild(folder: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command in a folder, on this copy of the package."""
    options = {"timeout": 240} | options
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def experiment_in(folder: Path, text: str = EXPERIMENT, **changes: str) -> Path:
    small_spec(folder)
    for key, value in changes.items():
        text += f"{key}: {value}\n"
    (folder / "try.yaml").write_text(text)
    return folder / "experiments" / "try"


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment whose 12 runs have ended, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("swept")
    found = experiment_in(folder)
    result = netbuild(folder, "sweep", "try.yaml", "--workers", 2, "--quiet")
    assert (result.returncode, result.stdout) == (0, "experiments/try\n"), result.stderr
    return found
