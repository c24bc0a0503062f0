"""Names, and who reads whom: every layer's population of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator

from netbuild import masks
from netbuild.check.context import Context
from netbuild.check.plan import LayerPlan, Population
from netbuild.spec.layers import Dropout, Linear
from netbuild.spec.paths import near
from netbuild.spec.reserved import RESERVED


def check_names(context: Context) -> None:
    """Layer names are unique and none that the network itself uses; so are regularizer names."""
    seen: dict[str, int] = {}
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, (Linear, Dropout)):
            continue
        location = ("layers", i, "name")
        if layer.name in RESERVED:
            what = f"`{layer.name}` is a name that a network already uses"
            context.problem("NB303", location, what, f"for example `{layer.name}_layer`")
        elif layer.name in seen:
            what = f"two layers are named `{layer.name}`"
            context.problem("NB303", location, what, f"the other is layers[{seen[layer.name]}]")
        seen.setdefault(layer.name, i)
    named: dict[str, int] = {}
    for i, regularizer in enumerate(context.parsed.regularizers):
        name = getattr(regularizer, "name", None)
        if name is None:
            continue
        if name in named:
            what = f"two regularizers are named `{name}`"
            context.problem("NB303", ("regularizers", i, "name"), what)
        named.setdefault(name, i)


def check_wiring(context: Context, task_width: int | None) -> dict[int, LayerPlan]:
    """The plan of every layer whose input is known, by its position; maps are filled in later.

    `task_width` is the number of inputs that the task gives, if it is known.
    """
    plans: dict[int, LayerPlan] = {}
    known: dict[str, Population | None] = {"input": _network_input(context, task_width)}
    before = "input"
    for i, layer in enumerate(context.parsed.layers):
        if not isinstance(layer, (Linear, Dropout)):
            before = ""  # a layer with problems of its own: what follows it cannot be checked
            continue
        reads = _source(context, i, layer, before, known)
        gives: Population | None = None
        if isinstance(layer, Linear):
            signs = None
            if layer.excitatory is not None and layer.output_dim <= 10**8:
                signs = masks.unit_signs(layer.output_dim, layer.excitatory)
            gives = Population(layer.name, layer.output_dim, signs=signs)
            reads = _checked_width(context, i, layer, reads)
        elif reads is not None:
            gives = Population(layer.name, reads.size, signs=reads.signs)
        if reads is not None and gives is not None:
            plans[i] = LayerPlan(layer.name, reads, gives)
        known.setdefault(layer.name, gives)
        before = layer.name
    return plans


def _network_input(context: Context, task_width: int | None) -> Population | None:
    """The network's input: as wide as the task says, else as the first reader's `input_dim`."""
    readers = list(_input_readers(context))
    widths = [layer.input_dim for _, layer in readers if layer.input_dim is not None]
    width = task_width if task_width is not None else next(iter(widths), None)
    if width is not None:
        return Population("input", width)
    if readers and context.parsed.task is None and not context.given(("task",)):
        i, _ = readers[0]
        what = "how many inputs does it read? There is no task to say"
        context.problem("NB301", ("layers", i), what, "write `input_dim`", key=True)
    return None


def _input_readers(context: Context) -> Iterator[tuple[int, Linear]]:
    for i, layer in enumerate(context.parsed.layers):
        if isinstance(layer, Linear) and (layer.from_ == "input" or (i == 0 and not layer.from_)):
            yield i, layer


def _source(
    context: Context,
    i: int,
    layer: Linear | Dropout,
    before: str,
    known: dict[str, Population | None],
) -> Population | None:
    name, _, part = (layer.from_ or before).partition(".")
    location = ("layers", i, "from")
    if layer.from_ and name not in known:
        later = [getattr(other, "name", None) for other in context.parsed.layers[i:]]
        if name in later:
            what = f"`{name}` does not come before this layer"
            context.problem("NB302", location, what, "layers are listed in order")
        elif None not in context.parsed.layers[:i]:
            context.problem("NB302", location, f"no layer is named `{name}`", near(name, known))
        return None
    population = known.get(name)
    if population is None or not part:
        return population
    if population.signs is None:
        what = f"the units of `{name}` have no signs"
        hint = "the network's inputs never have" if name == "input" else "give it `excitatory: 0.8`"
        context.problem("NB302", location, what, hint)
        return None
    excitatory = int((population.signs > 0).sum())
    start, stop = (0, excitatory) if part == "excitatory" else (excitatory, population.size)
    if start == stop:
        context.problem("NB302", location, f"`{name}` has no {part} units")
        return None
    return Population(name, stop - start, (start, stop), population.signs[start:stop])


def _checked_width(
    context: Context, i: int, layer: Linear, reads: Population | None
) -> Population | None:
    if reads is None or layer.input_dim is None or layer.input_dim == reads.size:
        return reads
    source = "the task gives" if reads.layer == "input" else f"`{reads.layer}` gives"
    what = f"input_dim is {layer.input_dim}, but {source} {reads.size}"
    context.problem("NB301", ("layers", i, "input_dim"), what, "leave `input_dim` out")
    return None
