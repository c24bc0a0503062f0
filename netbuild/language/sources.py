"""Names, and who reads whom: the units that every layer reads and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netbuild.language.context import Context
from netbuild.language.layer import AnyLayer
from netbuild.language.plan import LayerPlan
from netbuild.language.reserved import REGULARIZER_NAMES, RESERVED
from netbuild.language.units import (
    INPUT,
    LAYER,
    SIGNS,
    Columns,
    Units,
    part_of,
    select,
    spelled,
    units_of_input,
)
from netbuild.wording import show
from netbuild.yamltree.nodes import Location
from netbuild.yamltree.paths import names_of


@dataclass
class Sources:
    """What can be read so far: the input and the layers above by name, and areas by theirs."""

    layers: dict[str, Units | None] = field(default_factory=dict)  # None: with a problem
    areas: dict[str, Units] = field(default_factory=dict)  # the layer that each is in

    def add(self, name: str, units: Units | None) -> None:
        """Let a layer, or the input, be read; the first of a name counts."""
        self.layers.setdefault(name, units)
        if units is not None:
            for area in units.areas:
                self.areas.setdefault(area, units)

    def having(self, name: str) -> Units | None:
        """The layer of a name, or with an area of it; None where its units have a problem."""
        return self.layers[name] if name in self.layers else self.areas[name]


def check_names(context: Context) -> None:
    """Names are unique, and none is used by the network itself."""
    for key, reserved in (("layers", RESERVED), ("regularizers", REGULARIZER_NAMES)):
        section = context.parsed.tree.at((key,))
        seen: dict[str, int] = {}
        for i, name in enumerate(names_of(section) if section else ()):
            here = context.at(key, i, "name")
            if name in reserved:
                what = f"`{name}` is a name that a network already uses"
                here.problem("NB303", what, f"write for example `{name}_{key[:-1]}`")
            elif name and name in seen:
                what = f"two {key} are named `{name}`"
                here.problem("NB303", what, f"the other is {key}[{seen[name]}]")
            seen.setdefault(name or "", i)


def check_sources(
    context: Context, network_input: Units | None, task_width: int | None
) -> dict[int, LayerPlan]:
    """The plan of every layer whose input is known, by its position; maps are filled in later.

    `network_input` is what `network_input_of` gives, and `task_width` the number of inputs that
    the task gives, if it is known.
    """
    plans: dict[int, LayerPlan] = {}
    sources = Sources()
    sources.add(INPUT, network_input)
    before: str | None = INPUT
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, AnyLayer):
            before = None  # it has problems, so what follows it cannot be checked
            continue
        reads = _source(context, i, layer, before, sources)
        gives = layer.gives(context.at("layers", i), reads)
        reads = _checked_width(context, i, layer, reads, task_width)
        if reads is not None and gives is not None:
            plans[i] = LayerPlan(layer.name, reads, gives)
        _check_areas(context, i, layer, gives, sources)
        sources.add(layer.name, gives)
        before = layer.name
    return plans


def _check_areas(
    context: Context, i: int, layer: AnyLayer, gives: Units | None, sources: Sources
) -> None:
    """An area's name means one thing."""
    if gives is None or getattr(layer, "areas", None) is None:
        return
    for area in gives.areas:
        location = ("layers", i, "areas", area)
        if area in sources.areas:
            where = sources.areas[area].layer
            what = f"`{area}` is a channel of the input already"
            if where != INPUT:
                what = f"`{where}` has an area `{area}` already"
            context.problem("NB303", location, what, "give it another name", key=True)
        elif area in context.layer_names or area in (INPUT, *SIGNS):
            what = f"`{area}` is the name of a layer"
            if area not in context.layer_names:
                what = f"`{area}` is a word of the language"
            context.problem("NB303", location, what, "give the area another name", key=True)


def network_input_of(
    context: Context, task_width: int | None, channels: Mapping[str, Sequence[int]]
) -> Units | None:
    """The network's input: as wide as the task says, else as a reader's `input_dim`.

    `channels` are the inputs that have a name. None where the width is not known.
    """
    readers = list(_input_readers(context))
    said = (getattr(reader, "input_dim", None) for _, reader in readers)
    width = task_width if task_width is not None else next(filter(None, said), None)
    if width is not None:
        return units_of_input(width, channels)
    if readers and None not in context.parsed.layers and not context.at("task").given:
        i, first = next((found for found in readers if not found[1].passes_on), readers[0])
        what = "the number of inputs is unknown, since there is no task"
        hint = "write `input_dim`, e.g. `input_dim: 64`, or a `task`"
        if first.passes_on:
            hint = "write a `task`, or `input_dim` in a linear layer that reads this one"
        context.problem("NB301", ("layers", i), what, hint)
    return None


