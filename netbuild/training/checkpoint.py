"""Checkpoints: safetensors and JSON in a folder of their own, with digests, never pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Check, Network
from netbuild.training.files import canonical_json, digest, write_folder

FORMAT = 1
FILES = ("network.safetensors", "optimizer.safetensors")
_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: where it is, and what its `state.json` says."""

    path: Path
    step: int
    state: dict[str, Any]


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


def save_checkpoint(
    folder: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    *,
    initial: Mapping[str, Tensor],
    keep: int,
) -> Checkpoint:
    """Write `step-<step>` into `folder` at once, then remove all but the newest `keep`.

    The constraints are verified first, frozen weights against `initial`; raises NetbuildError if
    one does not hold.
    """
    refuse_violations(network.verify(initial), Exit.BUG)
    step = int(state["step"])
    optimizer_state, groups = optimizer_tensors(network, optimizer)
    files = {
        "network.safetensors": pack(network_tensors(network), {"format": FORMAT, "step": step}),
        "optimizer.safetensors": pack(optimizer_state, {"format": FORMAT, "step": step}),
    }
    about = dict(state) | {
        "format": FORMAT,
        "optimizer": groups,
        "sha256": {name: digest(data) for name, data in files.items()},
    }
    files["state.json"] = (json.dumps(about, indent=1) + "\n").encode()
    path = folder / f"step-{step:08d}"
    write_folder(path, files)
    for old in checkpoints(folder)[:-keep]:
        for item in old.iterdir():
            item.unlink()
        old.rmdir()
    return Checkpoint(path, step, about)


def refuse_violations(checks: list[Check], exit_code: Exit) -> None:
    """Raise NetbuildError if a constraint does not hold: on writing, that is a bug of ours."""
    for check in checks:
        if check.violations:
            what = f"{check.violations} of {check.weights} weights of {check.layer} violate"
            raise NetbuildError(f"{what} the constraint {check.constraint}", exit_code)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by step, the newest last."""
    found = [path for path in folder.glob("step-*") if _FOLDER.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def open_checkpoint(path: Path) -> tuple[Checkpoint, dict[str, bytes]]:
    """A checkpoint and the bytes of its files, their digests verified; raises NetbuildError."""
    try:
        state = json.loads((path / "state.json").read_bytes())
        files = {name: (path / name).read_bytes() for name in FILES}
        digests = {name: state["sha256"][name] for name in FILES}
        step = int(state["step"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = type(error).__name__
        raise NetbuildError(f"{path} is not a whole checkpoint ({reason})", Exit.RUN) from None
    for name, data in files.items():
        if digest(data) != digests[name]:
            raise NetbuildError(f"{path / name} does not have the digest written down", Exit.RUN)
    return Checkpoint(path, step, state), files


def unpack(data: bytes, where: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; raises NetbuildError."""
    try:
        return dict(load_tensors(data))
    except Exception as error:  # whatever the parser makes of damaged bytes
        reason = type(error).__name__
        raise NetbuildError(f"{where} is not a safetensors file ({reason})", Exit.RUN) from None


def load_network(network: Network, data: bytes, where: str) -> None:
    """Put saved weights into a network of the same spec.

    The set of names and every shape must be the network's own. Raises NetbuildError.
    """
    tensors = unpack(data, where)
    expected = network_tensors(network)
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())[0]
        raise NetbuildError(f"{where} does not fit the spec: see `{odd}`", Exit.RUN)
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            what = f"`{name}` is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
            raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)
    own = network.state_dict()
    for name, _ in network.named_buffers():
        if name in own and not torch.equal(tensors[name], expected[name]):
            raise NetbuildError(f"{where}: `{name}` is not the mask of the spec", Exit.RUN)
    network.load_state_dict({name: tensors[name] for name in own})
