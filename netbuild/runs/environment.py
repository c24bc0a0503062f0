"""What a run depends on beside its spec: versions and the machine. For `run.json`."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from netbuild.language import Spec
from netbuild.language.neurogym_task import Neurogym

# What the libraries that multiply choose their code, and the order of their sums, by.
_VARIABLES = ("MKL_", "ONEDNN_", "DNNL_", "ATEN_", "OMP_NUM_THREADS")
# Whatever may take part in a training: polars and scipy read connectomes and sparse matrices.
_PACKAGES = (
    *("netbuild", "torch", "numpy", "pydantic", "pyyaml", "safetensors"),
    *("polars", "scipy"),
)
_OF_NEUROGYM = ("neurogym", "gymnasium")  # which make the trials of a neurogym task


def environment(device: torch.device, spec: Spec) -> dict[str, Any]:
    """Versions, processor, threads and what libraries read of the process, as plain data.

    The versions are of the packages that a training of `spec` uses; none of them is imported.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _packages(spec)},
        "platform": platform.platform(),
        "cpu": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "variables": {
            name: os.environ[name] for name in sorted(os.environ) if name.startswith(_VARIABLES)
        },
        "device": str(device),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "argv": sys.argv,
    }


def _packages(spec: Spec) -> tuple[str, ...]:
    tasks = (part.model.task for part in (spec, *spec.stages))
    return _PACKAGES + (_OF_NEUROGYM if any(isinstance(t, Neurogym) for t in tasks) else ())


def _version(package: str) -> str | None:
    """The version of an installed package; None for one that is not, as of a bare checkout."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# What the last bits do not depend on.
_BESIDE = ("argv", "omp_wait_policy", "platform", "packages.pydantic")
Change = tuple[str, Any, Any]  # a name, and its value then and now


def environment_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What of an environment may change the last bits, and is not what it was.

    A package whose version was not recorded then is not compared.
    """
    one, other = _flat(then), _flat(now)
    return [
        (name, one.get(name), other.get(name))
        for name in dict.fromkeys((*one, *other))
        if name not in _BESIDE and one.get(name) != other.get(name)
        if name in one or not name.startswith("packages.")
    ]


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    inner = {
        f"{key}.{name}": value
        for key in data
        if isinstance(data[key], Mapping)
        for name, value in data[key].items()
    }
    return found | inner


def _processor() -> str | None:
    """The model of the processor and a digest of what it can do, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return platform.processor() or None
    pairs = (line.partition(":") for line in text.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    flags = " ".join(sorted((facts.get("flags") or facts.get("Features") or "").split()))
    name = facts.get("model name") or platform.machine()
    return f"{name} ({hashlib.sha256(flags.encode()).hexdigest()[:8]})"
