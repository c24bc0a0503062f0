"""The arguments of regularizers: signatures, numbers within bounds, and known words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from inspect import Parameter, Signature
from numbers import Real
from typing import Any

from netbuild.wording import nearest

NEEDED = Parameter.empty
DRAW_OPTIONS = ("inh_ratio", "rho", "inh_first", "seed")  # of `draw_dale_reference`
BOUNDS = {
    "Lambda": (0.0, math.inf),
    "alpha": (0.0, 1.0),
    "exc_target_ratio": (0.0, 1.0),
    "inh_target_ratio": (0.0, 1.0),
}
WORDS = {
    "norm": ("entrywise", "matrix"),
    "reduction": ("sum", "mean"),
    "of": ("sample", "unit_mean"),
}


def arguments(draws: bool = False, **defaults: Any) -> Signature:
    """The signature of a constructor: its arguments in order, with their defaults (or NEEDED).

    With `draws` it also takes `draw_options`: any of DRAW_OPTIONS, by keyword.
    """
    by_position = Parameter.POSITIONAL_OR_KEYWORD
    found = [Parameter(name, by_position, default=value) for name, value in defaults.items()]
    options = [Parameter("draw_options", Parameter.VAR_KEYWORD)] if draws else []
    return Signature([*found, *options])


def checked(name: str, value: Any) -> Any:
    """The value of the argument called `name`, if it is within its BOUNDS and one of its WORDS."""
    if name in BOUNDS:
        return bounded(name, value, *BOUNDS[name])
    if name in WORDS and value not in WORDS[name]:
        hint = did_you_mean(str(value), WORDS[name])
        raise ValueError(f"{name} must be one of {', '.join(WORDS[name])}, not {value!r}{hint}")
    return value


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
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def refuse_unknown(options: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Raise a ValueError that names every option which `owner` does not know."""
    unknown = [option for option in options if option not in known]
    if unknown:
        named = ", ".join(f"{each!r}{did_you_mean(each, known)}" for each in unknown)
        raise ValueError(f"{owner} does not know {named} (it knows: {', '.join(known)})")
