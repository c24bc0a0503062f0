"""What a task's environments give a network: the plan of its trials, and the widths alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from netbuild.environments import Recipe

MOST_CHANNELS = 10**6


@dataclass(frozen=True)
class EnvironmentPlan:
    """A task's trials, and the widths that they give a network."""

    recipe: Recipe
    evaluation: Recipe  # always of whole trials
    inputs: int
    outputs: int
    classes: bool  # the answers are actions; else values
    channels: Mapping[str, tuple[int, ...]]  # inputs by name, and each rule by its environment's

    @property
    def widths(self) -> TaskWidths:
        """What a run writes down of it."""
        return TaskWidths(self.inputs, self.outputs, self.classes, self.channels)


@dataclass(frozen=True)
class TaskWidths:
    """What a network needs of its environments, without neurogym: how wide they are."""

    inputs: int
    outputs: int
    classes: bool
    channels: Mapping[str, tuple[int, ...]]

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TaskWidths:
        """What `to_data` gave; raises KeyError, TypeError or ValueError for anything else."""
        inputs, outputs = data["inputs"], data["outputs"]
        if not all(type(n) is int and 0 < n <= MOST_CHANNELS for n in (inputs, outputs)):
            raise ValueError("widths are whole numbers above 0")
        channels = {
            str(name): tuple(int(unit) for unit in units)
            for name, units in data["channels"].items()
        }
        if not all(0 <= unit < inputs for units in channels.values() for unit in units):
            raise ValueError("a channel is no input")
        return cls(inputs, outputs, bool(data["classes"]), channels)
