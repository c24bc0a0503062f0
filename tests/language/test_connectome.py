"""Layers that are wired by a connectome: units, connections, counts, signs, and what learns."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import HEAD, connected, plan_of, said_of, spec_of
from drawn.connectomes import Drawn, draw_connectome
from edge_lists import read_connectome

from netbuild import connectomes
from netbuild.builder import build
from netbuild.errors import DataFileError, NetbuildError, SpecError
from netbuild.files import door
from netbuild.language import Spec, load
from netbuild.language.connectome import EdgeFile, NeuronFile
from netbuild.language.plan import MapPlan

NEURONS = """\
name,kind,sign,area
A,sensory,1,V1
B,inter,-1,V1
C,inter,1,M1
D,motor,1,M1
"""
EDGES = "pre,post,weight\nA,B,2\nB,C,3\nC,D,1\nD,A,4\nA,C,2\nC,B,5\nB,B,7\nA,B,1\n"
COUNTS = np.array([[0, 3, 2, 0], [0, 7, 3, 0], [0, 5, 0, 1], [4, 0, 0, 0]], np.float32)
SIGNS = np.array([1, -1, 1, 1])
BRAIN = (
    "layers: [{name: brain, type: ctrnn, input_dim: 2, alpha: 0.2, connectome: {edges: edges.csv,"
    " neurons: neurons.csv%s}, recurrent: {weight: connectome%s}}]\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "neurons.csv").write_text(NEURONS)
    return tmp_path


def recurrent_of(folder: Path, own: str = "", words: str = "") -> MapPlan:
    return plan_of(folder, BRAIN % (own, words)).layers["brain"].maps["recurrent"]


def matrix_of(plan: MapPlan) -> Any:
    """(pre, post): the initial weights, however they are kept."""
    assert plan.weight is not None
    return plan.connections.whole(plan.weight).T


def drawn(folder: Path, seed: int) -> tuple[Drawn, Spec]:
    """A random connectome, and a spec that it wires."""
    count = itertools.count()
    found = draw_connectome(random.Random(seed), lambda end: folder / f"{seed}-{next(count)}{end}")
    layer = {"name": "brain", "type": "ctrnn", "input_dim": 2, "alpha": 0.1}
    words = {"connectome": found.words, "recurrent": {"weight": "connectome", "dale": "none"}}
    path = folder / f"{seed}.yaml"
    path.write_text(json.dumps({"netbuild": 1, "seed": seed, "layers": [layer | words]}))
    return found, load(path)


def test_drawn_connectomes_are_what_their_files_say(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(150):
        expected, spec = drawn(tmp_path, seed)
        plan = spec.plan.layers["brain"]
        gives = plan.gives
        assert gives.table is not None
        assert tuple(gives.names) == expected.names
        columns = {key: tuple(gives.table.columns[key]) for key in expected.columns}
        assert columns == expected.columns
        shuffled = expected.control.get("shuffle")
        if shuffled != "signs":
            signs = None if gives.signs is None else tuple(gives.signs.tolist())
            assert signs == expected.signs
        if not {"rewire", "shuffle"} & expected.control.keys():
            found = np.abs(matrix_of(plan.maps["recurrent"]))
            wanted = np.zeros_like(found)
            for (pre, post), count in expected.pairs.items():
                wanted[pre, post] = count
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
        seen |= set(expected.words)
    assert seen >= {"where", "signs", "duplicates", "symmetrize", "min_weight", "unmatched"}


def test_counts_are_weights_under_the_signs_of_the_neurons(folder: Path) -> None:
    plan = recurrent_of(folder)
    np.testing.assert_array_equal(matrix_of(plan), COUNTS * SIGNS[:, None])
    np.testing.assert_array_equal(plan.signs, SIGNS)
    np.testing.assert_array_equal(connected(plan), COUNTS > 0)
    text = (BRAIN % ("", "")).replace(
        "weight: connectome", "weight: {init: connectome, scale: 0.5}, self_connections: false"
    )
    plan = plan_of(folder, text).layers["brain"].maps["recurrent"]
    halves = 0.5 * COUNTS * SIGNS[:, None] * ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(matrix_of(plan), halves)
    np.testing.assert_array_equal(connected(plan), halves != 0)


def test_neurons_without_a_sign_have_positive_counts(folder: Path) -> None:
    (folder / "neurons.csv").write_text(NEURONS.replace("inter,-1", "inter,0"))
    np.testing.assert_array_equal(matrix_of(recurrent_of(folder)), COUNTS)


WORDS = [
    ("", ""),
    (", self_connections: false", ", spectral_radius: 0.8"),
    ("", ", ei_balance: row"),
    ("", ", dale: abs, plasticity_mask: {from: {kind: inter}}"),
    (", learn: scale_per_type, types: kind", ""),
    (", learn: nothing", ""),
    (", control: {rewire: er, shuffle: signs, seed: 1}", ", dale: none"),
]


@pytest.mark.parametrize(("own", "words"), WORDS)
def test_both_storages_compute_the_same(folder: Path, own: str, words: str) -> None:
    found = []
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    for storage in ("dense", "sparse"):
        network: Any = build(spec_of(folder, BRAIN % (own, f"{words}, storage: {storage}")))
        y = network(x)
        y.square().sum().backward()
        scale = getattr(network.brain.recurrent, "scale", None)
        gradients = [network.brain.input.weight.grad, network.brain.recurrent.bias.grad]
        found.append([y.detach(), *gradients, *([scale.grad] if scale is not None else [])])
    for dense, sparse in zip(*found, strict=True):
        torch.testing.assert_close(dense, sparse, atol=1e-5, rtol=1e-4)
    assert found[0][0].any()


def learnt(network: Any) -> set[str]:
    return {name for name, value in network.named_parameters() if value.requires_grad}


def test_what_is_learnt_is_a_choice(folder: Path) -> None:
    others = {"brain.input.weight", "brain.input.bias", "brain.recurrent.bias"}
    for own, expected in (
        ("", {"brain.recurrent.weight"}),
        (", learn: weights", {"brain.recurrent.weight"}),
        (", learn: nothing", set()),
        (", learn: scale_per_type, types: kind", {"brain.recurrent.scale"}),
    ):
        for storage in ("dense", "sparse"):
            network = build(spec_of(folder, BRAIN % (own, f", storage: {storage}")))
            assert learnt(network) == others | expected


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_connections_between_two_types_share_a_factor(folder: Path, storage: str) -> None:
    plan = recurrent_of(folder, ", learn: scale_per_type, types: kind", f", storage: {storage}")
    assert plan.groups is not None
    groups = plan.connections.whole(plan.groups).T
    kinds = ["sensory", "inter", "inter", "motor"]
    for pre, post in zip(*np.nonzero(COUNTS), strict=True):
        assert plan.group_names[groups[pre, post]] == f"{kinds[pre]}->{kinds[post]}"
    assert set(plan.group_names) == {
        *("sensory->inter", "inter->inter", "inter->motor", "motor->sensory"),
    }


# Controls


@pytest.mark.parametrize(
    ("rewire", "shuffle"),
    [
        (rewire, shuffle)
        for rewire in ("degree_preserving", "er", None)
        for shuffle in ("signs", "weights", None)
        if rewire or shuffle
    ],
)
def test_a_control_keeps_what_it_says(
    tmp_path: Path, rewire: str | None, shuffle: str | None
) -> None:
    rng = np.random.default_rng(0)
    pairs = sorted({(int(i), int(j)) for i, j in rng.integers(0, 30, (200, 2)) if i != j})
    rows = [f"n{i},n{j},{rng.integers(1, 50)}" for i, j in pairs]
    (tmp_path / "edges.csv").write_text("\n".join(["pre,post,weight", *rows]) + "\n")
    nodes = [f"n{i},{rng.choice([1, -1, 0])}" for i in range(30)]
    (tmp_path / "neurons.csv").write_text("\n".join(["name,sign", *nodes]) + "\n")
    said = {"rewire": rewire, "shuffle": shuffle, "seed": 3}
    words = ", ".join(f"{key}: {value}" for key, value in said.items() if value is not None)
    plain, first, again, other = (
        recurrent_of(tmp_path, own)
        for own in (
            "",
            f", control: {{{words}}}",
            f", control: {{{words}}}",
            f", control: {{{words.replace('3', '4')}}}",
        )
    )
    before, after = np.abs(matrix_of(plain)), np.abs(matrix_of(first))
    np.testing.assert_array_equal(after, np.abs(matrix_of(again)))
    np.testing.assert_array_equal(first.signs, again.signs)
    assert plain.signs is not None
    assert first.signs is not None
    assert other.signs is not None
    changed = rewire is not None or shuffle is not None
    same = np.array_equal(after, np.abs(matrix_of(other))) and np.array_equal(
        first.signs, other.signs
    )
    assert same != changed
    assert sorted(after[after > 0]) == sorted(before[before > 0])
    assert not after.diagonal().any()
    assert sorted(first.signs) == sorted(plain.signs)
    assert np.array_equal(first.signs, plain.signs) == (shuffle != "signs")
    if rewire is None:
        np.testing.assert_array_equal(after > 0, before > 0)
        assert np.array_equal(after, before) == (shuffle != "weights")
    else:
        assert ((after > 0) != (before > 0)).any()
    for axis in (0, 1):
        kept = np.array_equal((after > 0).sum(axis), (before > 0).sum(axis))
        assert kept == (rewire != "er")


def test_a_control_without_a_seed_goes_by_the_seed_of_the_spec(folder: Path) -> None:
    def weights(seed: int, own: str) -> Any:
        text = f"seed: {seed}\n" + BRAIN % (f", control: {{shuffle: weights{own}}}", "")
        return matrix_of(plan_of(folder, text).layers["brain"].maps["recurrent"])

    found = [weights(seed, "") for seed in range(4)]
    assert any(not np.array_equal(found[0], other) for other in found[1:])
    np.testing.assert_array_equal(found[2], weights(2, ""))
    np.testing.assert_array_equal(weights(0, ", seed: 9"), weights(1, ", seed: 9"))


# Files


def test_files_are_recorded_and_their_changes_are_told(folder: Path) -> None:
    spec = spec_of(folder, BRAIN % ("", ""))
    assert set(spec.files) == {
        "layers[brain].connectome.edges.file",
        "layers[brain].connectome.neurons.file",
    }
    for which, text in (("edges", EDGES), ("neurons", NEURONS)):
        record = spec.files[f"layers[brain].connectome.{which}.file"]
        assert record.reference == f"{which}.csv"
        assert Path(record.path) == folder / f"{which}.csv"
        assert record.size == len(text)
        assert record.sha256 == hashlib.sha256(text.encode()).hexdigest()
    again = pickle.loads(pickle.dumps(spec))
    np.testing.assert_array_equal(
        matrix_of(again.plan.layers["brain"].maps["recurrent"]),
        matrix_of(spec.plan.layers["brain"].maps["recurrent"]),
    )
    (folder / "edges.csv").write_text(EDGES.replace("A,B,2", "A,B,3"))
    assert load(folder / "spec.yaml").hash != spec.hash
    with pytest.raises(NetbuildError, match=r"edges\.csv has changed since"):
        _ = pickle.loads(pickle.dumps(spec)).plan


def test_a_resolved_spec_means_the_same_connectome(folder: Path) -> None:
    spec = spec_of(folder, BRAIN % (", where: {weight: [1, '2']}, control: {rewire: er}", ""))
    (folder / "again.yaml").write_text(spec.to_yaml())
    assert load(folder / "again.yaml").hash == spec.hash


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read as connectomes."""
    names: list[str] = []
    original = connectomes.read_connectome

    def counted(edges: Path, *rest: Any) -> Any:
        names.append(edges.name)
        return original(edges, *rest)

    monkeypatch.setattr(connectomes, "read_connectome", counted)
    return names


