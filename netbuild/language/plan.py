"""What the checks find out about a spec: the sizes and arrays that a network is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from netbuild.language.maps import Map
from netbuild.language.population import Population
from netbuild.splits import SampleSplit
from netbuild.wiring import Wiring

if TYPE_CHECKING:  # which takes a while to import, and few specs need
    from netbuild.language.among import Among

Matrix = NDArray[Any]


@dataclass(frozen=True)
class MapPlan:
    """A map's sizes and arrays. Masks are (input_dim, output_dim), weights as torch has them.

    One with `wiring` keeps values for its connections alone: there plasticity, weight and groups
    are (connection,), in the order of the wiring, and `connected` is None.
    """

    input_dim: int
    output_dim: int
    signs: Matrix | None = None  # (input_dim,) or (input_dim, output_dim)
    connected: Matrix | None = None
    plasticity: Matrix | None = None
    weight: Matrix | None = None  # (output_dim, input_dim), from a file or from the spec
    bias: Matrix | None = None  # (output_dim,)
    blocks: tuple[BlockPlan, ...] = ()  # of which the weight is made, where there are projections
    wiring: Wiring | None = None
    learns: bool | None = None  # whether the weight does, where its init does not say it
    groups: Matrix | None = None  # the pair of types of each connection, which learns one factor
    group_names: tuple[str, ...] = ()
    draws: int = 1  # how often the weights may be drawn, until their spectral radius is not 0


@dataclass(frozen=True)
class BlockPlan:
    """One projection: a map of its own between some of the units of a larger one."""

    name: str
    words: Map
    plan: MapPlan
    sources: Matrix  # (input,) positions among the units that the larger map reads
    targets: Matrix  # (output,) positions among those that it reaches


@dataclass(frozen=True)
class UnitsPlan:
    """What the units of a recurrent layer have beside their maps."""

    alpha: Matrix  # (), (group,) or (unit,), in (0, 1]
    learns_alpha: bool
    groups: Matrix | None = None  # (unit,): the group of each
    initial_state: Matrix | None = None  # () or (unit,); None is zero
    learns_initial_state: bool = False


@dataclass(frozen=True)
class LayerPlan:
    """One layer: what it reads, what it gives, and its maps.

    The map of a linear layer is called "", those of a recurrent one `input` and `recurrent`.
    """

    name: str
    reads: Population
    gives: Population
    maps: Mapping[str, MapPlan] = field(default_factory=dict)
    units: UnitsPlan | None = None
    report: Mapping[str, Any] | None = None  # what was done with the rows of its connectome

    @property
    def map(self) -> MapPlan | None:
        """The map of a linear layer."""
        return self.maps.get("")


@dataclass(frozen=True)
class RegularizerPlan:
    """One regularizer: its name in logs, its parameters, and their references if it has any."""

    name: str
    params: tuple[str, ...]
    references: tuple[Matrix, ...] | None = None  # each in the shape of what is read of it
    among: tuple[Among, ...] | None = None  # what is read of each parameter; None: all
    units: Mapping[str, Matrix] | None = None  # (unit,) of each layer; None: all


@dataclass(frozen=True)
class TaskInputs:
    """What a task gives the network: how many inputs, and which of them have a name."""

    inputs: int
    channels: Mapping[str, tuple[int, ...]]


@dataclass
class Plan:
    """Everything that building needs beside the spec itself."""

    layers: dict[str, LayerPlan] = field(default_factory=dict)
    regularizers: list[RegularizerPlan] = field(default_factory=list)
    task: TaskInputs | None = None  # as the kind of task has it
    start: dict[str, Matrix] = field(default_factory=dict)  # parameters that another run gives
    input_dim: int = 0  # of the network: all inputs of the task, whether a layer reads them or not
    trained_on: tuple[SampleSplit, ...] = ()  # what the weights in `start` were trained on

    @property
    def split(self) -> SampleSplit | None:
        """Of the task's samples, where it has a given number of them."""
        return getattr(self.task, "split", None)
