"""Checkpoints: safetensors and JSON in a folder of their own, with digests, never pickle."""

from __future__ import annotations

import errno
import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netbuild.durable import (
    LARGEST,
    digest,
    names_in,
    read_beginning,
    read_entry,
    remove_folder,
    remove_leftovers,
    rename,
    require_space,
    steadily,
    write_folder,
)
from netbuild.errors import Exit, NetbuildError
from netbuild.files.tensors import end_of_tensors
from netbuild.folders import entered
from netbuild.language import Spec
from netbuild.layers import Check, Network
from netbuild.runs.tensors import pack, refuse_misfit, unpack
from netbuild.training.guards import are_finite
from netbuild.training.optimizer_state import optimizer_tensors, refuse_infinite_state

FORMAT = 1
NETWORK, OPTIMIZER, STATE = "network.safetensors", "optimizer.safetensors", "state.json"
FILES = (NETWORK, OPTIMIZER)
LARGEST_STATE = 1 << 26  # bytes of a state.json
# What says that something else than a file of a checkpoint is there; other errors are the disk's.
NO_FILE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL),
    *(errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG),
)
_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: where it is, and what its `state.json` says."""

    path: Path
    step: int
    state: dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """A state as the bytes of a checkpoint's files, not yet written."""

    step: int
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for data in self.files.values())