def test_one_connectome_of_two_layers_is_read_once(folder: Path, reads: list[str]) -> None:
    words = "connectome: {edges: edges.csv, neurons: neurons.csv%s}"
    other = "{name: two, type: ctrnn, alpha: 0.1, " + words + "}]\n"
    text = (BRAIN % ("", "")).replace("}]\n", "}, " + other)
    found = plan_of(folder, text % "").layers
    assert reads == ["edges.csv"]
    np.testing.assert_array_equal(
        connected(found["two"].maps["recurrent"]), connected(found["brain"].maps["recurrent"])
    )
    del reads[:]
    spec = spec_of(folder, text % ", min_weight: 3")
    assert reads == ["edges.csv"] * 2
    np.testing.assert_array_equal(connected(spec.plan.layers["two"].maps["recurrent"]), COUNTS >= 3)


def test_stages_do_not_read_it_again(folder: Path, reads: list[str]) -> None:
    np.savez(folder / "task.npz", x=np.zeros((8, 3, 2), np.float32), y=np.zeros((8, 3), int))
    text = (BRAIN % ("", "")) + (
        "task: {type: arrays, file: task.npz, inputs: x, targets: y}\n"
        "training:\n  steps: 3\n  batch_size: 2\n  stages:\n"
        "  - {name: a, steps: 1, set: {training.optimizer.lr: 0.5}}\n  - {name: b}\n"
    )
    spec = spec_of(folder, text)
    assert len(spec.stages) == 2
    assert reads == ["edges.csv"]
    plans = [stage.plan.layers["brain"].maps["recurrent"] for stage in (spec, *spec.stages)]
    for plan in plans[1:]:
        np.testing.assert_array_equal(matrix_of(plan), matrix_of(plans[0]))


