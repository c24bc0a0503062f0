"""What the checks find out about a spec: the sizes and arrays that a network is built from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from netbuild.language.context import Here
from netbuild.language.units import Units
from netbuild.splits import SampleSplit, Selection
from netbuild.streams import seed_of
from netbuild.wiring import Connections, PerConnection

if TYPE_CHECKING:
    from netbuild.environments.recipe import Recipe

Matrix = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]
MOST_CHANNELS = 10**6


@dataclass(frozen=True)
class Site:
    """One map, before its arrays are known: its place in the spec and the units that it connects.

    `name` is its path in the network, `hidden.recurrent`, and that of its random streams.
    """

    here: Here
    name: str
    section: Any  # its keys, a `Map`
    reads: Units
    gives: Units

    @property
    def input_dim(self) -> int:
        """The number of presynaptic units."""
        return self.reads.size

    @property
    def output_dim(self) -> int:
        """The number of postsynaptic units."""
        return self.gives.size

    @property
    def pairs(self) -> int:
        """How many connections are possible."""
        return self.reads.size * self.gives.size

    @property
    def is_recurrent(self) -> bool:
        """Whether it connects a layer with itself."""
        return self.reads.layer == self.gives.layer


@dataclass(frozen=True)
class MapPlan(Site):
    """A map with its arrays. Those of single connections lie as its weight does (`Connections`)."""

    connections: Connections
    signs: Matrix | None = None  # (input_dim,), or (output_dim, input_dim)
    plasticity: Matrix | None = None
    weight: Matrix | None = None  # from a file or from the spec
    bias: Matrix | None = None  # (output_dim,)
    blocks: tuple[MapPlan, ...] = ()  # the projections that the weight consists of
    where: tuple[Matrix, ...] = ()  # of a projection: its place in the matrix of the whole map
    weight_learns: bool = True
    groups: Matrix | None = None  # the pair of types of each connection, which learns one factor
    group_names: tuple[str, ...] = ()
    draws: int = 1  # how often the weights may be drawn, until their spectral radius is not 0

    @property
    def learns(self) -> bool:
        """Whether any of its parameters does."""
        bias = self.section.bias
        return self.weight_learns or self.groups is not None or bool(bias and bias.learn)

    def parameters(self) -> Shapes:
        """The shape of each parameter by its path; a weight counts as the matrix that it means."""
        shapes: Shapes = {f"{self.name}.weight": (self.output_dim, self.input_dim)}
        if self.section.bias is not None:
            shapes[f"{self.name}.bias"] = (self.output_dim,)
        if self.groups is not None:
            shapes[f"{self.name}.scale"] = (len(self.group_names),)
        return shapes

    def signs_there(self) -> Matrix | None:
        """The signs in the weight's layout."""
        return None if self.signs is None else self.connections.of(self.signs)

    def arguments(self, draw: int = 0) -> dict[str, Any]:
        """The arguments of `LinearLayer`, without its sizes; `draw` counts how often it was drawn.

        What no check turns into an array goes to the layer as it is written, so that a key which
        the layer does not know is an error when the network is built.
        """
        section, kept = self.section, self.connections
        weight = _initial(section.weight, _marked(self.weight))
        seed = self.here.context.parsed.seed if section.seed is None else section.seed
        as_written: dict[str, Any] = section.model_dump(exclude=section.checked)
        return as_written | {
            "weight": weight | {"learn": self.weight_learns},
            "bias": None if section.bias is None else _initial(section.bias, self.bias),
            "ei_mask": _transposed(self.signs),
            "sparsity_mask": kept.wiring if kept.is_sparse else _transposed(kept.matrix),
            "plasticity_mask": _marked(_transposed(self.plasticity)),
            "scale_groups": _marked(_transposed(self.groups)),
            "storage": "sparse" if kept.is_sparse else "dense",
            "seed": seed_of(seed, "init", self.name, *(("again", draw) if draw else ())),
        }


def _initial(source: Any, values: Any) -> dict[str, Any]:
    """An init with the arguments that were given, or values from a file or the spec."""
    if values is None:
        return dict(source.model_dump(exclude_none=True))
    return {"value": values, "learn": source.learn}


def _transposed(matrix: Matrix | None) -> Matrix | None:
    """(input_dim, output_dim), as a layer takes its masks; a vector stays as it is."""
    return None if matrix is None else matrix.T


def _marked(values: Matrix | None) -> Any:
    """Values of single weights, marked where they are (connection,)."""
    return PerConnection(values) if values is not None and values.ndim == 1 else values


@dataclass(frozen=True)
class LayerPlan:
    """One layer: the units that it reads, those that it gives, and its maps.

    The map of a linear layer is called "", those of a recurrent one `input` and `recurrent`.
    """

    name: str
    reads: Units
    gives: Units
    maps: Mapping[str, MapPlan] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the layer's class, without maps
    own: Shapes = field(default_factory=dict)  # of what learns beside the maps, by its name here
    report: Mapping[str, Any] | None = None  # what was done with the rows of its connectome

    @property
    def learns(self) -> bool:
        """Whether any parameter of the layer does."""
        return bool(self.own) or any(each.learns for each in self.maps.values())

    def parameters(self) -> Shapes:
        """The shape of each parameter, as torch has it, by its path in the network."""
        shapes: Shapes = {}
        for each in self.maps.values():
            shapes |= each.parameters()
        return shapes | {f"{self.name}.{key}": shape for key, shape in self.own.items()}


def maps_of(plans: Mapping[Any, LayerPlan]) -> Iterator[MapPlan]:
    """The maps of all layers, in the network's order."""
    for plan in plans.values():
        yield from plan.maps.values()


@dataclass(frozen=True, eq=False)
class Among:
    """Entries of one weight, as positions in its memory, and of how many pairs of units."""

    index: Matrix  # (entry,): of the flattened parameter
    pairs: int


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


@dataclass(frozen=True)
class NeurogymPlan(TaskInputs):
    """How wide a task of environments is, and where its trials come from.

    A run writes the widths down, so that its network can be built again without neurogym; then
    there are no recipes.
    """

    outputs: int
    classes: bool  # the answers are actions; else values
    recipe: Recipe | None = None
    evaluation: Recipe | None = None  # always of whole trials

    def to_data(self) -> dict[str, Any]:
        """The widths as plain JSON data."""
        names = ("inputs", "outputs", "classes", "channels")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> NeurogymPlan:
        """The inverse of `to_data`; raises KeyError, TypeError or ValueError for other data."""
        inputs, outputs = data["inputs"], data["outputs"]
        if not all(type(n) is int and 0 < n <= MOST_CHANNELS for n in (inputs, outputs)):
            raise ValueError("widths are whole numbers above 0")
        channels = {
            str(name): tuple(int(unit) for unit in units)
            for name, units in data["channels"].items()
        }
        if not all(0 <= unit < inputs for units in channels.values() for unit in units):
            raise ValueError("a channel is no input")
        return cls(inputs, channels, outputs, bool(data["classes"]))


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

    @property
    def selects_on(self) -> Selection:
        """The trials that a choice during the training is made on."""
        return "validation" if self.split is None else self.split.selects_on
