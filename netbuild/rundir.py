"""The layout of a run directory, for every part that reads one; without torch.

    run.json                                  status, seed, versions, scores
    checkpoints/step-00000500/state.json      where the training stands, with a seal
    checkpoints/step-00000500/*.safetensors   the network and the optimizer

A run directory may come from anybody, so its files are opened without following a link, and
no more than a fair number of bytes is read. A seal is the SHA-256 of the rest of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from netbuild.folders import TooLargeError, entered

RUN, STATE = "run.json", "state.json"
NETWORK, OPTIMIZER = "network.safetensors", "optimizer.safetensors"
CHECKPOINTS = "checkpoints"
LATEST = "latest"  # names the newest run in a folder
FORMAT = 1  # of both files of JSON
LARGEST_JSON = 1 << 26  # bytes


def other_format(version: object) -> str:
    """What to say of a file of another format, after its name."""
    age = "an older" if isinstance(version, int) and version < FORMAT else "a newer"
    return f"was written by {age} version of netbuild"


def checkpoint_name(step: int) -> str:
    """The name of a step's folder in `checkpoints`."""
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """The step that a folder in `checkpoints` is named after; None for any other name."""
    digits = name.removeprefix("step-")
    if not (digits.isascii() and digits.isdecimal()):
        return None
    return int(digits) if name == checkpoint_name(int(digits)) else None


def steps_in(names: Iterable[str]) -> list[int]:
    """The steps that these entries of `checkpoints` are named after, in order."""
    return sorted(step for step in map(step_of, names) if step is not None)


def sealed(state: Mapping[str, Any]) -> bytes:
    """The bytes of a `state.json`: the state, and the digest of its text."""
    digest = hashlib.sha256(_text(state)).hexdigest()
    return _text({**state, "digest": digest})


def unsealed(data: bytes) -> dict[str, Any]:
    """The state that `sealed` was given; raises ValueError for bytes that it has not made."""
    found = as_object(data)
    state = {key: value for key, value in found.items() if key != "digest"}
    try:
        is_whole = sealed(state) == data
    except RecursionError:
        is_whole = False  # nothing that is nested so deep was sealed
    if not is_whole:
        raise ValueError("the state does not have the digest written down")
    return state


def read_bytes(path: Path, within: Path | None = None, most: int = LARGEST_JSON) -> bytes:
    """The bytes of a regular file of a run; of its path, no link below `within` is followed.

    Raises OSError, ForeignEntryError for anything but a file, and TooLargeError.
    """
    with entered(path.parent, within) as folder:
        descriptor = folder.open(path.name)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        data = file.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise TooLargeError(path, max(size, len(data)), most)
    return data


def as_object(data: bytes) -> dict[str, Any]:
    """The mapping that a file of JSON holds; raises ValueError for anything else."""
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("the JSON is no mapping")
    return found


def _text(state: Mapping[str, Any]) -> bytes:
    return (json.dumps(state, indent=1) + "\n").encode()
