"""Learning rates as a pure function of the step, so that a resumed run needs nothing but it."""

from __future__ import annotations

import math

from netbuild.language.training import Cosine, StepDecay, Training


def factor(training: Training, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at a step, counted from 0, of `steps`.

    Infinity where a growing schedule leaves the range of numbers.
    """
    schedule = training.optimizer.schedule
    if schedule is None:
        return 1.0
    if isinstance(schedule, Cosine):
        if step < schedule.warmup:
            return (step + 1) / schedule.warmup
        progress = (step - schedule.warmup) / max(steps - schedule.warmup, 1)
        wave = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return schedule.min_factor + (1 - schedule.min_factor) * wave
    count = step // schedule.every if isinstance(schedule, StepDecay) else step
    try:
        return float(schedule.factor**count)
    except OverflowError:
        return math.inf