def test_signs_that_contradict_each_other(folder: Path) -> None:
    (said,) = said_of(folder, BRAIN % (", signs: {ach: 1, GABA: -1, ACH: -1}", ""))
    assert said.startswith("NB308 layers[brain].connectome.signs.ACH: `signs` gives")
    assert said_of(folder, BRAIN % (", signs: {ach: 1, GABA: -1, ACH: 1}", "")) == []


@pytest.mark.parametrize(
    ("edges", "neurons", "at"),
    [
        (EDGES + "A,Z,1\n", NEURONS, "NB212 layers[brain].connectome.edges.file"),
        (EDGES.replace("A,B,2", "A,B,-2"), NEURONS, "NB205 layers[brain].connectome.edges.file"),
        (EDGES, NEURONS + "A,motor,1,V1\n", "NB212 layers[brain].connectome.neurons.file"),
        (EDGES, NEURONS.replace("-1", "x"), "NB214 layers[brain].connectome.neurons.file"),
        ("x\n", NEURONS + "A,motor,1,V1\n", "NB211 layers[brain].connectome.edges.file"),
        (EDGES, "", "NB204 layers[brain].connectome.neurons.file"),
        ("", NEURONS, "NB204 layers[brain].connectome.edges.file"),
    ],
)
def test_the_file_at_fault_is_named(folder: Path, edges: str, neurons: str, at: str) -> None:
    (folder / "edges.csv").write_text(edges)
    (folder / "neurons.csv").write_text(neurons)
    (said,) = said_of(folder, BRAIN % ("", ""))
    assert said.startswith(f"{at}: ")
    name = at.split(".")[-2]
    assert f"{name}.csv" in said


