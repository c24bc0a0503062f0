"""Names, and who reads whom: every layer's population of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from netbuild import masks
from netbuild.check.context import Context
from netbuild.check.plan import LayerPlan, Population
from netbuild.spec.layers import Dropout, Linear
from netbuild.spec.nodes import show
from netbuild.spec.paths import names_of
from netbuild.spec.reserved import REGULARIZER_NAMES, RESERVED

INPUT = "input"
PARTS = ("excitatory", "inhibitory")


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


def check_wiring(context: Context, task_width: int | None) -> dict[int, LayerPlan]:
    """The plan of every layer whose input is known, by its position; maps are filled in later.

    `task_width` is the number of inputs that the task gives, if it is known.
    """
    plans: dict[int, LayerPlan] = {}
    known: dict[str, Population | None] = {INPUT: _network_input(context, task_width)}
    before: str | None = INPUT
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, (Linear, Dropout)):
            before = None  # it has problems of its own, and what follows it cannot be checked
            continue
        reads = _source(context, i, layer, before, known)
        if isinstance(layer, Linear):
            gives: Population | None = _units(layer)
            reads = _checked_width(context, i, layer, reads, task_width)
        else:
            gives = replace(reads, layer=layer.name, units=None) if reads else None
        if reads is not None and gives is not None:
            plans[i] = LayerPlan(layer.name, reads, gives)
        known.setdefault(layer.name, gives)
        before = layer.name
    return plans


def _units(layer: Linear) -> Population:
    excitatory = None
    if layer.excitatory is not None:
        excitatory = masks.round_half_up(layer.excitatory, layer.output_dim)
    return Population(layer.name, layer.output_dim, excitatory=excitatory)


def _network_input(context: Context, task_width: int | None) -> Population | None:
    """The network's input: as wide as the task says, else as a reader's `input_dim`."""
    readers = list(_input_readers(context))
    widths = [r.input_dim for _, r in readers if isinstance(r, Linear) and r.input_dim is not None]
    width = task_width if task_width is not None else next(iter(widths), None)
    if width is not None:
        return Population(INPUT, width)
    if readers and None not in context.parsed.layers and not context.given(("task",)):
        i, first = next((found for found in readers if isinstance(found[1], Linear)), readers[0])
        what = "how many inputs does it read? There is no task to say"
        hint = "write `input_dim`, e.g. `input_dim: 64`, or a `task`"
        if isinstance(first, Dropout):
            hint = "write a `task`, or `input_dim` in a linear layer that reads this one"
        context.problem("NB301", ("layers", i), what, hint)
    return None


def _input_readers(context: Context) -> Iterator[tuple[int, Linear | Dropout]]:
    """The layers that read the whole input, as it is or through dropout."""
    same = {INPUT}
    before = INPUT
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, (Linear, Dropout)):
            before = ""
            continue
        if (before if layer.from_ is None else layer.from_) in same:
            yield i, layer
            if isinstance(layer, Dropout):
                same.add(layer.name)
        before = layer.name


def _source(
    context: Context,
    i: int,
    layer: Linear | Dropout,
    before: str | None,
    known: dict[str, Population | None],
) -> Population | None:
    """The population that a layer reads, or None with a problem noted, here or where it began."""
    if layer.from_ is None:
        return known.get(before) if before else None
    name, dot, part = layer.from_.partition(".")
    location = ("layers", i, "from")
    if name not in known:
        _unknown_source(context, i, name, known)
        return None
    if dot and part not in PARTS:
        what = f"`{show(layer.from_)}` names no units"
        hint = context.near(f"{name}.{part}", [f"{name}.{p}" for p in PARTS])
        context.problem("NB302", location, what, hint)
        return None
    population = known[name]
    if dot and name == INPUT:
        context.problem("NB302", location, "a network's inputs have no signs", "read `input`")
        return None
    if population is None or not dot:
        return population
    if population.excitatory is None:
        what = f"the units of `{name}` have no signs"
        hint = f"give `{name}` a key `excitatory`, e.g. `excitatory: 0.8`"
        context.problem("NB302", location, what, hint)
        return None
    middle, end = population.excitatory, population.size
    start, stop = (0, middle) if part == "excitatory" else (middle, end)
    if start == stop:
        what = f"`{name}` has no {part} units"
        context.problem("NB302", location, what, f"its {end} units are all of the other sign")
        return None
    chosen = stop - start
    return Population(name, chosen, (start, stop), chosen if part == "excitatory" else 0)


def _unknown_source(
    context: Context, i: int, name: str, known: dict[str, Population | None]
) -> None:
    location = ("layers", i, "from")
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
    context: Context, i: int, layer: Linear, reads: Population | None, task_width: int | None
) -> Population | None:
    if reads is None or layer.input_dim is None or layer.input_dim == reads.size:
        return reads
    source = f"`{reads.layer}` gives {reads.size}"
    if reads.layer == INPUT:
        says = "the task" if task_width is not None else "another layer's `input_dim`"
        source = f"{says} says {reads.size}"
    elif reads.units is not None:
        source = f"`{layer.from_}` gives {reads.size}"
    what = f"input_dim is {layer.input_dim}, but {source}"
    context.problem("NB301", ("layers", i, "input_dim"), what, "leave `input_dim` out")
    return None


def check_learning(context: Context, plans: dict[int, LayerPlan]) -> None:
    """Something that learns reaches the output, where there is a task to learn."""
    layers = context.parsed.layers
    if context.parsed.task is None or not layers or len(plans) < len(layers):
        return
    by_name = {plan.name: i for i, plan in plans.items()}
    i: int | None = len(layers) - 1
    while i is not None:
        layer = layers[i]
        if isinstance(layer, Linear) and (layer.weight.learn or (layer.bias and layer.bias.learn)):
            return
        i = by_name.get(plans[i].reads.layer)
    what = "nothing that learns reaches the output"
    hint = "one of the layers must learn: take a `learn: false` away"
    context.problem("NB308", ("layers",), what, hint, key=True)
