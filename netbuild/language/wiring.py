"""Names, and who reads whom: every layer's population of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netbuild.language.check_ctrnn import population_of
from netbuild.language.check_selection import LAYER, Wanted, select, spelled
from netbuild.language.context import Context
from netbuild.language.ctrnn import CTRNN, Area
from netbuild.language.layers import Dropout, Linear
from netbuild.language.named import Named
from netbuild.language.plan import LayerPlan
from netbuild.language.population import Population, Run, area_meant, units
from netbuild.language.projections import PARTS
from netbuild.language.reserved import REGULARIZER_NAMES, RESERVED
from netbuild.yamltree.nodes import Location, show
from netbuild.yamltree.paths import names_of

INPUT = "input"
Known = Linear | CTRNN | Dropout  # kinds of layer


@dataclass
class Sources:
    """What can be read so far: the input and the layers above by name, and areas by theirs."""

    layers: dict[str, Population | None] = field(default_factory=dict)  # None: with a problem
    areas: dict[str, Population] = field(default_factory=dict)  # whose they are

    def add(self, name: str, population: Population | None) -> None:
        """Let a layer, or the input, be read; the first of a name counts."""
        self.layers.setdefault(name, population)
        if population is None:
            return
        for area in population.areas:
            self.areas.setdefault(area, population)

    def named(self, name: str) -> Population | None:
        """The units of a layer or of an area; None where they have a problem."""
        return self.layers[name] if name in self.layers else self.areas[name].part(area=name)


def check_names(context: Context) -> None:
    """Names are unique and none that the network itself uses."""
    _check_names(context, "layers", "layer", RESERVED)
    _check_names(context, "regularizers", "regularizer", REGULARIZER_NAMES)


def _check_names(context: Context, key: str, word: str, reserved: frozenset[str]) -> None:
    section = context.parsed.tree.at((key,))
    seen: dict[str, int] = {}
    for i, name in enumerate(names_of(section) if section else ()):
        if not name:
            continue
        location = (key, i, "name")
        if name in reserved:
            what = f"`{name}` is a name that a network already uses"
            context.problem("NB303", location, what, f"write for example `{name}_{word}`")
        elif name in seen:
            what = f"two {key} are named `{name}`"
            context.problem("NB303", location, what, f"the other is {key}[{seen[name]}]")
        seen.setdefault(name, i)


def check_wiring(
    context: Context, network_input: Population | None, task_width: int | None
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
        if not isinstance(layer, Known):
            before = None  # it has problems of its own, and what follows it cannot be checked
            continue
        reads = _source(context, i, layer, before, sources)
        gives: Population | None
        if isinstance(layer, Dropout):
            gives = reads.passed_on(layer.name) if reads else None
        else:
            gives = _gives(context, i, layer)
            reads = _checked_width(context, i, layer, reads, task_width)
        if reads is not None and gives is not None:
            plans[i] = LayerPlan(layer.name, reads, gives)
        _check_areas(context, i, layer, gives, sources)
        sources.add(layer.name, gives)
        before = layer.name
    return plans


def _gives(context: Context, i: int, layer: Linear | CTRNN) -> Population | None:
    if layer.connectome is not None:
        from netbuild.language.connectome import neurons_of

        return neurons_of(context, i, layer)
    if isinstance(layer, CTRNN):
        return population_of(context, i, layer)
    assert layer.output_dim is not None  # the model sees to it
    return units(layer.name, [("", layer.output_dim, layer.excitatory)])


def _check_areas(
    context: Context, i: int, layer: Known, gives: Population | None, sources: Sources
) -> None:
    """An area's name means one thing."""
    if not isinstance(layer, CTRNN) or gives is None or layer.areas is None:
        return
    for area in gives.areas:
        location = ("layers", i, "areas", area)
        if area in sources.areas:
            where = sources.areas[area].layer
            what = f"`{area}` is a channel of the input already"
            if where != INPUT:
                what = f"`{where}` has an area `{area}` already"
            context.problem("NB303", location, what, "give it another name", key=True)
        elif area in context.layer_names or area in (INPUT, *PARTS):
            what = f"`{area}` is the name of a layer"
            if area not in context.layer_names:
                what = f"`{area}` is a word of the language"
            context.problem("NB303", location, what, "give the area another name", key=True)


def network_input_of(
    context: Context, task_width: int | None, channels: Mapping[str, Sequence[int]]
) -> Population | None:
    """The network's input: as wide as the task says, else as a reader's `input_dim`.

    `channels` are the inputs that have a name. None where the width is not known.
    """
    readers = list(_input_readers(context))
    widths = [r.input_dim for _, r in readers if not isinstance(r, Dropout) and r.input_dim]
    width = task_width if task_width is not None else next(iter(widths), None)
    if width is not None:
        names = {unit: name for name, units in channels.items() for unit in units}
        if not names:
            return Population(INPUT, (Run(0, width),))
        runs = tuple(Run(unit, unit + 1, None, names.get(unit, "")) for unit in range(width))
        return Population(INPUT, runs)
    if readers and None not in context.parsed.layers and not context.given(("task",)):
        i, first = next(
            (found for found in readers if not isinstance(found[1], Dropout)), readers[0]
        )
        what = "how many inputs does it read? There is no task to say"
        hint = "write `input_dim`, e.g. `input_dim: 64`, or a `task`"
        if isinstance(first, Dropout):
            hint = "write a `task`, or `input_dim` in a linear layer that reads this one"
        context.problem("NB301", ("layers", i), what, hint)
    return None


