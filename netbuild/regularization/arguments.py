"""Checks of the arguments of regularizers: numbers in their bounds, and known options."""

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
    """The hint `; did you mean 'alpha'?`, or nothing where no known word is similar."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse_unknown(options: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Raise a ValueError that names every option which `owner` does not know."""
    unknown = [option for option in options if option not in known]
    if unknown:
        named = ", ".join(f"{each!r}{did_you_mean(each, known)}" for each in unknown)
        raise ValueError(f"{owner} does not know {named} (it knows: {', '.join(known)})")
