"""alternate: the median time of several functions, measured in turns on one machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

TURN_SECONDS = 0.03  # a turn repeats a quick function for about so long


def alternate(functions: Mapping[str, Callable[[], object]], pairs: int = 9) -> dict[str, float]:
    """The median seconds per call of each function, over `pairs` rounds in which each has a turn.

    In turns, a busy neighbour or a slower clock hits all of them; medians, of the calls of a turn
    and of the turns, forget single hits. A turn's first call, which pays for the memory and the
    caches that the others took over, is not counted, nor is the warm-up.
    """
    calls = {name: _calls_in_a_turn(function) for name, function in functions.items()}
    turns: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(pairs):
        for name, function in functions.items():
            turns[name].append(_turn(function, calls[name]))
    return {name: median(seconds) for name, seconds in turns.items()}


def _calls_in_a_turn(function: Callable[[], object]) -> int:
    return max(1, math.ceil(TURN_SECONDS / _turn(function, 3)))


def _turn(function: Callable[[], object], calls: int) -> float:
    function()
    return median(_seconds(function) for _ in range(calls))


def _seconds(function: Callable[[], object]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start