def _input_readers(context: Context) -> Iterator[tuple[int, AnyLayer]]:
    """The layers that read the whole input, as it is or through one that passes it on."""
    same = {INPUT}
    before = INPUT
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, AnyLayer):
            before = ""
            continue
        read = before if layer.from_ is None else layer.from_
        if isinstance(read, dict):
            read = str(read.get(LAYER, before))
        if read in same:
            yield i, layer
            if layer.passes_on:
                same.add(layer.name)
        before = layer.name


def _source(
    context: Context, i: int, layer: AnyLayer, before: str | None, sources: Sources
) -> Units | None:
    """The units that a layer reads, or None with a problem noted, here or where it began."""
    wanted: str | Columns | None = layer.from_
    if wanted is None:
        return sources.layers.get(before) if before else None
    here = context.at("layers", i, "from")
    if isinstance(wanted, str):
        name = wanted.partition(".")[0]
        if name not in sources.layers and name not in sources.areas:
            _unknown_source(context, i, name, sources)
            return None
        return part_of(here, sources.having(name), wanted)
    named = wanted.get(LAYER, before)
    if named is None:
        return None
    if not isinstance(named, str) or named not in sources.layers:
        _unknown_source(context, i, str(named), sources, LAYER)
        return None
    whole = sources.layers[named]
    return None if whole is None else select(here, whole, wanted)


def _unknown_source(context: Context, i: int, name: str, sources: Sources, *below: str) -> None:
    known = [*sources.layers, *(() if below else sources.areas)]
    location: Location = ("layers", i, "from", *below)
    named = context.layer_names.get(name, [])  # the positions of the layers of this name, rising
    if i in named:
        context.problem("NB302", location, "a layer cannot read itself", context.near("", known))
    elif named and named[0] > i:
        what = f"`{name}` does not come before this layer"
        context.problem(
            "NB302", location, what, "a layer can read the input and the layers above it"
        )
    elif not named:
        hint = context.near(name, known)
        context.problem("NB302", location, f"no layer is named `{show(name)}`", hint)


def _checked_width(
    context: Context, i: int, layer: AnyLayer, reads: Units | None, task_width: int | None
) -> Units | None:
    """The units that a layer reads, unless its `input_dim` says another number of them."""
    said = getattr(layer, "input_dim", None)
    if reads is None or said in (None, reads.size):
        return reads
    source = f"`{reads.layer}` gives {reads.size}"
    if reads.layer == INPUT:
        says = "the task" if task_width is not None else "another layer's `input_dim`"
        source = f"{says} says {reads.size}"
    elif not reads.whole:
        source = f"`{spelled(layer.from_ or '')}` gives {reads.size}"
    what = f"input_dim is {said}, but {source}"
    context.problem("NB301", ("layers", i, "input_dim"), what, "leave `input_dim` out")
    return None


def check_learning(context: Context, plans: Mapping[int, LayerPlan]) -> None:
    """Something that learns reaches the output, where there is a task to learn."""
    layers = context.parsed.layers
    if context.parsed.task is None or not layers or len(plans) < len(layers):
        return
    reads = INPUT
    for i in reversed(range(len(layers))):  # a layer reads one that stands above it
        if i == len(layers) - 1 or plans[i].name == reads:
            if plans[i].learns:
                return
            reads = plans[i].reads.layer
    what = "nothing that learns reaches the output"
    hint = "one of the layers must learn: remove a `learn: false`"
    context.problem("NB308", ("layers",), what, hint, key=True)


def check_sequences(context: Context, task: object) -> None:
    """A recurrent layer needs a task that has time."""
    shape = getattr(task, "shape", None)
    if shape is None or len(shape) == 3:
        return
    for i, layer in enumerate(context.parsed.layers):
        if isinstance(layer, AnyLayer) and layer.needs_time:
            what = f"a recurrent layer reads sequences, and the task's inputs are {shape}"
            hint = "the inputs of such a task are (trial, time, input)"
            context.at("layers", i).problem("NB301", what, hint)
