"""A process that prepares batches: asked for steps on its input, it answers on its output.

It reads lines of JSON: what to draw from, then one request a line; it ends when its input does,
as it does when its parent ends in any way. Each answer is a frame: its length in 8 bytes, then a
line of JSON, which says what arrays follow, and their bytes.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from netbuild.environments.drawn import Drawn
from netbuild.environments.recipe import Recipe
from netbuild.environments.registry import creators
from netbuild.environments.trials import draw_trials
from netbuild.environments.windows import WindowSource
from netbuild.streams import rng_of

Array = NDArray[Any]

LENGTH = 8  # bytes of a frame's length


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever an environment prints must not come between the answers
    try:
        begin = json.loads(sys.stdin.buffer.readline())
        recipe, seed = Recipe.from_data(begin["recipe"]), int(begin["seed"])
        windows = None if recipe.window is None else WindowSource(recipe, seed)
        creators()
        write(answers, {"ready": True}, None)
        for line in sys.stdin.buffer:
            request = json.loads(line)
            step, size = int(request["step"]), int(request["size"])
            try:
                if windows is not None:
                    drawn = windows.batch(step, size)
                else:
                    drawn = draw_trials(recipe, size, rng_of(seed, "train", step))
            except Exception as error:
                told = {"step": step, "size": size, "error": str(error)}
                write(answers, told | {"traceback": traceback.format_exc()}, None)
            else:
                write(answers, {"step": step, "size": size}, drawn)
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # nobody reads the answers any more
    os._exit(0)  # without a complaint about the pipe


def write(stream: BinaryIO, head: dict[str, Any], drawn: Drawn | None) -> None:
    """Write one answer."""
    arrays: list[Array] = []
    if drawn is not None:
        given = {"inputs": drawn.inputs, "targets": drawn.targets, "loss_mask": drawn.loss_mask}
        named = [(name, array) for name, array in given.items() if array is not None]
        named += [(f"trials/{name}", array) for name, array in (drawn.trials or {}).items()]
        arrays = [np.ascontiguousarray(array) for _, array in named]
        forms = [(name, a.dtype.str, a.shape) for (name, _), a in zip(named, arrays, strict=True)]
        head = head | {"arrays": forms, "trials": drawn.trials is not None}
    content = b"".join([json.dumps(head).encode(), b"\n", *(array.tobytes() for array in arrays)])
    stream.write(len(content).to_bytes(LENGTH, "big") + content)
    stream.flush()


def read(stream: BinaryIO) -> bytearray:
    """The content of the next frame; raises EOFError where the stream has ended, or ends in it."""
    return _exactly(stream, int.from_bytes(_exactly(stream, LENGTH), "big"))


def _exactly(stream: BinaryIO, size: int) -> bytearray:
    content = bytearray(size)
    filled, view = 0, memoryview(content)
    while filled < size:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        filled += count
    return content


def parse(content: bytearray) -> tuple[dict[str, Any], Drawn | None]:
    """What an answer says, and what it brings."""
    at = content.index(b"\n") + 1
    head = json.loads(content[:at])
    if "arrays" not in head:
        return head, None
    found: dict[str, Array] = {}
    for name, form, shape in head["arrays"]:
        dtype, count = np.dtype(form), math.prod(shape)
        # Copied, since what follows a line of any length does not lie where numbers should.
        found[name] = np.frombuffer(content, dtype, count, at).reshape(shape).copy()
        at += count * dtype.itemsize
    trials = {
        name.removeprefix("trials/"): array
        for name, array in found.items()
        if name.startswith("trials/")
    }
    mask = found.get("loss_mask")
    return head, Drawn(found["inputs"], found["targets"], mask, trials if head["trials"] else None)