def _input_readers(context: Context) -> Iterator[tuple[int, Known]]:
    """The layers that read the whole input, as it is or through dropout."""
    same = {INPUT}
    before = INPUT
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, Known):
            before = ""
            continue
        read = before if layer.from_ is None else layer.from_
        if isinstance(read, dict):
            read = str(read.get(LAYER, before))
        if read in same:
            yield i, layer
            if isinstance(layer, Dropout):
                same.add(layer.name)
        before = layer.name


def _source(
    context: Context, i: int, layer: Known, before: str | None, sources: Sources
) -> Population | None:
    """The population that a layer reads, or None with a problem noted, here or where it began."""
    if layer.from_ is None:
        return sources.layers.get(before) if before else None
    if not isinstance(layer.from_, str):
        return _by_columns(context, i, layer.from_, before, sources)
    name, dot, part = layer.from_.partition(".")
    location = ("layers", i, "from")
    if name not in sources.layers and name not in sources.areas:
        _unknown_source(context, i, name, sources)
        return None
    if dot and part not in PARTS:
        what = f"`{show(layer.from_)}` names no units"
        areas = known.areas if (known := sources.layers.get(name)) else ()
        hint = area_meant(layer.from_, areas)
        hint = hint or context.near(f"{name}.{part}", [f"{name}.{p}" for p in PARTS])
        context.problem("NB302", location, what, hint)
        return None
    population = sources.named(name)
    if dot and (name == INPUT or (population is not None and population.layer == INPUT)):
        context.problem("NB302", location, "a network's inputs have no signs", f"read `{name}`")
        return None
    if population is None or not dot:
        return population
    if not population.signed:
        what = f"the units of `{name}` have no signs"
        hint = f"give `{name}` a key `excitatory`, e.g. `excitatory: 0.8`"
        if isinstance(population, Named):
            hint = "give its node table a column of signs"
        context.problem("NB302", location, what, hint)
        return None
    chosen = population.part(sign=PARTS[part])
    if not chosen.size:
        what, all_of = f"`{name}` has no {part} units", population.size
        context.problem("NB302", location, what, f"its {all_of} units are all of the other sign")
        return None
    return chosen


def _by_columns(
    context: Context, i: int, wanted: Wanted, before: str | None, sources: Sources
) -> Population | None:
    """The units of `{layer: hidden, kind: motor}`; the layer before when it is left out."""
    name = wanted.get(LAYER, before)
    if name is None:
        return None
    if not isinstance(name, str) or name not in sources.layers:
        _unknown_source(context, i, str(name), sources, LAYER)
        return None
    whole = sources.layers[name]
    return None if whole is None else select(context, ("layers", i, "from"), whole, wanted)


def _unknown_source(context: Context, i: int, name: str, sources: Sources, *below: str) -> None:
    known = [*sources.layers, *(() if below else sources.areas)]
    location: Location = ("layers", i, "from", *below)
    named = context.layer_names.get(name, [])  # where, in order
    if i in named:
        context.problem("NB302", location, "a layer cannot read itself", context.near("", known))
    elif named and named[0] > i:
        what = f"`{name}` does not come before this layer"
        context.problem("NB302", location, what, "a layer reads one that stands above it")
    elif not named:
        hint = context.near(name, known)
        context.problem("NB302", location, f"no layer is named `{show(name)}`", hint)


def _checked_width(
    context: Context,
    i: int,
    layer: Linear | CTRNN,
    reads: Population | None,
    task_width: int | None,
) -> Population | None:
    if reads is None or layer.input_dim is None or layer.input_dim == reads.size:
        return reads
    source = f"`{reads.layer}` gives {reads.size}"
    if reads.layer == INPUT:
        says = "the task" if task_width is not None else "another layer's `input_dim`"
        source = f"{says} says {reads.size}"
    elif not reads.whole:
        source = f"`{spelled(layer.from_ or '')}` gives {reads.size}"
    what = f"input_dim is {layer.input_dim}, but {source}"
    context.problem("NB301", ("layers", i, "input_dim"), what, "leave `input_dim` out")
    return None


def check_learning(context: Context, plans: dict[int, LayerPlan]) -> None:
    """Something that learns reaches the output, where there is a task to learn."""
    layers = context.parsed.layers
    if context.parsed.task is None or not layers or len(plans) < len(layers):
        return
    reads = INPUT
    for i in reversed(range(len(layers))):  # a layer reads one that stands above it
        if i == len(layers) - 1 or plans[i].name == reads:
            if _learns(layers[i]):
                return
            reads = plans[i].reads.layer
    what = "nothing that learns reaches the output"
    hint = "one of the layers must learn: take a `learn: false` away"
    context.problem("NB308", ("layers",), what, hint, key=True)


def _learns(layer: object) -> bool:
    """Whether any parameter of a layer learns."""
    wired = getattr(layer, "connectome", None)
    if wired is not None and wired.learn == "scale_per_type":
        return True
    if isinstance(layer, Linear):
        learns = layer.weight.learn and (wired is None or wired.learn == "weights")
        return bool(learns or (layer.bias and layer.bias.learn))
    if not isinstance(layer, CTRNN):
        return False
    parts: list[CTRNN | Area] = list((layer.areas or {}).values())
    if not parts or any(part.tau is part.alpha is None for part in parts):
        parts.append(layer)  # whose time constant is that of an area without one
    found: list[object] = [layer.initial_state]
    found += [value for part in parts for value in (part.tau, part.alpha)]
    for words in (layer.input, layer.recurrent):
        if words is layer.recurrent and wired is not None and wired.learn == "nothing":
            found.append(words.bias)
            continue
        blocks = [projection.weight for projection in words.projections or ()] or [None]
        found += [words.bias, *(words.weight if weight is None else weight for weight in blocks)]
    return any(getattr(value, "learn", False) for value in found)
