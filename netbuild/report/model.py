"""The tables of a model, as Nordlie, Gewaltig & Plesser (2009) ask for them, from a spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netbuild.language.checked import Spec
from netbuild.language.plan import maps_of
from netbuild.report import inputs, plasticity, synapses
from netbuild.report.cells import (
    Block,
    Cell,
    Code,
    Doi,
    Line,
    Paragraph,
    Row,
    Section,
    Table,
    pairs,
)
from netbuild.report.neurons import Neurons, neurons
from netbuild.report.references import NORDLIE, REFERENCES
from netbuild.report.synapses import Pathway, pathways
from netbuild.report.terms import regularizer_table
from netbuild.wording import counted


class Model:
    """What the tables of a spec are made from."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.layers: list[Any] = list(spec.model.layers)
        self.plans = [spec.plan.layers[layer.name] for layer in self.layers]
        self.neurons: list[Neurons] = [
            neurons(layer, plan, spec.model.dt)
            for layer, plan in zip(self.layers, self.plans, strict=True)
        ]
        self.pathways: list[Pathway] = [
            pathway
            for layer, plan in zip(self.layers, self.plans, strict=True)
            for pathway in pathways(layer, plan)
        ]
        self.maps = {each.name: each for each in maps_of(spec.plan.layers)}

    @property
    def cites(self) -> Iterator[str]:
        """The names of the publications that the parts of the model cite."""
        yield NORDLIE
        for each in self.neurons:
            yield from each.cites
        yield from synapses.cites(self.layers)
        yield from inputs.cites(self.spec.model.task)
        yield from plasticity.cites(self.spec)


def model_section(model: Model) -> Section:
    """All tables of a model."""
    words, doi = REFERENCES[NORDLIE]
    blocks: list[Block] = [
        Paragraph((f"These tables follow {words.split('.')[0]} (doi ", Doi(doi), "). They are made"
                   " from the resolved spec.")),
        *tables(model),
    ]  # fmt: skip
    return Section("model", "Model", blocks)


def tables(model: Model) -> Iterator[Table]:
    """The tables, A to G, in their order."""
    spec = model.spec
    yield _lettered("A", pairs("Model summary", _summary(model)))
    yield _lettered("B", _populations(model))
    yield _lettered("C", synapses.connectivity(model.pathways))
    for layer, each in zip(model.layers, model.neurons, strict=True):
        name: list[tuple[str, Cell]] = [("Name", Code(layer.name))]
        yield _lettered("D", pairs(f"Neuron model: {layer.name}", name + each.rows))
    if model.pathways:
        yield _lettered("D", pairs("Synapse model", synapses.synapse_model(model.pathways)))
        yield _lettered("D", synapses.synapses(model.pathways, model.maps))
    yield _lettered("E", pairs("Plasticity: training", plasticity.plasticity_rows(spec)))
    if spec.model.regularizers:
        found = regularizer_table(list(spec.model.regularizers), spec.plan.regularizers)
        yield _lettered("E", found)
    for stages in plasticity.stages(spec.model.training):
        yield _lettered("E", stages)
    yield _lettered("F", pairs("Input", inputs.input_rows(spec.model.task, spec.plan)))
    yield _lettered("G", pairs("Measurements", plasticity.measurement_rows(spec)))


def _lettered(letter: str, table: Table) -> Table:
    return Table(f"{letter}. {table.caption}", table.head, table.rows, table.widths)


def _populations(model: Model) -> Table:
    rows: list[Row] = []
    first = model.plans[0].reads
    rows += synapses.population_rows(first, "input") if first.layer == "input" else []
    for plan, each in zip(model.plans, model.neurons, strict=True):
        rows += synapses.population_rows(plan.gives, each.elements)
    head = ("Name", "Elements", "Size", "Excitatory", "Inhibitory", "Unsigned")
    return Table("Populations", head, rows, (0.22, 0.34, 0.11, 0.11, 0.11, 0.11))


def _summary(model: Model) -> list[tuple[str, Cell]]:
    spec = model.spec
    populations: list[Line] = [
        (Code(layer.name), f": {counted(plan.gives.size, 'unit')}, {each.elements}")
        for layer, plan, each in zip(model.layers, model.plans, model.neurons, strict=True)
    ]
    areas = dict.fromkeys(area for plan in model.plans for area in plan.gives.areas)
    total = sum(each.connections.count for each in model.maps.values())
    dense = sum(each.pairs for each in model.maps.values())
    of = f"{counted(total, 'connection')} of {dense:,} possible ones"
    signed = {each.section.dale for each in model.maps.values() if each.signs is not None}
    training = spec.model.training
    return [
        ("Name", Code(spec.model.name)),
        ("Populations", populations),
        ("Topology", f"areas {', '.join(areas)}" if areas else "none"),
        ("Connectivity", f"{of} in {counted(len(model.maps), 'map')}"),
        ("Neuron model", _together(each.rows[0][1] for each in model.neurons)),
        ("Channel models", "none"),
        ("Synapse model", "weighted sums of rates" + _law(signed)),
        ("Plasticity", f"{training.optimizer.type} on the {training.loss.replace('_', ' ')} loss"
         + (f" with {counted(len(spec.model.regularizers), 'regularizer')}"
            if spec.model.regularizers else "")),
        ("Input", _first(inputs.input_rows(spec.model.task, spec.plan))),
        ("Measurements", "loss" + (", accuracy" if plasticity.measures_accuracy(spec) else "")),
        ("Time step", "" if spec.model.dt is None else f"{spec.model.dt:g} ms"),
    ]  # fmt: skip


def _law(dales: set[str]) -> str:
    held = dales - {"none"}
    if not dales:
        return ""
    return "; Dale's law holds for signed units" if held else "; signs are known, and not held"


def _together(cells: Iterator[Cell]) -> Cell:
    return list(dict.fromkeys(cell for cell in cells if isinstance(cell, (str, tuple))))


def _first(rows: list[tuple[str, Cell]]) -> Cell:
    """The kind of a task, and what it is named."""
    kind = rows[0][1]
    named = next((cell for _, cell in rows[1:] if cell), "")
    return [line for line in (kind, named) if isinstance(line, (str, tuple))]
