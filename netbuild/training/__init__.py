"""Training: steps and stages as a stream of records.

`Record` and `Trainer` are loaded when they are first used, since `progress` alone needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netbuild.training.loop import Record, Trainer

__all__ = ["Record", "Trainer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from netbuild.training import loop

    return getattr(loop, name)
