"""Checkpoints: safetensors and JSON in a folder of their own, with digests, never pickle."""

from __future__ import annotations

import errno
import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.folders import entered
from netbuild.layers import Check, Network
from netbuild.masks.tensors import end_of_tensors
from netbuild.training.files import (
    LARGEST,
    canonical_json,
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
from netbuild.training.guards import are_finite

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


# Tensors as bytes


def network_tensors(network: Network) -> dict[str, Tensor]:
    """Everything of a network that is saved: its state, and effective weights beside raw ones."""
    tensors = {**network.state_dict(), **network.effective_weights()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Tensors as the bytes of a safetensors file, the same for the same tensors.

    The metadata is one key, `netbuild`: with two, their order would differ between processes.
    """
    ordered = {name: tensors[name] for name in sorted(tensors)}
    return bytes(save_tensors(ordered, {"netbuild": canonical_json(about)}))


def unpack(data: bytes, where: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; raises NetbuildError."""
    try:
        return dict(load_tensors(data))
    except MemoryError:
        raise
    except Exception as error:  # whatever the parser makes of damaged bytes
        reason = type(error).__name__
        raise NetbuildError(f"{where} is not a safetensors file ({reason})", Exit.RUN) from None


# Writing


def pack_checkpoint(
    network: Network,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    *,
    initial: Mapping[str, Tensor],
) -> Packed:
    """The state of a training as bytes: tensors are laid out once, and hashed once.

    `state` has the `step`, and whatever else resuming needs, as plain data. Raises NetbuildError
    for a state that must not be kept: exit 8 where a weight is not finite, exit 70 where a
    constraint does not hold, frozen weights against `initial`.
    """
    refuse_not_finite(network, Exit.DIVERGED, f"after step {int(state['step']) - 1}")
    refuse_violations(network.verify(initial), Exit.BUG)
    step = int(state["step"])
    about = {"format": FORMAT, "step": step}
    tensors, groups = optimizer_tensors(network, optimizer)
    refuse_infinite_state(tensors, Exit.DIVERGED, f"after step {step - 1}")
    files = {NETWORK: pack(network_tensors(network), about), OPTIMIZER: pack(tensors, about)}
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


def refuse_infinite_state(tensors: Mapping[str, Tensor], exit_code: Exit, when: str) -> None:
    """Raise NetbuildError if the state of an optimizer holds NaN or Inf.

    The square of a gradient that is finite may be Inf; its weight then stays where it is for ever.
    """
    for name, values in tensors.items():
        if not are_finite([values]):
            raise NetbuildError(f"the optimizer's `{name}` holds NaN or Inf {when}", exit_code)


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

    A file that goes on after its last tensor is refused before it is read (exit 9).
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
        _refuse_misfit(name, tensor, expected[name].shape, expected[name].dtype, where)
    own = network.state_dict()
    for name, _ in network.named_buffers():
        if name in expected and not torch.equal(tensors[name], expected[name]):
            raise NetbuildError(f"{where}: `{name}` is not the mask of the spec", Exit.RUN)
    network.load_state_dict({name: tensors.get(name, value) for name, value in own.items()})


def _without_regularizers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if not name.startswith("regularizers.")}


def _refuse_misfit(
    name: str, tensor: Tensor, shape: torch.Size, dtype: torch.dtype, where: str
) -> None:
    if tensor.shape != shape:
        what = f"`{name}` is {tuple(tensor.shape)}, expected {tuple(shape)}"
        raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)
    if tensor.dtype != dtype:
        what = f"`{name}` is {tensor.dtype}, expected {dtype}"
        raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)


# The optimizer


def optimizer_tensors(
    network: Network, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state by parameter name: its tensors, and its groups as plain data."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    tensors: dict[str, Tensor] = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{names[id(parameter)]}.{key}"] = value.detach().cpu().contiguous()
    groups = [
        {key: value for key, value in group.items() if isinstance(value, (int, float, bool, str))}
        | {"params": [names[id(parameter)] for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]
    return tensors, {"type": type(optimizer).__name__, "groups": groups}


def load_optimizer(
    network: Network,
    optimizer: torch.optim.Optimizer,
    data: bytes,
    about: Mapping[str, Any],
    where: str,
) -> None:
    """Put a saved state into an optimizer of the same kind, over the same parameters.

    `about` is the `optimizer` of the checkpoint's state. A parameter has the whole state that this
    optimizer keeps of one, or none: then it has never had a gradient. Raises NetbuildError.
    """
    parameters = dict(network.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    own = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    try:
        kind, saved = about["type"], [list(group["params"]) for group in about["groups"]]
    except (KeyError, TypeError):
        raise NetbuildError(f"{where} does not tell whose state it is", Exit.RUN) from None
    if kind != type(optimizer).__name__:
        what = f"{where} is the state of {kind}, the spec has {type(optimizer).__name__}"
        raise NetbuildError(what, Exit.RUN)
    if saved != own:
        raise NetbuildError(f"{where} is the state of other parameters", Exit.RUN)
    tensors = unpack(data, where)
    refuse_infinite_state(tensors, Exit.RUN, f"in {where}")
    for group in optimizer.param_groups:
        keys = state_keys(kind, group)
        for parameter in group["params"]:
            name = names[id(parameter)]
            found = {key: tensors.pop(f"{name}.{key}", None) for key in keys}
            if all(value is None for value in found.values()):
                optimizer.state.pop(parameter, None)
                continue
            for key, value in found.items():
                if value is None:
                    what = f"{where} does not fit the spec: no `{name}.{key}`"
                    raise NetbuildError(what, Exit.RUN)
                shape = torch.Size() if key == "step" else parameter.shape
                dtype = torch.float32 if key == "step" else parameter.dtype
                _refuse_misfit(f"{name}.{key}", value, shape, dtype, where)
            optimizer.state[parameter] = {
                key: value.to(_place(group, parameter, key))
                for key, value in found.items()
                if value is not None
            }
    if tensors:
        raise NetbuildError(f"{where} does not fit the spec: see `{sorted(tensors)[0]}`", Exit.RUN)


def state_keys(kind: str, group: Mapping[str, Any]) -> tuple[str, ...]:
    """What torch's optimizer of that name keeps of each parameter of a group, as tensors."""
    momentum = ("momentum_buffer",) if group.get("momentum") else ()
    if kind == "SGD":
        return momentum
    if kind == "RMSprop":
        return ("step", "square_avg", *momentum)
    if kind == "Adagrad":
        return ("step", "sum")
    more = ("max_exp_avg_sq",) if group.get("amsgrad") else ()
    return ("step", "exp_avg", "exp_avg_sq", *more)


def _place(group: Mapping[str, Any], parameter: Tensor, key: str) -> torch.device:
    """Where torch keeps a state: a fused optimizer counts its steps beside the parameter."""
    if key == "step" and not group.get("fused"):
        return torch.device("cpu")
    return parameter.device
