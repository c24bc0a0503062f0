"""What each unit is called and what it is: its name, area and sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.check.named import Named
from netbuild.check.plan import LayerPlan
from netbuild.check.population import Population


class Units(NamedTuple):
    """The units of a layer, or those of them that a map reads, in order; arrays (unit,)."""

    name: NDArray[np.str_]  # "V1_3", the fourth unit of the area V1; "hidden_17" without areas
    area: NDArray[np.str_]  # "" without areas
    sign: NDArray[np.int8]  # 1 excitatory, -1 inhibitory, 0 neither

    def at(self, order: NDArray[Any]) -> Units:
        """Some of the units, in another order."""
        return Units(self.name[order], self.area[order], self.sign[order])


def _named(population: Named) -> Units:
    """Units as their node table names them."""
    count = population.size
    area, signs = population.area, population.signs
    return Units(
        population.names.astype(np.str_),
        np.zeros(count, "U1") if area is None else area.astype(np.str_),
        np.zeros(count, np.int8) if signs is None else signs,
    )


def units_of(population: Population, plans: Mapping[str, LayerPlan]) -> Units:
    """The units of a population; `plans` are all the layers'.

    A unit has the same name wherever it is read: it is numbered in its own area of its own layer.
    """
    if isinstance(population, Named):
        return _named(population)
    layer = plans[population.layer].gives if population.layer in plans else population
    first: dict[str, int] = {}
    for run in layer.runs:
        first[run.area] = min(first.get(run.area, run.start), run.start)
    names = [
        f"{run.area or population.layer}_{i - first[run.area]}"
        for run in population.runs
        for i in range(run.start, run.stop)
    ]
    lengths = [len(run) for run in population.runs]
    areas = np.repeat(np.array([run.area for run in population.runs], dtype=np.str_), lengths)
    signs = population.signs
    none = np.zeros(population.size, np.int8)
    return Units(np.array(names, dtype=np.str_), areas, none if signs is None else signs)
