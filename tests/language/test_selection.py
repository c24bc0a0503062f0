"""Selections by columns of a node table: exactly the units that a loop over its rows finds."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import HEAD, connected, plan_of, said_of, spec_of
from drawn.connectomes import draw_connectome
from drawn.units import Units

from netbuild.builder import build
from netbuild.errors import SpecError
from netbuild.explanations import EXPLANATIONS
from netbuild.language import load
from netbuild.language.units import spelled

NEURONS = """\
name,kind,sign,area,level
A,sensory,1,V1,1
B,inter,-1,V1,2
C,inter,1,M1,2
D,motor,1,M1,30
E,motor,0,,30
"""
EDGES = "pre,post,weight\nA,B,2\nB,C,3\nC,D,1\nD,E,4\nE,A,1\nA,C,2\nC,B,5\n"
BRAIN = """\
layers:
  - name: brain
    type: ctrnn
    input_dim: 2
    alpha: 0.2
    connectome: {edges: edges.csv, neurons: neurons.csv}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "neurons.csv").write_text(NEURONS)
    return tmp_path


def out(words: str) -> str:
    return f"{BRAIN}  - {{name: out, type: linear, output_dim: 2, from: {words}}}\n"


SELECTED = [
    ("brain", "ABCDE"),
    ("{layer: brain}", "ABCDE"),
    ("{kind: motor}", "DE"),
    ("{layer: brain, kind: motor}", "DE"),
    ("{kind: [motor, sensory]}", "ADE"),
    ("{kind: inter, area: M1}", "C"),
    ("{level: 30}", "DE"),
    ('{level: "30"}', "DE"),
    ("{level: [1, '2']}", "ABC"),
    ("{area: ''}", "E"),
    ("{name: [D, A]}", "AD"),
    ("{name: B}", "B"),
    ("{sign: excitatory}", "ACD"),
    ("{sign: inhibitory}", "B"),
    ("{sign: -1}", "B"),
    ("{sign: [0, 1]}", "ACDE"),
    ("{sign: [inhibitory, 0]}", "BE"),
    ("brain.excitatory", "ACD"),
    ("brain.inhibitory", "B"),
]


@pytest.mark.parametrize(("words", "names"), SELECTED)
def test_a_layer_reads_the_units_that_are_meant(folder: Path, words: str, names: str) -> None:
    spec = spec_of(folder, out(words))
    reads = spec.plan.layers["out"].reads
    assert reads.indices.tolist() == ["ABCDE".index(name) for name in names]
    signs = [[1, -1, 1, 1, 0]["ABCDE".index(name)] for name in names]
    assert reads.signs is not None
    assert reads.signs.tolist() == signs
    network: Any = build(spec, device="cpu")
    x = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    y, activity = network(x, return_activity=True)
    chosen = activity["brain"][..., reads.indices.tolist()]
    torch.testing.assert_close(y, chosen @ network.out.weight.T + network.out.bias)
    columns = zip(signs, network.out.weight.detach().T, strict=True)
    assert all((column * sign >= 0).all() for sign, column in columns)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("{rank: 3}", "ABC"),
        ("{rank: 3.0}", "ABC"),
        ("{rank: -1}", "D"),
        ("{rank: 0.5}", "E"),
        ("{rank: [3, 0.5]}", "ABCE"),
        ("{rank: '3'}", "A"),  # text is text
        ("{rank: ['3', '3.0']}", "AB"),
        ("{rank: [3, '3.0']}", "ABC"),
        ("{code: 7}", "B"),
        ("{code: '007'}", "A"),
        ("{root: 720575940600000001}", "A"),
        ("{root: [720575940600000002, 720575940600000003]}", "BC"),
        ("{sign: 1.0}", "ACD"),
    ],
)
def test_numbers_mean_cells_of_their_value(folder: Path, words: str, names: str) -> None:
    ids = 720_575_940_600_000_001
    more = ["rank,code,root", "3,007", "3.0,7", "+3.00,x7", "-1.0,", ".50,0.7"]
    rows = [f"{row},{cells}" for row, cells in zip(NEURONS.splitlines(), more, strict=False)]
    rows[1:] = [f"{row},{ids + i}" for i, row in enumerate(rows[1:])]
    (folder / "neurons.csv").write_text("\n".join(rows) + "\n")
    reads = spec_of(folder, out(words)).plan.layers["out"].reads
    assert "".join("ABCDE"[i] for i in reads.indices) == names


def test_names_are_text(folder: Path) -> None:
    rows = ["name,kind,sign", *(f"{name},x,1" for name in ("3", "x", "y"))]
    (folder / "neurons.csv").write_text("\n".join(rows) + "\n")
    (folder / "edges.csv").write_text("pre,post\n3,x\nx,y\n")
    assert spec_of(folder, out("{name: 3}")).plan.layers["out"].reads.indices.tolist() == [0]
    (said,) = said_of(folder, out("{name: 3.0}"))
    assert said == "NB302 layers[out].from.name: no unit of `brain` has `name: 3.0`"


