"""Checkpoints: folders of safetensors and JSON files, with digests and without pickle."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from netbuild import durable, rundir
from netbuild.errors import Exit, NetbuildError
from netbuild.files.tensors import end_of_tensors
from netbuild.folders import entered
from netbuild.language import Spec
from netbuild.layers import Check, Network
from netbuild.runs.log import NotNowError
from netbuild.runs.schema import State, without_nan
from netbuild.training.guard import are_finite
from netbuild.training.loop import Trainer
from netbuild.training.optimizer_state import (
    optimizer_tensors,
    refuse_infinite_state,
    refuse_misfit,
)

FILES = (rundir.NETWORK, rundir.OPTIMIZER)
INITIAL = "initial.safetensors"
# Errors that say that a checkpoint has no such file; all other errors are the disk's.
NO_FILE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL),
    *(errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG),
)


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of a training, whose digests have been verified."""

    path: Path
    state: State  # what its `state.json` says
    files: Mapping[str, bytes] = field(repr=False)  # the bytes of `FILES`

    @property
    def step(self) -> int:
        """The optimizer steps that had been taken."""
        return self.state.step

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one of `FILES`; raises NetbuildError (exit 5) for a malformed file."""
        return unpack(self.files[name], str(self.path))


# Tensors


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Tensors as the bytes of a safetensors file; the same tensors give the same bytes.

    The metadata has a single key, `netbuild`, because the order of several keys would differ
    between processes.
    """
    ordered = {name: tensors[name] for name in sorted(tensors)}
    return bytes(safetensors.save(ordered, {"netbuild": durable.canonical_json(about)}))


