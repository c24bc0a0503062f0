"""Populations: the units of a layer, or some of them, with their areas and signs.

They are kept as runs of units that are alike, so that a layer may declare more units than any
machine holds and be refused for it before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netbuild.splits import round_half_up


@dataclass(frozen=True)
class Run:
    """Units [start, stop) of a layer that have the same area and the same sign."""

    start: int
    stop: int
    sign: int | None = None  # 1 excitatory, -1 inhibitory, None: it has none
    area: str = ""  # "" where the layer has no areas

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Population:
    """Units of one layer, in order; `layer` is its name, or "input"."""

    layer: str
    runs: tuple[Run, ...]
    whole: bool = True  # all units of the layer

    @property
    def size(self) -> int:
        """How many units."""
        return sum(run.stop - run.start for run in self.runs)

    @property
    def signed(self) -> bool:
        """Whether any of them has a sign."""
        return any(run.sign is not None for run in self.runs)

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,): 1 excitatory, -1 inhibitory, 0 neither; None where no unit has a sign."""
        if not self.signed:
            return None
        each = np.array([run.sign or 0 for run in self.runs], dtype=np.int8)
        return np.repeat(each, [len(run) for run in self.runs])

    @property
    def areas(self) -> tuple[str, ...]:
        """The names of the areas, in order."""
        return tuple(dict.fromkeys(run.area for run in self.runs if run.area))

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The units as few [start, stop) of the layer, in order."""
        spans: list[tuple[int, int]] = []
        for run in self.runs:
            if spans and spans[-1][1] == run.start:
                spans[-1] = (spans[-1][0], run.stop)
            else:
                spans.append((run.start, run.stop))
        return tuple(spans)

    @property
    def indices(self) -> NDArray[np.intp]:
        """(unit,): the position of each unit in its layer."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.spans])

    def part(self, *, area: str | None = None, sign: int | None = None) -> Population:
        """The units of one area, of one sign, or both; it may be none."""
        runs = tuple(
            run
            for run in self.runs
            if (area is None or run.area == area) and (sign is None or run.sign == sign)
        )
        return Population(self.layer, runs, whole=False)

    def passed_on(self, layer: str) -> Population:
        """The same units as those of a layer that passes them on, counted from 0."""
        return Population(layer, tuple(_from_zero(self.runs)))


def area_meant(text: str, areas: Iterable[str]) -> str:
    """A hint for `hidden.V1`, where an area is named by itself: `V1`, `V1.excitatory`."""
    rest = text.partition(".")[2]
    known = rest.partition(".")[0] in areas
    return f"an area is named alone: write `{rest}`" if known else ""


def _from_zero(runs: Iterable[Run]) -> Iterator[Run]:
    start = 0
    for run in runs:
        yield replace(run, start=start, stop=start + len(run))
        start += len(run)


def units(layer: str, parts: Iterable[tuple[str, int, float | None]]) -> Population:
    """A layer's population from (area, size, excitatory fraction) of each of its areas.

    The first round-half-up(excitatory x size) units of each are excitatory, the rest inhibitory.
    """
    runs: list[Run] = []
    start = 0
    for area, size, fraction in parts:
        stop = start + size
        if fraction is None:
            runs.append(Run(start, stop, None, area))
        else:
            middle = start + round_half_up(fraction, size)
            runs += [Run(start, middle, 1, area), Run(middle, stop, -1, area)]
        start = stop
    return Population(layer, tuple(run for run in runs if len(run)))
