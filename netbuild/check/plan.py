"""What the checks find out about a spec: the sizes and arrays that a network is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]


@dataclass(frozen=True)
class Population:
    """The units that a map reads: where they are, how many, and how many are excitatory.

    The excitatory units come first, the rest is inhibitory; None is a population without signs.
    """

    layer: str  # "input", or a layer's name
    size: int
    units: tuple[int, int] | None = None  # [start, stop) of the layer's units; None is all
    excitatory: int | None = None

    @property
    def signs(self) -> NDArray[np.int8] | None:
        """(unit,): 1 excitatory, -1 inhibitory; drawn up when asked for, since it may be large."""
        if self.excitatory is None:
            return None
        signs = np.full(self.size, -1, dtype=np.int8)
        signs[: self.excitatory] = 1
        return signs


@dataclass(frozen=True)
class MapPlan:
    """A map's sizes and arrays. Masks are (input_dim, output_dim), weights as torch has them."""

    input_dim: int
    output_dim: int
    signs: Matrix | None = None  # (input_dim,) or (input_dim, output_dim)
    connected: Matrix | None = None
    plasticity: Matrix | None = None
    weight: Matrix | None = None  # (output_dim, input_dim), from a file or from the spec
    bias: Matrix | None = None  # (output_dim,)


@dataclass(frozen=True)
class LayerPlan:
    """One layer: what it reads, what it gives, and its map if it has one."""

    name: str
    reads: Population
    gives: Population
    map: MapPlan | None = None


@dataclass(frozen=True)
class RegularizerPlan:
    """One regularizer: its name in logs, its parameters, and their references if it has any."""

    name: str
    params: tuple[str, ...]
    references: tuple[Matrix, ...] | None = None  # each in its parameter's own shape


@dataclass(frozen=True)
class TaskPlan:
    """A task's data: inputs (sample, input), scaled, and targets."""

    inputs: Matrix
    targets: Matrix


@dataclass
class Plan:
    """Everything that building needs beside the spec itself."""

    layers: dict[str, LayerPlan] = field(default_factory=dict)
    regularizers: list[RegularizerPlan] = field(default_factory=list)
    task: TaskPlan | None = None
