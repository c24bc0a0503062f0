"""The tables of a model: every kind of section has words, and they say what the plan has."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from places import EXAMPLES

from netbuild.language import load, masks, regularizers, training, weights
from netbuild.language.spec import NetworkSpec
from netbuild.report import inputs, plasticity, synapses, terms
from netbuild.report.cells import Cell, Math, Table
from netbuild.report.equations import mathml
from netbuild.report.model import Model, tables
from netbuild.report.terms import TERMS

SPECS = sorted(EXAMPLES.glob("*.yaml"))


def kinds(union: Any) -> set[type]:
    """The sections of an annotated union."""
    inner = get_args(union)[0]
    return set(get_args(inner)) - {type(None)} or {inner}


def pieces(cell: Cell) -> list[str]:
    if isinstance(cell, (list, tuple)):
        return [piece for line in cell for piece in pieces(line)]
    return [cell]


def tables_of(layers: list[Any], **keys: Any) -> dict[str, Table]:
    spec = load({"netbuild": 1, "dt": 20, "layers": layers} | keys)
    return {table.caption: table for table in tables(Model(spec))}


def column(table: Table, name: str) -> list[str]:
    return ["".join(pieces(row[table.head.index(name)])) for row in table.rows]


def test_every_kind_of_section_has_words() -> None:
    assert set(TERMS) == kinds(regularizers.RegularizerSpec)
    assert set(synapses.STARTS) >= kinds(weights.Weight) | kinds(weights.Bias)
    assert set(plasticity.SCHEDULES) == kinds(training.Schedule)
    drawn = kinds(masks.SparsityMask) | kinds(masks.SignMask) | kinds(masks.PlasticityMask)
    assert {kind for kind in drawn if not {"file", "values"} & kind.model_fields.keys()} == set(
        synapses._MASKS
    )
    assert set(terms.LOSSES) == set(get_args(training.Training.model_fields["loss"].annotation))
    task = get_args(NetworkSpec.model_fields["task"].annotation)
    assert set(inputs.INPUTS) == set(get_args(task[0])) - {type(None)} or set(
        inputs.INPUTS
    ) == kinds(task[0])


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_formula_of_the_examples_can_be_written(path: Any) -> None:
    pytest.importorskip("neurogym")
    found = list(tables(Model(load(path))))
    assert [table.caption[0] for table in found] == sorted(table.caption[0] for table in found)
    assert {table.caption[0] for table in found} == set("ABCDEFG")
    for table in found:
        count = len(table.head) or 2
        assert all(len(row) == count for row in table.rows), table.caption
        assert not table.widths or sum(table.widths) == pytest.approx(1)
        for row in table.rows:
            for piece in (p for cell in row for p in pieces(cell) if isinstance(p, Math)):
                mathml(piece)


def test_words_do_not_wait_for_torch() -> None:
    code = (
        "import sys; from netbuild.language import load; from netbuild.report.model import *;"
        f"list(tables(Model(load({str(EXAMPLES / 'digits_dale.yaml')!r}))));"
        "from netbuild.report import diagram, page, tex;"
        "diagram.diagram(Model(load(sys.argv[1]))); print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(EXAMPLES / "digits_dale.yaml")]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.stdout == "False\n", result.stderr


def test_populations_and_connections_are_those_of_the_plan() -> None:
    found = tables_of(
        [
            {"name": "cortex", "type": "ctrnn", "input_dim": 3, "tau": 100,
             "areas": {"V1": {"size": 10, "excitatory": 0.8}, "PFC": {"size": 6}},
             "recurrent": {"self_connections": False, "projections": [
                 {"from": "V1.excitatory", "to": "PFC", "density": 0.5},
                 {"from": "V1", "to": "V1"}]}},
            {"name": "out", "type": "linear", "from": "V1.excitatory", "output_dim": 2,
             "sparsity_mask": {"generate": "fixed_indegree", "connections": 3}},
        ]
    )  # fmt: skip
    populations = found["B. Populations"]
    assert column(populations, "Name") == ["input", "cortex", "– V1", "– PFC", "out"]
    assert column(populations, "Size") == ["3", "16", "10", "6", "2"]
    assert column(populations, "Excitatory") == ["-", "8", "8", "-", "-"]
    assert column(populations, "Unsigned") == ["3", "6", "-", "6", "2"]
    wired = found["C. Connectivity"]
    assert column(wired, "Source") == ["input", "V1.excitatory", "V1", "V1.excitatory"]
    assert column(wired, "Connections") == ["48", "24", "90", "6"]
    assert column(wired, "Pattern")[1:] == [
        "random, exactly 0.5 of all pairs; no self-connections",
        "all to all; no self-connections",
        "random, 3 presynaptic partners of each unit",
    ]


def test_initial_values_signs_and_what_learns() -> None:
    linear = {"type": "linear", "input_dim": 4, "output_dim": 4}
    found = tables_of(
        [
            {"name": "a", "excitatory": 0.5, "weight": {"init": "normal", "std": 0.1}} | linear,
            {"name": "b", "dale_init": "clamp", "ei_balance": "row", "bias": None,
             "plasticity_mask": {"values": [[0, 1, 1, 0.5]] * 4, "rows": "pre"}, **linear},
            {"name": "c", "weight": {"init": "constant", "value": 2, "learn": False}} | linear,
        ]
    )  # fmt: skip
    table = found["D. Synapses: initial values, signs, what learns"]
    starts = column(table, "Initial weights")
    assert starts[0] == r"\mathcal{N}(0, 0.1^2)"
    assert starts[1] == (
        r"\mathcal{U}(-\frac{1}{\sqrt{n}}, \frac{1}{\sqrt{n}})weights of the wrong sign are set to"
        " 0excitation and inhibition onto each unit scaled to equal sums"
    )
    assert starts[2] == "2"
    assert column(table, "Initial biases")[1] == "0"
    assert column(table, "Signs")[0] == "free"
    assert column(table, "Signs")[1].startswith("8 excitatory, 8 inhibitoryheld: a weight")
    assert column(table, "What learns") == [
        "all weightsbiases",
        "12 of 16 weights; 4 are frozen; p from 0.5 to 1no bias",
        "weights are fixedbiases",
    ]


def test_the_spec_small_has_its_training_in_words(small: Any) -> None:
    found = {table.caption: table for table in tables(Model(load(small)))}
    rows = {row[0]: "".join(pieces(row[1])) for row in found["E. Plasticity: training"].rows}
    assert rows["Loss"] == r"\mathcal{L} = \mathrm{mean}(\ell) + \sum_{k} \Lambda_{k} R_{k}"
    assert r"\frac{1}{2} (1 + \cos(\pi q))" in rows["Learning rate"]
    assert rows["Gradient clipping"].startswith(r"g \leftarrow g \min(1, \frac{1}{")
    rows = {row[0]: "".join(pieces(row[1])) for row in found["F. Input"].rows}
    assert rows["Scaling"] == r"u = \frac{x}{2}"
    assert rows["Split"] == "48 training, 12 test of 60 samples, drawn by the seed 3"
    rows = {row[0]: "".join(pieces(row[1])) for row in found["G. Measurements"].rows}
    assert rows["Choices are made on"].startswith("the test set (NB607)")
