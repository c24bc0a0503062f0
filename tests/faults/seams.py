"""The five places at which the battery reaches into netbuild; everything else is seen from outside.

Three stand in `netbuild.durable`: `write(descriptor, data)`, `fsync(descriptor)` and
`rename(folder, name, to)`. Two are methods of `netbuild.training.loop.Trainer`: `next_batch(step)`
and `take_step(logged=...)`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

SEAMS = ("write", "fsync", "rename", "batch", "step")


def wrap(seam: str, around: Callable[..., Any]) -> None:
    """Have `around(real, *arguments)` called in place of what stands at a seam."""
    from netbuild import durable
    from netbuild.training.loop import Trainer

    places: dict[str, tuple[Any, str]] = {
        "write": (durable, "write"),
        "fsync": (durable, "fsync"),
        "rename": (durable, "rename"),
        "batch": (Trainer, "next_batch"),
        "step": (Trainer, "take_step"),
    }
    owner, name = places[seam]
    real = getattr(owner, name)

    @wraps(real)
    def call(*arguments: Any, **options: Any) -> Any:
        return around(real, *arguments, **options)

    setattr(owner, name, call)


def path_of(descriptor: int) -> Path:
    """The path of an open file."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
