"""Trials of subjects whose psychometric curve is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Trials = dict[str, Any]


def normal(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


def simulated(bias: float, slope: float, *, seed: int, count: int = 400) -> Trials:
    """Trials of a subject whose psychometric curve is known."""
    rng = np.random.default_rng(seed)
    coh = rng.choice([0.0, 3.2, 6.4, 12.8, 25.6], size=count)
    truth = rng.integers(0, 2, size=count)
    signed = np.where(truth == 1, coh, -coh)
    second = rng.random(count) < [normal(slope * (x - bias)) for x in signed]
    choice = second + 1
    correct = (choice == truth + 1).astype(float)
    return {
        "coh": coh,
        "ground_truth": truth,
        "answer": truth + 1,
        "choice": choice,
        "correct": correct,
    }
