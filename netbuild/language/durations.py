"""How long a period lasts, as neurogym takes it: a number, a choice, or a distribution."""

from __future__ import annotations

import math
from typing import Any

MOST_STEPS = 1e6  # of one period
MOST_VALUES = 1000  # to choose from
# The distributions of a period's duration in neurogym, and how many numbers each takes.
DISTRIBUTIONS = {
    "uniform": (2, 2),
    "choice": (1, MOST_VALUES),
    "truncated_exponential": (1, 3),
    "constant": (1, 1),
    "until": (1, 1),
}
LEAST_LIKELY = 1e-3  # of a truncated exponential, which is drawn again until it fits


def wrong_duration(duration: object, dt: float) -> str:
    """What is wrong with a period's duration, or ""."""
    kind, numbers = _distribution(duration)
    if kind not in DISTRIBUTIONS:
        return f"a duration is not known as `{kind}`; it is {', '.join(DISTRIBUTIONS)}"
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        return "a duration is made of numbers"
    if kind in ("constant", "until") and isinstance(duration, list) and duration[1] == numbers:
        return f"`{kind}` takes one number, not a list"
    if isinstance(duration, list) and len(duration) > 2 and duration[0] == kind:
        return f"the numbers of `{kind}` are a list of their own: [{kind}, [200, 400]]"
    least, most = DISTRIBUTIONS[kind]
    if not least <= len(numbers) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most:g}"
        return f"`{kind}` takes {wanted} numbers, not {len(numbers)}"
    if any(n < 0 for n in numbers):
        return "a duration is not negative"
    if any(n / dt > MOST_STEPS for n in numbers):
        return f"a period has at most {MOST_STEPS:,.0f} steps (of {dt:g} ms)"
    if kind in ("choice", "constant") and any(0 < n < dt for n in numbers):
        short = min(n for n in numbers if n > 0)
        return f"{short:g} ms are shorter than a time step ({dt:g} ms): the period would be empty"
    if kind == "truncated_exponential" and _likely(*numbers) < LEAST_LIKELY:
        return "a truncated exponential would hardly ever fall between these bounds"
    return ""


def _distribution(duration: object) -> tuple[str, list[Any]]:
    """The kind of a duration, and its numbers."""
    if not isinstance(duration, list):
        return "constant", [duration]
    if not duration or not isinstance(duration[0], str):
        return "choice", duration
    numbers = duration[1] if len(duration) == 2 else []
    return duration[0], numbers if isinstance(numbers, list) else [numbers]


def _likely(mean: float, low: float = 0, high: float = math.inf) -> float:
    if low >= high:
        return 1.0  # neurogym then takes the upper bound
    return math.exp(-low / mean) - math.exp(-high / mean) if mean > 0 else 0.0
