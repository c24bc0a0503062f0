"""What a task draws its trials from, as plain data, which can be sent to another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Environment:
    """One registered environment, with its arguments."""

    env: str  # as neurogym registers it
    name: str = ""  # in tables; `env` where it is left out
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # of its constructor, without `dt`
    trials: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # a trial takes one of each
    weight: float = 1.0  # how often, against the others

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.name or self.env


@dataclass(frozen=True)
class Levels:
    """Targets for regression: `high` for the right answer's output, `low` for all others.

    Without `fixation` the answer 0, which is to do nothing, has no output: every output
    is then low while it is right.
    """

    low: float = 0.0
    high: float = 1.0
    fixation: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that trials follow from, beside the random numbers."""

    environments: tuple[Environment, ...]
    dt: float  # ms
    rule_input: bool = False  # one input more for each environment: 1 in its trials
    window: int | None = None  # steps of a window; None: whole trials
    levels: Levels | None = None
    period_weights: Mapping[str, float] | None = None  # in the loss; None: every step counts 1
