"""Checks of what a regularization is given: numbers in their bounds, words that it knows."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Real


def bounded(name: str, value: float, low: float = 0.0, high: float = 1.0) -> float:
    """`value` as a float in [low, high]; `high=math.inf` means any finite number from `low` on."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        wanted = f"be finite and >= {low:g}" if high == math.inf else f"lie in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must {wanted}, not {number:g}")
    return number


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint `; did you mean 'alpha'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse_unknown(words: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Raise a ValueError that names every word which `owner` does not know."""
    unknown = [word for word in words if word not in known]
    if unknown:
        named = ", ".join(f"{word!r}{did_you_mean(word, known)}" for word in unknown)
        raise ValueError(f"{owner} does not know {named} (it knows: {', '.join(known)})")