WRONG_COLUMNS = [
    ("edges: {file: edges.csv, pre: from, post: to}", "edges.pre: edges.csv has no column from"),
    ("edges: {file: edges.csv, pre: pre, post: to}", "edges.post: edges.csv has no column to"),
    ("edges: {file: edges.csv, post: post}", "edges.post: of the two columns of neurons"),
    ("edges: {file: edges.csv, weight: wieght}", "edges.weight: edges.csv has no column wieght"),
    ("edges: {file: edges.csv, transmitter: nt}", "edges.transmitter: edges.csv has no column nt"),
    ("edges: {file: edges.csv, rows: pre}", "edges.rows: edges.csv is an edge list, and `rows`"),
    ("edges: {file: edges.csv, array: a}", "edges.array: edges.csv is an edge list, and `array`"),
    ("edges: {file: m.npy, rows: pre, weight: w}", "edges.weight: m.npy is a matrix, and `weight`"),
    ("edges: {file: m.npy, rows: pre, array: a}", "edges.array: only an .npz or .mat has named"),
    ("edges: {file: g.graphml, weight: w}", "edges.weight: g.graphml has no edge attribute w"),
    ("edges: {file: g.graphml, rows: pre}", "edges.rows: g.graphml is a graph, and each"),
    ("edges: edges.csv, where: {Tipe: x}", "where.Tipe: edges.csv has no column Tipe"),
    ("edges: edges.csv, where: {weight: [8, 9]}", "where.weight: no row of edges.csv has 8 or 9"),
    ("edges: g.graphml, where: {Tipe: x}", "where.Tipe: g.graphml has no edge attribute Tipe"),
    ("edges: {file: m.npy, rows: pre}, where: {a: x}", "where: m.npy is a matrix, and `where`"),
    (
        "edges: edges.csv, neurons: {file: neurons.csv, name: nam}",
        "neurons.name: neurons.csv has no column nam",
    ),
    (
        "edges: edges.csv, neurons: {file: neurons.csv, sign: sing}",
        "neurons.sign: neurons.csv has no column sing",
    ),
    ("edges: {file: worm.npz, weight: w}", "edges.weight: worm.npz is a whole connectome, read"),
]


