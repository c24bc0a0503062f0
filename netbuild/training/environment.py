"""What a run depends on beside its spec: versions, the machine, the commit. For `run.json`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("netbuild", "torch", "numpy", "pydantic", "pyyaml", "safetensors")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, processor and threads, as plain data."""
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "device": str(device),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "argv": sys.argv,
    }


def git_state(folder: Path) -> tuple[str | None, str | None]:
    """The commit that a folder is at and its uncommitted changes; (None, None) outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit.strip(), _git(folder, "diff", "HEAD")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    if arguments[0] == "diff":  # no external diff program of the repository is run
        command += ["--no-ext-diff", "--no-textconv"]
    try:
        found = subprocess.run(
            command,
            capture_output=True,
            timeout=10,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.decode(errors="replace") if found.returncode == 0 else None
