"""Connectivity and synapses: which pairs are connected, how weights start, what signs mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from netbuild.language import masks, weights
from netbuild.language.base import Model
from netbuild.language.dump import inline, resolved
from netbuild.language.plan import LayerPlan, MapPlan
from netbuild.language.units import INPUT, Units, spelled
from netbuild.report.cells import (
    Cell,
    Code,
    Line,
    Math,
    Number,
    Row,
    Table,
    file_of,
    number,
    tex_number,
)
from netbuild.report.references import MASLOV


class Pathway(NamedTuple):
    """A map, or one of the projections that it consists of, with the names of its two ends."""

    name: str
    source: str
    target: str
    plan: MapPlan
    pattern: Line


def pathways(layer: Any, plan: LayerPlan) -> Iterator[Pathway]:
    """The maps of a layer, those with projections as one pathway each."""
    for key, whole in plan.maps.items():
        section = whole.section
        if not whole.blocks:
            source = _read(layer, plan) if key != "recurrent" else layer.name
            by_file = layer.connectome is not None and key == layer.wired
            pattern = _wired(layer) if by_file else _pattern(section, whole)
            yield Pathway(whole.name, source, layer.name, whole, pattern)
            continue
        for block, words in zip(whole.blocks, section.projections, strict=True):
            ends = spelled(words.from_), spelled(words.to)
            yield Pathway(whole.name, *ends, block, _pattern(block.section, block))


def _read(layer: Any, plan: LayerPlan) -> str:
    return plan.reads.layer if layer.from_ is None else spelled(layer.from_)


def cites(layers: list[Any]) -> Iterator[str]:
    """What the wiring of layers cites."""
    for layer in layers:
        control = getattr(getattr(layer, "connectome", None), "control", None)
        if control is not None and control.rewire == "degree_preserving":
            yield MASLOV


# Which pairs are connected


def _wired(layer: Any) -> Line:
    words = layer.connectome
    parts = ["connectome ", file_of(words.edges.file)]
    if words.control is not None:
        said = {k: v for k, v in words.control.model_dump().items() if v is not None}
        parts += ["; null model ", Code(inline(said))]
    return tuple(parts)


def _pattern(section: Any, plan: MapPlan) -> Line:
    if section.density is not None:
        said: Line = (f"random, exactly {number(section.density)} of all pairs",)
    elif section.sparsity_mask is not None:
        said = _mask(section.sparsity_mask)
    else:
        said = ("all to all",)
    if plan.is_recurrent and not section.self_connections:
        said = (*said, "; no self-connections")
    return said


_MASKS: dict[type[Model], Callable[[Any], Line]] = {
    masks.RandomMask: lambda m: (f"random, exactly {number(m.density)} of all pairs",),
    masks.FixedIndegree: lambda m: (
        f"random, {m.connections:,} presynaptic partners of each unit",
    ),
    masks.UnitSigns: lambda m: (f"one sign for each of {len(m.units):,} presynaptic units",),
    masks.ExcitatoryFraction: lambda m: (
        f"the first {number(m.excitatory)} of the presynaptic units are excitatory",
    ),
    masks.Between: lambda m: ("connections ", Code(inline(resolved(m)))),
}


def _mask(source: Model) -> Line:
    """A mask in words; what is not generated comes from a file or from the spec itself."""
    if type(source) in _MASKS:
        return _MASKS[type(source)](source)
    threshold = getattr(source, "threshold", None)
    above = "" if threshold is None else f", values above {number(threshold)}"
    file = getattr(source, "file", None)
    return (f"a matrix in the spec{above}",) if file is None else ("mask ", file_of(file), above)


def connectivity(found: list[Pathway]) -> Table:
    """The table of connectivity."""
    rows: list[Row] = [
        (
            Code(each.name),
            Code(each.source),
            Code(each.target),
            each.pattern,
            number(each.plan.connections.count),
            number(each.plan.connections.density),
        )
        for each in found
    ]
    head = ("Map", "Source", "Target", "Pattern", "Connections", "Density")
    return Table("Connectivity", head, rows, (0.16, 0.16, 0.14, 0.3, 0.14, 0.1))


# How weights start


def _uniform(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return r"\mathcal{U}(-\frac{1}{\sqrt{n}}, \frac{1}{\sqrt{n}})"
    return rf"\mathcal{{U}}({tex_number(low)}, {tex_number(high)})"


def _normal(mean: float, std: float | None) -> str:
    variance = r"\frac{1}{n}" if std is None else rf"{tex_number(std)}^2"
    return rf"\mathcal{{N}}({tex_number(mean)}, {variance})"


def _truncated(w: Any, inputs: int) -> Line:
    std = 1 / math.sqrt(inputs) if w.std is None else w.std
    low = w.mean - 2 * std if w.low is None else w.low
    high = w.mean + 2 * std if w.high is None else w.high
    ends = f"[{tex_number(low)}, {tex_number(high)}]"
    return (Math(_normal(w.mean, w.std)), " truncated to ", Math(ends))


def _named(words: str) -> Callable[[Any, int], Line]:
    def said(w: Any, inputs: int) -> Line:
        own = {k: v for k, v in w.model_dump().items() if k not in ("init", "learn")}
        return (f"{words}, ", Code(inline(own)))

    return said


def _file(w: Any, inputs: int) -> Line:
    return ("from ", file_of(w.file))


def _written(w: Any, inputs: int) -> Line:
    return ("values in the spec",)


STARTS: dict[type[Model], Callable[[Any, int], Line]] = {
    weights.Uniform: lambda w, n: (Math(_uniform(w.low, w.high)),),
    weights.Normal: lambda w, n: (Math(_normal(w.mean, w.std)),),
    weights.TruncNormal: _truncated,
    weights.Zero: lambda w, n: ("0",),
    weights.Constant: lambda w, n: (number(w.value),),
    weights.Xavier: _named("Glorot & Bengio 2010"),
    weights.Kaiming: _named("He et al. 2015"),
    weights.Orthogonal: _named("orthogonal (Saxe et al. 2013)"),
    weights.Identity: lambda w, n: (f"{number(w.gain)} times the identity matrix",),
    weights.ConnectomeCounts: lambda w, n: (
        f"synapse counts times {number(w.scale)}, with the sign of the presynaptic unit",
    ),
    weights.WeightFile: _file,
    weights.WeightValues: _written,
    weights.BiasFile: _file,
    weights.BiasValues: _written,
}
"""How the values of every init begin, given how many units are read (n)."""


def start(source: Model | None, inputs: int) -> Line:
    """How a weight or a bias begins."""
    return ("0",) if source is None else STARTS[type(source)](source, inputs)


_BALANCES = {
    "row": "excitation and inhibition onto each unit scaled to equal sums",
    "global": "excitation and inhibition of the whole matrix scaled to equal sums",
    "nn4n": "excitation and inhibition balanced as nn4n does",
}


def _weights(each: Pathway, whole: Any) -> Cell:
    section, plan = each.plan.section, each.plan
    lines: list[Line] = [start(section.weight, plan.input_dim)]
    drawn = plan.weight is None
    signed = plan.signs is not None and section.dale != "none"
    if drawn and signed:
        wrong = {"abs": "flipped", "clamp": "set to 0"}[section.dale_init]
        lines.append(f"weights of the wrong sign are {wrong}")
    if section.ei_balance in _BALANCES:
        lines.append(_BALANCES[section.ei_balance])
    radius = getattr(whole, "spectral_radius", None)
    if radius is not None:
        lines.append(f"then scaled to the spectral radius {number(radius)}")
    return lines


# Signs, and what learns

_HELD = {
    "project": "held: a weight of the wrong sign is set to 0 after each step",
    "abs": "held: the weight is the sign times a magnitude",
    "none": "known, and not held",
}


def _signs(plan: MapPlan) -> Cell:
    if plan.signs is None:
        return "free"
    there = plan.connections.listed(np.asarray(plan.signs_there()))
    positive, negative = int((there > 0).sum()), int((there < 0).sum())
    free = len(there) - positive - negative
    counts = f"{positive:,} excitatory, {negative:,} inhibitory"
    counts += f", {free:,} free" if free else ""
    return [counts, _HELD[plan.section.dale]]


def _learning(plan: MapPlan, whole: MapPlan) -> Cell:
    if plan.groups is not None:
        said = f"{len(plan.group_names):,} factors at or above 0, one for each pair of types"
    elif not plan.weight_learns:
        said = "weights are fixed"
    elif plan.plasticity is None:
        said = "all weights"
    else:
        p = plan.connections.listed(np.asarray(plan.plasticity))
        frozen, count = int((p == 0).sum()), len(p)
        said = f"{count - frozen:,} of {count:,} weights; {frozen:,} are frozen"
        if count and ((p > 0) & (p < 1)).any():
            said += f"; p from {number(float(p[p > 0].min()))} to {number(float(p.max()))}"
    bias = whole.section.bias
    learns = "no bias" if bias is None else "biases" if bias.learn else "biases are fixed"
    return [said, learns]


def synapses(found: list[Pathway], plans: Mapping[str, MapPlan]) -> Table:
    """The table of synapses; `plans` are the whole maps by their names."""
    rows: list[Row] = []
    for each in found:
        whole = plans[each.name]
        ends = f"{each.source} to {each.target}" if whole.blocks else ""
        name: Cell = [Code(each.name), ends] if ends else Code(each.name)
        rows.append(
            (
                name,
                number(each.plan.input_dim),
                _weights(each, whole.section),
                start(whole.section.bias, whole.input_dim),
                _signs(each.plan),
                _learning(each.plan, whole),
            )
        )
    head = ("Map", "Inputs n", "Initial weights", "Initial biases", "Signs", "What learns")
    return Table("Synapses: initial values, signs, what learns", head, rows,
                 (0.18, 0.08, 0.24, 0.14, 0.2, 0.16))  # fmt: skip


def synapse_model(found: list[Pathway]) -> list[tuple[str, Cell]]:
    """Rows about the synapse model that maps share."""
    dales = {each.plan.section.dale for each in found if each.plan.signs is not None}
    lines: list[Line] = [(Math(r"I_{i,t} = \sum_j w_{ij} r_{j,t} + b_i"),)]
    if "abs" in dales:
        raw = r"w_{ij} = s_{ij} \lvert \theta_{ij} \rvert"
        lines.append((Math(raw), " in maps under ", Code("dale: abs"), ", with the raw parameter ",
                      Math(r"\theta")))  # fmt: skip
    if any(each.plan.groups is not None for each in found):
        lines.append((Math(r"w_{ij} = g_{k} \theta_{ij}"), " where a factor ", Math("g_k"),
                      " is shared by the connections of a pair of types"))  # fmt: skip
    rows: list[tuple[str, Cell]] = [
        ("Name", "rate synapses"),
        ("Type", "weighted sums of rates, without dynamics of their own"),
        ("Input of unit i", lines),
        ("Delay", "one time step within a recurrent layer; none between layers"),
        ("Absent connections", "exactly 0, always"),
    ]
    if dales:
        whose = "its presynaptic unit"
        if any(each.plan.signs is not None and each.plan.signs.ndim > 1 for each in found):
            whose += ", or, where a matrix of signs says so, of its connection"
        rule = Math(r"s_{ij} = 1 \; \text{excitatory}, \quad s_{ij} = -1 \; \text{inhibitory}")
        rows.append(("Signs", (f"a weight has the sign of {whose}: ", rule)))
    return rows


# Populations


def _counts(units: Units) -> tuple[int, int, int]:
    """How many units are excitatory, inhibitory, and neither."""
    runs, lengths = units.runs, units.lengths
    signed = runs["signed"]
    positive = int(lengths[signed & (runs["sign"] > 0)].sum())
    negative = int(lengths[signed & (runs["sign"] < 0)].sum())
    return positive, negative, units.size - positive - negative


def population_rows(units: Units, elements: str) -> Iterator[Row]:
    """The row of a layer, and one for each area of its own."""
    yield (Code(units.layer), elements, number(units.size), *_signed(units))
    word = "channel" if units.layer == INPUT else "area"
    for area in units.areas if units.passed is None else ():
        part = units.part(area=area)
        name: Cell = ("– ", Code(area))
        yield (name, word, number(part.size), *_signed(part))


def _signed(units: Units) -> tuple[Number, ...]:
    return tuple(number(count) if count else Number("-") for count in _counts(units))
