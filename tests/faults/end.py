"""What a run has come to, read without netbuild: the bits that must be equal, and what is amiss."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TENSORS = ("network.safetensors", "optimizer.safetensors")
# The run's name, and bytes that times are part of.
WITHOUT = ("run", "metrics", "metrics_sha256", "digest")
CLOCK = "steps_per_second"


def runs_in(out: Path) -> list[Path]:
    """The runs below a folder: those that have a `run.json`."""
    return sorted(path.parent for path in out.glob("*/*/run.json"))


def about(run: Path) -> dict[str, Any]:
    """What a run says of itself."""
    found: dict[str, Any] = json.loads((run / "run.json").read_bytes())
    return found


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name, which may have been set aside."""
    (step,) = re.findall(r"step-(\d+)", checkpoint.name)
    return int(step)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint's files are there with the digests that it tells."""
    try:
        state = json.loads((checkpoint / "state.json").read_bytes())
        return state["step"] == step_of(checkpoint) and all(
            hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == state["sha256"][name]
            for name in TENSORS
        )
    except (OSError, ValueError, KeyError):
        return False


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = [p for p in (run / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d+", p.name)]
    return sorted(found, key=step_of)


def logged(checkpoint: Path) -> int:
    """The bytes that the log had at a checkpoint."""
    return int(json.loads((checkpoint / "state.json").read_bytes())["metrics"])


def fits(run: Path, checkpoint: Path) -> bool:
    """Whether a whole checkpoint's log is the beginning of the run's."""
    try:
        state = json.loads((checkpoint / "state.json").read_bytes())
        begins = (run / "metrics.jsonl").read_bytes()[: state["metrics"]]
        return bool(hashlib.sha256(begins).hexdigest() == state["metrics_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def newest(run: Path) -> int:
    """The step of the newest checkpoint that is whole, and its log too; 0 if there is none."""
    found = [path for path in checkpoints(run) if is_whole(path) and fits(run, path)]
    return max(map(step_of, found), default=0)


def set_aside(run: Path) -> list[Path]:
    """The checkpoints that could not be used."""
    return sorted((run / "checkpoints").glob("corrupt-*"))


def logs(run: Path) -> list[Path]:
    """The log, and the copies that were kept of it before it was cut."""
    return [run / "metrics.jsonl", *sorted(run.glob("corrupt-metrics.jsonl-*"))]


def log(run: Path) -> list[dict[str, Any]]:
    """The lines of the log without what the clock says."""
    lines = (run / "metrics.jsonl").read_bytes().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != CLOCK} for line in lines]


def digest_of(run: Path) -> str:
    """SHA-256 over the last weights, the optimizer, the training's state, the log, the trials."""
    whole = hashlib.sha256()
    last = checkpoints(run)[-1]
    for name in TENSORS:
        whole.update((last / name).read_bytes())
    state = json.loads((last / "state.json").read_bytes())
    kept = {key: value for key, value in state.items() if key not in WITHOUT}
    whole.update(json.dumps([kept, log(run)], sort_keys=True).encode())
    whole.update((run / "evaluation" / "trials.parquet").read_bytes())
    return whole.hexdigest()


@dataclass(frozen=True)
class Reference:
    """What the run without a fault ended with."""

    digest: str
    last: int  # the steps of its last checkpoint and its best one
    best: int


def holds_nan(checkpoint: Path) -> bool:
    """Whether a tensor of a checkpoint, of float32 values, holds NaN or Inf."""
    for name in TENSORS:
        data = (checkpoint / name).read_bytes()
        size = int.from_bytes(data[:8], "little")
        tensors = json.loads(data[8 : 8 + size])
        for key, about in tensors.items():
            if key == "__metadata__" or about["dtype"] != "F32":
                continue
            first, last = (8 + size + each for each in about["data_offsets"])
            values = struct.unpack(f"<{(last - first) // 4}f", data[first:last])
            if not all(map(math.isfinite, values)):
                return True
    return False


def reference_of(run: Path) -> Reference:
    return Reference(digest_of(run), newest(run), about(run)["best"]["step"])


def amiss(run: Path, wanted: Reference, aside: int = 0) -> list[str]:
    """What is wrong with a run that has come to its end, in words; [] if nothing is.

    `aside` is how many damaged checkpoints should have been set aside.
    """
    found = []
    try:
        if about(run)["status"] != "finished":
            found.append(f"its status is {about(run)['status']}")
        if digest_of(run) != wanted.digest:
            found.append("other bits than without a fault")
    except (OSError, ValueError, KeyError, IndexError) as error:
        found.append(f"it cannot be read: {type(error).__name__}: {error}")
    whole = [step_of(path) for path in checkpoints(run) if is_whole(path)]
    needed = {wanted.last, wanted.best}
    if not needed <= set(whole) or len(whole) < 2:
        found.append(f"checkpoints {whole}; {sorted(needed)} and two are to be kept")
    if len(set_aside(run)) != aside:
        found.append(f"{len(set_aside(run))} checkpoints set aside, not {aside}")
    left = [str(path.relative_to(run)) for path in run.rglob("*.tmp")]
    if left:
        found.append(f"left over: {', '.join(left)}")
    return found