def unpack(data: bytes, where: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; raises NetbuildError (exit 5)."""
    try:
        return dict(safetensors.load(data))
    except SafetensorError as error:
        reason = type(error).__name__
        raise NetbuildError(f"{where} is not a safetensors file ({reason})", Exit.RUN) from None


def network_tensors(network: Network) -> dict[str, Tensor]:
    """All tensors of a network that are saved: its state, and effective weights beside raw ones."""
    tensors = {**network.state_dict(), **network.effective_weights()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def initial_tensors(network: Network) -> dict[str, Tensor]:
    """The tensors of a network that a training starts from.

    Those of regularizers are left out: the first stage may have other regularizers than the spec.
    """
    tensors = network_tensors(network).items()
    return {name: tensor for name, tensor in tensors if not name.startswith("regularizers.")}


def pack_initial(spec: Spec, network: Network) -> bytes:
    """The network that a training starts from, as the bytes of `initial.safetensors`."""
    about: dict[str, Any] = {"format": rundir.FORMAT, "step": 0}
    if spec.plan.trained_on:
        about["trained_on"] = [split.to_data() for split in spec.plan.trained_on]
    return pack(initial_tensors(network), about)


# Writing


def pack_checkpoint(
    trainer: Trainer,
    initial: Mapping[str, Tensor],
    *,
    run: str = "",
    metrics: int = 0,
    metrics_sha256: str = "",
) -> dict[str, bytes]:
    """The state of a training as the bytes of a checkpoint's files, by name.

    `metrics` is the number of bytes in the log of `run`. Raises NetbuildError for a state that must
    not be saved: exit 8 where a number is not finite, exit 70 where a constraint does not hold.
    Frozen weights are compared with `initial`.
    """
    network, when = trainer.network, f"after step {trainer.step - 1}"
    refuse_bad_weights(network, initial, Exit.DIVERGED, Exit.BUG, when)
    about = {"format": rundir.FORMAT, "step": trainer.step}
    trained_on = trainer.trained_on()
    seen = {"trained_on": trained_on} if trained_on else {}
    tensors, groups = optimizer_tensors(network, trainer.optimizer)
    refuse_infinite_state(tensors, Exit.DIVERGED, when)
    files = {
        rundir.NETWORK: pack(network_tensors(network), about | seen),
        rundir.OPTIMIZER: pack(tensors, about),
    }
    state = State(
        **dict(trainer.progress),
        run=run,
        metrics=metrics,
        metrics_sha256=metrics_sha256,
        optimizer=groups,
        sha256={name: durable.digest(data) for name, data in files.items()},
    )
    return files | {rundir.STATE: rundir.sealed(without_nan(state.model_dump()))}


def write_checkpoint(folder: Path, step: int, files: Mapping[str, bytes]) -> Path:
    """Write the folder `step-<step>` into `folder` at once, and verify it by reading it again.

    Raises OSError, and NetbuildError (exit 7) where the disk is too full for it.
    """
    path = folder / rundir.checkpoint_name(step)
    if not path.exists() or not _holds(path, files):
        durable.require_space(folder, sum(map(len, files.values())))
        if path.exists():
            set_aside(path)
        durable.write_folder(path, files, within=folder.parent)
    return path


def prune(folder: Path, keep: int, also: Collection[int] = ()) -> None:
    """Remove all checkpoints except the newest `keep` and those of the steps in `also`."""
    durable.remove_leftovers(folder, within=folder.parent)
    for path in checkpoints(folder)[:-keep]:
        if rundir.step_of(path.name) not in also:
            durable.remove_folder(path, within=folder.parent)


def set_aside(path: Path) -> Path:
    """Rename a checkpoint that cannot be used to `corrupt-...`; returns its new path."""
    name = f"corrupt-{path.name}-{secrets.token_hex(2)}"
    return durable.rename_entry(path, name, within=path.parent.parent)


def refuse_bad_weights(
    network: Network,
    initial: Mapping[str, Tensor] | None,
    not_finite: Exit,
    violated: Exit,
    when: str,
) -> list[Check]:
    """Verify that weights are finite and that the constraints hold; returns the checks.

    Frozen weights are compared with `initial`. Raises NetbuildError: with the exit code
    `not_finite` for a parameter with NaN or Inf, with `violated` where a constraint does not hold.
    """
    for name, parameter in network.named_parameters():
        if not are_finite([parameter.detach()]):
            raise NetbuildError(f"`{name}` holds NaN or Inf {when}", not_finite)
    checks = network.verify(initial)
    refuse_violations(checks, violated)
    return checks


def refuse_violations(checks: Sequence[Check], exit_code: Exit) -> None:
    """Raise NetbuildError if a constraint does not hold."""
    for check in checks:
        if check.violations:
            what = f"{check.violations} of {check.weights} weights of {check.layer} violate"
            raise NetbuildError(f"{what} the constraint {check.constraint}", exit_code)


def _holds(path: Path, files: Mapping[str, bytes]) -> bool:
    """Whether a checkpoint on the disk is whole and has the tensors of these files."""
    try:
        return bool(open_checkpoint(path).state.sha256 == json.loads(files[rundir.STATE])["sha256"])
    except NetbuildError:
        return False


# Reading


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by step, the newest last."""
    try:
        names = durable.steady(durable.names_in)(folder, within=folder.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise NotNowError(f"{folder} cannot be read: {durable.reason_of(error)}", Exit.IO) from None
    return [folder / rundir.checkpoint_name(step) for step in rundir.steps_in(names)]


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify its digests.

    Raises NetbuildError (exit 5) for a damaged checkpoint, and NotNowError where the disk fails
    (exit 7) or another version of netbuild has written the checkpoint (exit 5).
    """
    state = _state(path, _read(path, rundir.STATE, rundir.LARGEST_JSON))
    if path.name != rundir.checkpoint_name(state.step):
        raise NetbuildError(f"{path} says that it is of step {state.step}", Exit.RUN)
    files = {}
    for name in FILES:
        files[name] = _read(path, name, limit=_end_of_tensors)
        if durable.digest(files[name]) != state.sha256.get(name):
            raise NetbuildError(f"{path / name} does not match its recorded digest", Exit.RUN)
    return Checkpoint(path, state, files)


def _state(path: Path, data: bytes) -> State:
    try:
        found = rundir.unsealed(data)
    except ValueError:
        what = f"{path} is not a whole checkpoint (state.json is damaged)"
        raise NetbuildError(what, Exit.RUN) from None
    if found.get("format", rundir.FORMAT) != rundir.FORMAT:
        what = f"{path} {rundir.other_format(found['format'])}"
        raise NotNowError(what, Exit.RUN, "upgrade netbuild")
    try:
        return State.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = f"{path} does not say where the training stood ({key or 'step'}: {first['msg']})"
        raise NetbuildError(what[:300], Exit.RUN) from None


def read_weights(path: Path) -> bytes:
    """The bytes of a safetensors file in a run; raises the errors of `read_file`.

    A file that is longer than its header says is refused before it is read (exit 9).
    """
    with entered(path.parent) as folder:
        return durable.read_entry(folder, path.name, limit=_end_of_tensors)


def _end_of_tensors(descriptor: int) -> int:
    return end_of_tensors(lambda size: os.read(descriptor, size))


def _read(
    path: Path, name: str, most: int = durable.LARGEST, limit: Callable[[int], int] | None = None
) -> bytes:
    """The bytes of one file of a checkpoint; raises the errors of `open_checkpoint`."""

    @durable.steady
    def read() -> bytes:
        with entered(path, within=path.parent.parent) as folder:
            return durable.read_entry(folder, name, most, limit)

    try:
        return read()
    except OSError as error:
        if error.errno in NO_FILE:
            what = f"{path} is not a whole checkpoint ({name}: {error.strerror})"
            raise NetbuildError(what, Exit.RUN) from None
        what = f"{path / name} cannot be read: {durable.reason_of(error)}"
        raise NotNowError(what, Exit.IO) from None


def load_network(network: Network, saved: Mapping[str, Tensor], where: str) -> None:
    """Put saved tensors into a network of the same spec; `where` names them in messages.

    All names, shapes and masks must be those of the network. The references of regularizers are not
    loaded, since they may be those of another stage. Raises NetbuildError (exit 5), and then leaves
    the network as it was.
    """
    tensors = {name: t for name, t in saved.items() if not name.startswith("regularizers.")}
    expected = initial_tensors(network)
    if odd := sorted(tensors.keys() ^ expected.keys()):
        raise NetbuildError(f"{where} does not fit the spec: see `{odd[0]}`", Exit.RUN)
    for name, tensor in tensors.items():
        refuse_misfit(name, tensor, expected[name].shape, expected[name].dtype, where)
    for name, _ in network.named_buffers():
        if name in expected and not torch.equal(tensors[name], expected[name]):
            raise NetbuildError(f"{where}: `{name}` is not the mask of the spec", Exit.RUN)
    own = network.state_dict()
    network.load_state_dict({name: tensors.get(name, value) for name, value in own.items()})


def load_verified(
    network: Network, found: Checkpoint, initial: Mapping[str, Tensor]
) -> list[Check]:
    """Load the weights of a checkpoint and verify them; returns the checks.

    Raises NetbuildError (exit 5).
    """
    load_network(network, found.tensors(rundir.NETWORK), str(found.path))
    return refuse_bad_weights(network, initial, Exit.RUN, Exit.RUN, f"in {found.path}")
