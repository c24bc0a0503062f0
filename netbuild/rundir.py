"""The layout of a run directory, for all modules that read one; without torch.

    run.json                                  status, seed, versions, scores
    checkpoints/step-00000500/state.json      where the training stands, with a seal
    checkpoints/step-00000500/*.safetensors   the network and the optimizer

The seal of a `state.json` is its last key: the SHA-256 of the file without that key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

RUN, STATE = "run.json", "state.json"
NETWORK, OPTIMIZER = "network.safetensors", "optimizer.safetensors"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"  # the log
LATEST = "latest"  # names the newest run in a folder
FORMAT = 1  # of `state.json` and of files of weights
# Of `run.json`. From format 2 on, test trials that a task draws are not those of evaluations.
RUN_FORMAT = 2
RUN_FORMATS = (1, RUN_FORMAT)  # which can be read
LARGEST_JSON = 1 << 26  # bytes of either file


def other_format(version: object) -> str:
    """The end of a message about a file of another format; the message begins with its name."""
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
    """The steps that these entries of `checkpoints` are named after, in rising order."""
    return sorted(step for step in map(step_of, names) if step is not None)


def sealed(state: Mapping[str, Any]) -> bytes:
    """The bytes of a `state.json`: the state, sealed by the digest of its text."""
    digest = hashlib.sha256(_text(state)).hexdigest()
    return _text({**state, "digest": digest})


def unsealed(data: bytes) -> dict[str, Any]:
    """The state in the bytes of a `state.json`; raises ValueError where the seal is not right."""
    found = as_object(data)
    state = {key: value for key, value in found.items() if key != "digest"}
    try:
        is_whole = sealed(state) == data
    except RecursionError:
        is_whole = False  # JSON that is nested so deep cannot be written, so nobody sealed it
    if not is_whole:
        raise ValueError("the state does not match its recorded digest")
    return state


def as_object(data: bytes) -> dict[str, Any]:
    """The mapping that a file of JSON holds; raises ValueError for anything else."""
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("the JSON is not an object")
    return found


def _text(state: Mapping[str, Any]) -> bytes:
    return (json.dumps(state, indent=1) + "\n").encode()
