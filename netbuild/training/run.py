"""The run directory: everything that a training wrote, and how it is read again."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netbuild.builder import build, build_task
from netbuild.check import Spec, load
from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network
from netbuild.spec.dump import dump_yaml
from netbuild.spec.paths import parse_path
from netbuild.streams import rng_of
from netbuild.tasks import Batch, Task
from netbuild.training.checkpoint import (
    checkpoints,
    load_network,
    open_checkpoint,
    refuse_violations,
)
from netbuild.training.environment import environment, git_state
from netbuild.training.files import canonical_json, replace_file, write_file

COPIED = 256 << 20  # input files up to this size are copied into the run


@dataclass
class RunWriter:
    """A run directory while its training goes on; it is locked until `close`."""

    path: Path
    about: dict[str, Any]
    _lock: int = field(repr=False)

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`."""
        line = canonical_json({"step": step, "kind": kind, **values}) + "\n"
        with open(self.path / "metrics.jsonl", "ab", buffering=0) as stream:
            stream.write(line.encode())

    def status(self, status: str, **more: Any) -> None:
        """Note in `run.json` how the run stands."""
        self.about |= {"status": status, "changed": _now(), **more}
        replace_file(self.path / "run.json", _json(self.about))

    def write(self, name: str, data: bytes) -> None:
        """Write one file of the run, making its folder."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        replace_file(path, data)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)


def start_run(spec: Spec, out: Path, network: Network, device: torch.device) -> RunWriter:
    """Make `out/<name>/<utc>-<hash>-<random>/`, never an existing one, and lock it.

    Raises NetbuildError (exit 7) where it cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = out / spec.model.name / f"{stamp}-{spec.hash[:8]}-{secrets.token_hex(2)}"
    try:
        path.mkdir(parents=True)
        lock = os.open(path / ".lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in ("checkpoints", "evaluation", "figures", "inputs"):
            (path / name).mkdir()
        write_file(path / "spec.yaml", spec.text.encode())
        write_file(path / "resolved.yaml", _resolved(spec, path).encode())
        write_file(path / "specs.json", _json(network.get_specs()))
        write_file(path / "metrics.jsonl", b"")
        commit, difference = git_state(spec.path.parent if spec.path else Path.cwd())
        if difference:
            write_file(path / "git.diff", difference.encode())
        about = {
            "format": 1,
            "id": secrets.token_hex(16),
            "name": spec.model.name,
            "spec_hash": spec.hash,
            "seed": spec.model.seed,
            "overrides": list(spec.overrides),
            "unset": list(spec.unset),
            "inputs": {
                where: {"file": record.reference, "sha256": record.sha256, "bytes": record.size}
                for where, record in spec.files.items()
            },
            "git": {"commit": commit, "changed": bool(difference)},
            "environment": environment(device),
            "started": _now(),
        }
        writer = RunWriter(path, about, lock)
        writer.status("running")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write the run directory {path}: {reason}", Exit.IO) from None
    return writer


def _resolved(spec: Spec, path: Path) -> str:
    """The resolved spec, its files copied into the run and named there, so that it stands alone."""
    data = spec.data
    for where, record in spec.files.items():
        target = Path("inputs") / f"{record.sha256[:16]}-{Path(record.path).name}"
        if record.size > COPIED:
            target = Path(record.path)
        elif not (path / target).exists():
            write_file(path / target, Path(record.path).read_bytes())
        _replace(data, where, str(target))
    head = "# Written by netbuild: the whole spec, defaults included, with the run's own inputs.\n"
    return head + dump_yaml(data)


def _replace(data: Any, where: str, value: str) -> None:
    """Put a value where a path of the spec points, in the resolved data."""
    *way, last = parse_path(where)
    for segment in way:
        if not segment.item:
            data = data[segment.text]
        elif segment.text.isdecimal():
            data = data[int(segment.text)]
        else:
            data = next(item for item in data if item.get("name") == segment.text)
    data[last.text] = value


@dataclass
class Run:
    """A run directory, as `train` and `open_run` return it."""

    path: Path
    given_task: Task | None = field(default=None, repr=False)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What `run.json` says."""
        found: dict[str, Any] = json.loads((self.path / "run.json").read_bytes())
        return found

    @cached_property
    def spec(self) -> Spec:
        """The run's resolved spec, with its own copies of the inputs."""
        return load(self.path / "resolved.yaml", data_root=self.path)

    @cached_property
    def task(self) -> Task:
        """The task that the run was trained on."""
        return self.given_task or build_task(self.spec)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, oldest first; a torn last line is left out."""
        lines = (self.path / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def final(self) -> dict[str, Any]:
        """The last evaluation: step, loss, and accuracy where there is one."""
        found = [line for line in self.metrics if line["kind"] == "evaluation"]
        return found[-1] if found else {}

    @property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return int(self.checkpoint().name.removeprefix("step-"))

    @cached_property
    def initial(self) -> dict[str, Tensor]:
        """The weights that the training started from, which frozen ones keep for ever."""
        return frozen_start(build(self.spec, device="cpu"))

    def network(self, *, device: str = "cpu") -> Network:
        """The network with the newest weights, digests and constraints verified."""
        network = build(self.spec, device="cpu")
        _, files = open_checkpoint(self.checkpoint())
        load_network(network, files["network.safetensors"], str(self.checkpoint()))
        refuse_violations(network.verify(self.initial))
        return network.to(device)

    def checkpoint(self) -> Path:
        """The newest checkpoint's folder; raises NetbuildError when there is none."""
        found = checkpoints(self.path / "checkpoints")
        if not found:
            raise NetbuildError(f"{self.path} has no checkpoint", Exit.RUN)
        return found[-1]

    def weights(self, name: str) -> Tensor:
        """The effective weights of one parameter, e.g. "hidden.weight", or of one map, "hidden"."""
        network = self.network()
        names = dict(network.named_parameters())
        known = name if name in names else f"{name}.weight"
        if known not in names:
            raise KeyError(f"no parameter {name}; there are {', '.join(names)}")
        return network.effective_parameter(known).detach()

    def batch(self, trials: int | None = None) -> Batch:
        """The trials that the run is scored on, or the first `trials` of them."""
        own = getattr(self.task, "evaluation", None)
        if own is None:
            count = trials or self.spec.model.training.evaluate.trials
            return self.task.batch(0, count, rng_of(self.spec.model.seed, "evaluation", 0))
        batch: Batch = own()
        if trials is None:
            return batch
        kept = {key: value[:trials] for key, value in (batch.trials or {}).items()}
        mask = None if batch.loss_mask is None else batch.loss_mask[:trials]
        return Batch(batch.inputs[:trials], batch.targets[:trials], mask, kept or None)

    def activity(self, trials: int = 500) -> dict[str, Tensor]:
        """What every unit does in the first `trials` test trials: {layer: (trial, ..., unit)}."""
        network = self.network().eval()
        with torch.no_grad():
            _, activity = network(self.batch(trials).inputs, return_activity=True)
        return dict(activity)


def open_run(path: str | Path) -> Run:
    """A run directory, verified: its files are there and its newest weights hold the constraints.

    Raises NetbuildError (exit 5).
    """
    path = Path(path)
    missing = [
        n for n in ("run.json", "resolved.yaml", "metrics.jsonl") if not (path / n).is_file()
    ]
    if missing:
        raise NetbuildError(f"{path} is not a run directory: no {missing[0]}", Exit.RUN)
    run = Run(path)
    try:
        format_ = run.about["format"]
    except (ValueError, KeyError, TypeError):
        raise NetbuildError(f"{path}/run.json cannot be read", Exit.RUN) from None
    if format_ != 1:
        raise NetbuildError(f"{path} was written by a newer netbuild", Exit.RUN)
    run.network()
    return run


def frozen_start(network: Network) -> dict[str, Tensor]:
    """Copies of the weights that the network starts from, which frozen ones keep for ever."""
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
