"""What a run was made from and on: its files, the versions of packages, and the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from netbuild.compare import Difference, differences, flat
from netbuild.durable import LARGEST, digest, hash_beginning
from netbuild.errors import NetbuildError
from netbuild.files.door import project_root
from netbuild.language import Spec
from netbuild.language.neurogym_task import Neurogym
from netbuild.runs.schema import Environment, Sources

RUNS = "runs"  # the default folder that runs are written below

# Variables by which numerical libraries choose their code, and so the order of their sums.
_VARIABLES = ("MKL_", "ONEDNN_", "DNNL_", "ATEN_", "OMP_NUM_THREADS")
# All packages that may take part in a training; polars and scipy read connectomes and matrices;
# numba and llvmlite compile recurrences.
_PACKAGES = (
    *("netbuild", "torch", "numpy", "pydantic", "pyyaml", "safetensors"),
    *("polars", "scipy", "numba", "llvmlite"),
)
_OF_NEUROGYM = ("neurogym", "gymnasium")  # for a neurogym task
# Facts that the last bits of a training do not depend on.
_BESIDE = ("argv", "omp_wait_policy", "platform", "packages.pydantic")


def environment(device: torch.device, spec: Spec) -> Environment:
    """Versions, processor, threads, and the environment variables that libraries read.

    The versions are those of the packages that a training of `spec` uses; no package is imported.
    """
    tasks = [part.model.task for part in (spec, *spec.stages)]
    more = _OF_NEUROGYM if any(isinstance(task, Neurogym) for task in tasks) else ()
    return Environment(
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES + more},
        platform=platform.platform(),
        cpu=processor(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        omp_wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        variables={
            name: os.environ[name] for name in sorted(os.environ) if name.startswith(_VARIABLES)
        },
        device=str(device),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        argv=sys.argv,
    )


def _version(package: str) -> str | None:
    """The version of a package; None where the package is not installed, as in a bare checkout."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment_changes(then: Environment, now: Environment) -> list[Difference]:
    """The changes of an environment that may change the last bits of a training.

    A package whose version was not recorded then is not compared.
    """
    one, other = flat(then.model_dump()), flat(now.model_dump())
    return [
        (name, before, after)
        for name, before, after in differences(one, other)
        if name not in _BESIDE and (name in one or not name.startswith("packages."))
    ]


def processor() -> str | None:
    """The model of the processor and a digest of its features; None where the system is silent."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return platform.processor() or None
    pairs = (line.partition(":") for line in text.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    flags = " ".join(sorted((facts.get("flags") or facts.get("Features") or "").split()))
    name = facts.get("model name") or platform.machine()
    return f"{name} ({hashlib.sha256(flags.encode()).hexdigest()[:8]})"


class Changed(NamedTuple):
    """A file that no longer holds what a run was started from."""

    file: Path
    then: str  # SHA-256
    now: str


def sources(spec: Spec, run: Path) -> Sources:
    """The spec, the files that it extends and names, with digests; paths are relative to the run.

    Beside a run that was copied elsewhere these files are missing. The run does not need them.
    """
    files = {os.path.realpath(path): digest(text.encode()) for path, text in spec.texts.items()}
    files |= {record.path: record.sha256 for record in spec.files.values()}
    own = None if spec.path is None else _relative(os.path.realpath(spec.path), run)
    root = spec.options.data_root
    return Sources(
        spec=own,
        data_root=None if root is None else _relative(str(root), run),
        files={_relative(path, run): sha256 for path, sha256 in files.items()},
    )


def _relative(path: str, run: Path) -> str:
    return Path(os.path.relpath(path, os.path.realpath(run))).as_posix()


def place(run: Path, name: str) -> Path:
    """The place of a file that `sources` has named relative to a run; links are resolved."""
    return Path(os.path.realpath(os.path.realpath(run) + "/" + name))


def roots(run: Path, data_root: str | Path | None = None) -> tuple[Path, ...]:
    """The folders in which files that a `run.json` names may be read.

    A run may come from anybody, so its `run.json` is not trusted. Only folders that the user chose
    are read: the project of the run (for a run in `FOLDER/runs/NAME/` the project of FOLDER), the
    project of the working directory, and `data_root`.
    """
    home = Path(os.path.realpath(run))
    beside = len(home.parents) > 2 and home.parents[1].name == RUNS
    found = [project_root(home.parents[2] if beside else home), project_root(Path.cwd())]
    return (*found, Path(os.path.realpath(data_root))) if data_root is not None else tuple(found)


def is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path, with links resolved, is one of the folders or lies in one."""
    return any(path.is_relative_to(folder) for folder in folders)


def is_newer(path: Path, time: str) -> bool:
    """Whether a file was modified after a time in ISO 8601; its contents are not read."""
    try:
        return path.stat().st_mtime > datetime.fromisoformat(time).timestamp()
    except (OSError, ValueError, OverflowError):
        return False


def changed(
    run: Path, known: Sources, data_root: str | Path | None = None
) -> tuple[list[Changed], list[Path]]:
    """The files of `known` that hold something else now, and the files that were not compared.

    Files outside of `roots(run, data_root)` are not read. Missing files are in neither list, since
    the run has copies of them.
    """
    found, unread, allowed = [], [], roots(run, data_root)
    for name, then in known.files.items():
        try:
            path = place(run, name)
            if not is_below(path, allowed):
                unread += [path] if os.path.lexists(path) else []
                continue
            now = hash_beginning(path, LARGEST).hexdigest()
        except (OSError, ValueError, NetbuildError):  # the file is missing
            continue
        if now != then:
            found.append(Changed(path, then, now))
    return found, unread