@pytest.mark.parametrize("value", ["7.2e17", ".inf", ".nan", "true"])
def test_numbers_that_are_not_exact_mean_nothing(folder: Path, value: str) -> None:
    (said,) = said_of(folder, out(f"{{level: {value}}}"))
    assert said.startswith("NB103 layers[out].from: expected a selection of units")


def test_drawn_selections_are_those_of_a_loop(tmp_path: Path) -> None:
    chosen = 0
    for seed in range(60):
        rng, count = random.Random(seed), itertools.count()
        path = tmp_path / f"{seed}.yaml"

        def next_path(suffix: str, seed: int = seed, count: Any = count) -> Path:
            return tmp_path / f"{seed}-{next(count)}{suffix}"

        drawn = draw_connectome(rng, next_path)
        units = Units.of("brain", drawn)
        found = [*units.selections(areas=False), *units.by_columns(rng), *units.by_columns(rng)]
        layer = {"name": "brain", "type": "ctrnn", "input_dim": 2, "alpha": 0.1}
        brain = layer | {"connectome": drawn.words}
        readers = [
            {"name": f"l{k}", "type": "linear", "output_dim": 1, "from": wanted}
            if isinstance(wanted, str)
            else {
                "name": f"l{k}",
                "type": "linear",
                "output_dim": 1,
                "from": {"layer": "brain"} | wanted,
            }
            for k, (wanted, _) in enumerate(found)
        ]
        path.write_text(json.dumps({"netbuild": 1, "layers": [brain, *readers]}))
        plans = load(path).plan.layers
        for k, (wanted, expected) in enumerate(found):
            assert plans[f"l{k}"].reads.indices.tolist() == expected, (drawn.columns, wanted)
            chosen += 0 < len(expected) < units.size
    assert chosen > 100


def test_projections_connect_the_units_that_are_meant(folder: Path) -> None:
    text = (
        BRAIN + "    input: {projections: [{from: input, to: {kind: [motor, sensory]}},"
        " {from: input, to: {layer: brain, kind: inter, area: M1}, weight: 3}]}\n"
        "  - {name: next, type: ctrnn, alpha: 0.1, areas: {X: {size: 2}, Y: {size: 1}}, input:"
        " {projections: [{from: M1, to: X}, {from: {sign: -1}, to: Y}, {from: {area: ''}, to:"
        " Y}, {from: V1.excitatory, to: Y}]}}\n"
    )
    plans = plan_of(folder, text).layers
    assert connected(plans["brain"].maps["input"]).tolist() == [[True, False, True, True, True]] * 2
    #                                A              B                    C            D      E
    to_x, to_y = [False, False, True, True, False], [True, True, False, False, True]
    assert connected(plans["next"].maps["input"]).T.tolist() == [to_x, to_x, to_y]


@pytest.mark.parametrize("storage", ["dense", "sparse"])
@pytest.mark.parametrize(
    ("words", "sends", "receives"),
    [
        ("{from: {kind: inter}}", "BC", "ABCDE"),
        ("{to: {kind: inter}}", "ABCDE", "BC"),
        ("{from: {sign: excitatory}, to: {kind: [motor, inter]}}", "ACD", "BCDE"),
        ("{from: {name: A}, to: {name: E}}", "A", "E"),
    ],
)
def test_plasticity_between_units(
    folder: Path, storage: str, words: str, sends: str, receives: str
) -> None:
    text = f"{BRAIN}    recurrent: {{plasticity_mask: {words}, storage: {storage}}}\n"
    spec = spec_of(folder, text)
    network: Any = build(spec, device="cpu")
    plan = spec.plan.layers["brain"].maps["recurrent"]
    assert plan.plasticity is not None
    whole = plan.connections.whole(plan.plasticity).T
    for line in EDGES.splitlines()[1:]:
        pre, post, _ = line.split(",")
        learns = pre in sends and post in receives
        assert whole["ABCDE".index(pre), "ABCDE".index(post)] == learns, line
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network.attach(optimizer)
    layer = network.brain.recurrent
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer.step()
    moved = (layer.weight.detach() != before).numpy()
    moved = plan.connections.whole(moved).T
    assert (whole[moved] == 1).all()
    assert moved.any() == (words != "{from: {name: A}, to: {name: E}}")