@pytest.mark.parametrize(("words", "said"), WRONG_COLUMNS)
def test_the_key_at_fault_is_named(folder: Path, words: str, said: str) -> None:
    np.save(folder / "m.npy", np.ones((4, 4)))
    (folder / "g.graphml").write_text(
        '<graphml><graph edgedefault="directed"><node id="A"/><node id="B"/>'
        '<edge source="A" target="B"/></graph></graphml>'
    )
    found = read_connectome(folder / "edges.csv", None)
    connectomes.write_native(found, folder / "worm.npz")
    text = (BRAIN % ("", "")).replace("edges: edges.csv, neurons: neurons.csv", words)
    (folder / "spec.yaml").write_text(HEAD + text)
    with pytest.raises(SpecError) as caught:
        load(folder / "spec.yaml")
    (problem,) = caught.value.problems
    path = f"layers[brain].connectome.{said.partition(':')[0]}"
    assert f"{problem.path}: {problem.what}".startswith(f"layers[brain].connectome.{said}")
    assert problem.path == path
    assert problem.place is not None
    marked = problem.place.text[problem.place.column - 1 : problem.place.end_column - 1]
    key = path.rpartition(".")[2]
    value = re.search(rf"\b{key}: (\[[^]]*\]|[^,}}]+)", words)
    assert value is not None
    assert marked == (key if "where" in path and "no row" not in said else value[1])


def test_an_error_of_a_key_can_travel_between_processes() -> None:
    error = DataFileError("NB211", "what", "hint", key=("where", "Type"))
    again = pickle.loads(pickle.dumps(error))
    assert (again.key, again.code, again.what, again.hint) == (
        *(("where", "Type"), "NB211", "what", "hint"),
    )


def test_the_language_says_which_files_are_read() -> None:
    for model, suffixes in ((EdgeFile, door.EDGES), (NeuronFile, door.TABLES)):
        said = model.model_fields["file"].description
        assert said is not None
        assert {*re.findall(r"\.[a-z]+", said)} == {*suffixes, ".gz"}


def test_files_outside_of_the_project_are_refused(folder: Path) -> None:
    (folder / "pyproject.toml").touch()
    inside = folder / "inside"
    inside.mkdir()
    (inside / "pyproject.toml").touch()
    text = (BRAIN % ("", "")).replace("edges.csv", "../edges.csv")
    said = said_of(inside, text.replace("neurons.csv", "../neurons.csv"))
    assert [line.partition(":")[0] for line in said] == [
        "NB203 layers[brain].connectome.edges.file",
        "NB203 layers[brain].connectome.neurons.file",
    ]


# Linear layers