def network_tensors(network: Network) -> dict[str, Tensor]:
    """Everything of a network that is saved: its state, and effective weights beside raw ones."""
    tensors = {**network.state_dict(), **network.effective_weights()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


# Writing


def pack_checkpoint(
    network: Network,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    *,
    initial: Mapping[str, Tensor],
    trained_on: Sequence[Mapping[str, Any]] = (),
) -> Packed:
    """The state of a training as bytes: tensors are laid out once, and hashed once.

    `state` has the `step`, and whatever else resuming needs, as plain data. Raises NetbuildError
    for a state that must not be kept: exit 8 where a weight is not finite, exit 70 where a
    constraint does not hold, frozen weights against `initial`. `trained_on` tells which samples the
    weights have seen, and is written into the file of the weights.
    """
    refuse_not_finite(network, Exit.DIVERGED, f"after step {int(state['step']) - 1}")
    refuse_violations(network.verify(initial), Exit.BUG)
    step = int(state["step"])
    about = {"format": FORMAT, "step": step}
    seen = {"trained_on": list(trained_on)} if trained_on else {}
    tensors, groups = optimizer_tensors(network, optimizer)
    refuse_infinite_state(tensors, Exit.DIVERGED, f"after step {step - 1}")
    files = {NETWORK: pack(network_tensors(network), about | seen), OPTIMIZER: pack(tensors, about)}
    digests = {name: digest(data) for name, data in files.items()}
    whole = dict(state) | {"format": FORMAT, "optimizer": groups, "sha256": digests}
    return Packed(step, files | {STATE: _sealed(whole)})


def write_checkpoint(folder: Path, packed: Packed) -> Path:
    """Write `step-<step>` into `folder` at once, and read it again before that counts as done.

    Raises OSError, and NetbuildError (exit 7) where the disk is too full for it.
    """
    path = folder_of(folder, packed.step)
    if not path.exists() or not _holds(path, packed):
        require_space(folder, packed.size)
        if path.exists():
            set_aside(path)
        write_folder(path, packed.files, within=folder.parent)
    return path


def prune(folder: Path, keep: int, also: Collection[int] = ()) -> None:
    """Remove all checkpoints but the newest `keep` and those of the steps `also`."""
    remove_leftovers(folder, within=folder.parent)
    for path in checkpoints(folder)[:-keep]:
        if step_of(path) not in also:
            remove_folder(path, within=folder.parent)


def set_aside(path: Path) -> Path:
    """Rename a checkpoint that cannot be used, so that it is one no more; nothing is lost."""
    name = f"corrupt-{path.name}-{secrets.token_hex(2)}"
    return rename(path, name, within=path.parent.parent)


def refuse_violations(checks: list[Check], exit_code: Exit) -> None:
    """Raise NetbuildError if a constraint does not hold: on writing, that is a bug of ours."""
    for check in checks:
        if check.violations:
            what = f"{check.violations} of {check.weights} weights of {check.layer} violate"
            raise NetbuildError(f"{what} the constraint {check.constraint}", exit_code)


def refuse_not_finite(network: Network, exit_code: Exit, when: str) -> None:
    """Raise NetbuildError if a parameter holds NaN or Inf."""
    for name, parameter in network.named_parameters():
        if not are_finite([parameter.detach()]):
            raise NetbuildError(f"`{name}` holds NaN or Inf {when}", exit_code)


def _holds(path: Path, packed: Packed) -> bool:
    """Whether a checkpoint's tensors are these very ones."""
    try:
        found, _ = open_checkpoint(path)
    except NetbuildError:
        return False
    return bool(found.state["sha256"] == json.loads(packed.files[STATE])["sha256"])


def _sealed(state: Mapping[str, Any]) -> bytes:
    """A state as text that holds its own digest."""
    return _text(dict(state) | {"digest": digest(_text(state))})


def _text(state: Mapping[str, Any]) -> bytes:
    return (json.dumps(state, indent=1) + "\n").encode()


def _unsealed(data: bytes) -> dict[str, Any]:
    """What `_sealed` was given; raises ValueError for any other bytes than those that it made."""
    found = json.loads(data)
    state = {key: value for key, value in found.items() if key != "digest"}
    if _sealed(state) != data:
        raise ValueError
    return state


# Reading


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by step, the newest last."""
    try:
        names = steadily(lambda: names_in(folder, within=folder.parent))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotNowError(f"{folder} cannot be read: {reason}", Exit.IO) from None
    found = [folder / name for name in names if _FOLDER.fullmatch(name)]
    return sorted((p for p in found if p == folder_of(folder, step_of(p))), key=step_of)


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(path.name.removeprefix("step-"))


def folder_of(folder: Path, step: int) -> Path:
    """The folder of a step's checkpoint."""
    return folder / f"step-{step:08d}"


class NotNowError(NetbuildError):
    """A checkpoint that may be whole, and that this program cannot read now."""


def open_checkpoint(path: Path) -> tuple[Checkpoint, dict[str, bytes]]:
    """A checkpoint and the bytes of its files, their digests verified.

    Raises NetbuildError (exit 5) for a damaged one, and NotNowError for one that the disk refuses
    to read (exit 7), or that a newer version has written (exit 5).
    """
    data = _read(path, STATE, LARGEST_STATE)
    try:
        state = _unsealed(data)
        step, digests = state["step"], {name: state["sha256"][name] for name in FILES}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        what = f"{path} is not a whole checkpoint (state.json is damaged)"
        raise NetbuildError(what, Exit.RUN) from None
    if state["format"] != FORMAT:
        what = f"{path} was written by a newer netbuild"
        raise NotNowError(what, Exit.RUN, "upgrade netbuild")
    if path.name != folder_of(path.parent, step if isinstance(step, int) else -1).name:
        raise NetbuildError(f"{path} says that it is of step {step}", Exit.RUN)
    files = {}
    for name in FILES:
        files[name] = _read(path, name, limit=_end_of_tensors)
        if digest(files[name]) != digests[name]:
            raise NetbuildError(f"{path / name} does not have the digest written down", Exit.RUN)
    return Checkpoint(path, step, state), files


def read_weights(path: Path) -> bytes:
    """The bytes of a safetensors file in a run; raises OSError, and NetbuildError as `read_file`.

    A file that is longer than its header says is refused before it is read (exit 9).
    """
    with entered(path.parent) as folder:
        return read_entry(folder, path.name, limit=_end_of_tensors)


def _end_of_tensors(descriptor: int) -> int:
    return end_of_tensors(partial(read_beginning, descriptor))


def _read(
    path: Path,
    name: str,
    most: int = LARGEST,
    limit: Callable[[int], int] | None = None,
) -> bytes:
    """The bytes of one file of a checkpoint; raises as `open_checkpoint` does."""

    def read() -> bytes:
        with entered(path, within=path.parent.parent) as folder:
            return read_entry(folder, name, most, limit)

    try:
        return steadily(read)
    except OSError as error:
        if error.errno in NO_FILE:
            what = f"{path} is not a whole checkpoint ({name}: {error.strerror})"
            raise NetbuildError(what, Exit.RUN) from None
        reason = error.strerror or type(error).__name__
        raise NotNowError(f"{path / name} cannot be read: {reason}", Exit.IO) from None


def load_network(network: Network, data: bytes, where: str) -> None:
    """Put saved weights into a network of the same spec.

    The set of names and every shape must be the network's own, and so must every mask; what
    regularizers compare with may be another stage's. Raises NetbuildError, and leaves the network
    as it was.
    """
    tensors = _without_regularizers(unpack(data, where))
    expected = _without_regularizers(network_tensors(network))
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())[0]
        raise NetbuildError(f"{where} does not fit the spec: see `{odd}`", Exit.RUN)
    for name, tensor in tensors.items():
        refuse_misfit(name, tensor, expected[name].shape, expected[name].dtype, where)
    own = network.state_dict()
    for name, _ in network.named_buffers():
        if name in expected and not torch.equal(tensors[name], expected[name]):
            raise NetbuildError(f"{where}: `{name}` is not the mask of the spec", Exit.RUN)
    network.load_state_dict({name: tensors.get(name, value) for name, value in own.items()})


def pack_initial(spec: Spec, network: Network) -> bytes:
    """The network that a training starts from, as the bytes of `initial.safetensors`.

    Regularizers are left out: the first stage of a training may have others than the whole spec.
    """
    about: dict[str, Any] = {"format": FORMAT, "step": 0}
    if spec.plan.trained_on:
        about["trained_on"] = [split.to_data() for split in spec.plan.trained_on]
    return pack(initial_tensors(network), about)


def initial_tensors(network: Network) -> dict[str, Tensor]:
    """The tensors of a network that a training starts from."""
    return _without_regularizers(network_tensors(network))


def _without_regularizers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if not name.startswith("regularizers.")}