def test_what_passes_units_on_keeps_their_table(folder: Path) -> None:
    text = (
        BRAIN + "  - {name: drop, type: dropout, p: 0.1, from: {kind: [inter, motor]}}\n"
        "  - {name: two, type: dropout, p: 0.1, from: {area: M1}}\n"
        "  - {name: out, type: linear, output_dim: 1, from: {kind: motor}}\n"
        "  - {name: other, type: linear, output_dim: 1, from: {layer: drop, kind: motor}}\n"
    )
    plans = plan_of(folder, text).layers
    assert plans["two"].reads.indices.tolist() == [1, 2]  # C and D among B, C, D, E
    assert plans["out"].reads.indices.tolist() == [1]
    assert plans["other"].reads.indices.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "{kin: motor}",
            "NB302 layers[out].from.kin: the node table of `brain` has no column `kin`",
        ),
        ("{kind: moter}", "NB302 layers[out].from.kind: no unit of `brain` has `kind: moter`"),
        (
            "{kind: [motor, moter]}",
            "NB302 layers[out].from.kind: no unit of `brain` has `kind: moter`",
        ),
        ("{level: 3}", "NB302 layers[out].from.level: no unit of `brain` has `level: 3`"),
        ("{sign: 2}", "NB302 layers[out].from.sign: no unit of `brain` has `sign: 2`"),
        ("{name: Z}", "NB302 layers[out].from.name: no unit of `brain` has `name: Z`"),
        (
            "{kind: motor, area: V1}",
            "NB302 layers[out].from: no unit of `brain` matches all of this: area=V1&kind=motor",
        ),
        ("{layer: brian, kind: motor}", "NB302 layers[out].from.layer: no layer is named `brian`"),
        ("{layer: 3}", "NB302 layers[out].from.layer: no layer is named `3`"),
        ("{layer: out}", "NB302 layers[out].from.layer: a layer cannot read itself"),
        (
            "{layer: input, kind: motor}",
            "NB302 layers[out].from: the units of `input` have no node table to select by",
        ),
        (
            "{kind: null}",
            "NB103 layers[out].from: expected a selection of units, found a mapping of keys",
        ),
        (
            "{kind: []}",
            "NB103 layers[out].from: expected a selection of units, found a mapping of keys",
        ),
        (
            "[brain]",
            "NB103 layers[out].from: expected a selection of units, found a list",
        ),
        ("V2", "NB302 layers[out].from: no layer is named `V2`"),
    ],
)
def test_units_that_are_not_there(folder: Path, words: str, said: str) -> None:
    assert said_of(folder, out(words)) == [said]


def test_an_area_of_the_table_is_named_alone(folder: Path) -> None:
    assert said_of(folder, out("V1")) == said_of(folder, out("{area: V1}")) == []


def test_signs_that_the_table_does_not_have(folder: Path) -> None:
    (folder / "neurons.csv").write_text(NEURONS.replace("sign", "polarity"))
    for words in ("{sign: excitatory}", "brain.excitatory"):
        (said,) = said_of(folder, out(words))
        assert said.startswith("NB302 layers[out].from")
    assert said_of(folder, out("{polarity: 1}")) == []


def test_the_nearest_word_is_named(folder: Path) -> None:
    (folder / "spec.yaml").write_text(HEAD + out("{kind: moter}"))
    with pytest.raises(SpecError) as caught:
        load(folder / "spec.yaml")
    assert [problem.hint for problem in caught.value.problems] == ["did you mean `motor`?"]


def test_the_code_of_a_selection_explains_selections() -> None:
    meaning = EXPLANATIONS["NB302"].meaning
    assert "{layer: worm, kind: motor}" in meaning
    assert "columns of its node table" in meaning


def test_a_selection_in_a_word_does_not_depend_on_the_order_of_its_keys() -> None:
    assert spelled("V1.excitatory") == "V1.excitatory"
    assert spelled({"kind": ["a", 1], "area": "V1"}) == "area=V1&kind=a,1"
    assert spelled({"area": "V1", "kind": ["a", 1]}) == spelled({"kind": ["a", 1], "area": "V1"})


def test_masks_of_a_projection_are_drawn_alike_however_its_keys_stand(folder: Path) -> None:
    def connected_to(to: str) -> Any:
        words = f"{{from: input, to: {to}, density: 0.5}}"
        text = f"{BRAIN}    input: {{projections: [{words}]}}\n"
        return connected(plan_of(folder, text).layers["brain"].maps["input"])

    found = connected_to("{kind: [inter, motor], level: [2, 30]}")
    np.testing.assert_array_equal(found, connected_to("{level: [2, 30], kind: [inter, motor]}"))
    assert found.sum() == 4


@pytest.mark.parametrize("layer", ["", "layer: input, "])
def test_the_first_layer_reads_no_columns_of_the_input(tmp_path: Path, layer: str) -> None:
    words = f"name: a, type: linear, input_dim: 3, output_dim: 1, from: {{{layer}kind: x}}"
    (said,) = said_of(tmp_path, f"layers: [{{{words}}}]\n")
    assert said == "NB302 layers[a].from: the units of `input` have no node table to select by"
    whole = words.replace(f"{layer}kind: x", "layer: input")
    assert plan_of(tmp_path, f"layers: [{{{whole}}}]\n").layers["a"].reads.size == 3