LINEAR = (
    "{name: %s, type: linear, connectome: {edges: edges.csv, neurons: neurons.csv%s},"
    " weight: connectome%s}"
)


def test_a_linear_layer_is_wired_from_the_units_that_it_reads(folder: Path) -> None:
    first = LINEAR % ("a", "", ", input_dim: 4")
    plans = plan_of(folder, f"layers: [{first}, {LINEAR % ('b', '', '')}]\n").layers
    for plan in plans.values():
        np.testing.assert_array_equal(connected(plan.maps[""]), COUNTS > 0)
    second = plans["b"].maps[""]
    np.testing.assert_array_equal(matrix_of(second), COUNTS * SIGNS[:, None])


def test_a_linear_layer_reads_one_unit_for_each_neuron(folder: Path) -> None:
    (said,) = said_of(folder, f"layers: [{LINEAR % ('a', '', ', input_dim: 3')}]\n")
    assert said.startswith("NB301 layers[a].connectome: the connectome has 4 neurons, and this")
    (folder / "other.csv").write_text(NEURONS.replace("A,", "Q,").replace("D,", "A,"))
    first = (LINEAR % ("a", ", unmatched: drop", ", input_dim: 4")).replace(
        "neurons.csv", "other.csv"
    )
    (said,) = said_of(folder, f"layers: [{first}, {LINEAR % ('b', '', '')}]\n")
    assert said.startswith("NB301 layers[b].connectome: the units of `a` have other names")


def test_sizes_may_be_written_if_they_are_right(folder: Path) -> None:
    for size, problems in ((4, 0), (5, 1)):
        text = (BRAIN % ("", "")).replace("alpha", f"size: {size}, alpha")
        assert len(said_of(folder, text)) == problems
        linear = LINEAR % ("a", "", f", input_dim: 4, output_dim: {size}")
        assert len(said_of(folder, f"layers: [{linear}]\n")) == problems


@pytest.mark.parametrize(
    "own",
    ["tau: {values: [20, 30, 40, 50], learn: true}", "alpha: [0.1, 0.2, 0.3, 1]", "tau: t.npy"],
)
def test_values_of_units_are_as_many_as_neurons(folder: Path, own: str) -> None:
    text = "dt: 10\n" + (BRAIN % ("", "")).replace("alpha: 0.2", own)
    plan = spec_of(folder, text, t=np.array([20, 30, 40, 50])).plan.layers["brain"]
    assert plan.arguments["alpha"]["value"].shape == (4,)
    (said,) = said_of(folder, text.replace("50]", "50, 60]").replace("1]", "1, 1]"), t=np.ones(5))
    assert said.endswith("this layer expects (size=4,)")


def test_memory_goes_by_the_connections_where_they_alone_are_kept(tmp_path: Path) -> None:
    n, rng = 3000, np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, n * n, 20_000))
    rows = [f"{pair // n},{pair % n}" for pair in pairs]
    ring = [f"{i},{(i + 1) % n}" for i in range(n)]
    (tmp_path / "edges.csv").write_text("\n".join(["pre,post", *rows, *ring]) + "\n")
    text = (BRAIN % ("", ", storage: STORAGE")).replace(", neurons: neurons.csv", "")
    path = tmp_path / "spec.yaml"
    for storage, fits in (("sparse", True), ("auto", True), ("dense", False)):
        path.write_text(HEAD + text.replace("STORAGE", storage))
        if fits:
            spec = load(path, memory_limit=10_000_000)
            assert spec.plan.layers["brain"].maps["recurrent"].connections.is_sparse
        else:
            with pytest.raises(SpecError, match="training needs 306"):
                load(path, memory_limit=10_000_000)


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        (BRAIN % ("", ""), {"torch"}),
        ("layers: [{name: a, type: linear, input_dim: 2, output_dim: 2}]\n", {"torch", "polars"}),
    ],
)
def test_words_wait_for_no_library_that_they_do_not_need(
    folder: Path, text: str, modules: set[str]
) -> None:
    spec_of(folder, text)
    program = "import sys, netbuild.language as c; c.load(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-c", program, str(folder / "spec.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not modules & set(result.stdout.split())
