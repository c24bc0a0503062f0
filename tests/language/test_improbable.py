"""Warnings of units without a connection: where, which, and only where no other map has one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from checks import HEAD, spec_of

from netbuild.errors import Exit, Problem, SpecError
from netbuild.language import load

LAYER = "{{name: {}, type: linear, output_dim: {}, {}}}"
NONE = "sparsity_mask: {generate: fixed_indegree, connections: 0}"
ONE = "sparsity_mask: {file: m.npy, rows: pre}"


def network(*layers: tuple[str, int, str], input_dim: int = 4) -> str:
    items = [LAYER.format(*layer) for layer in layers]
    items[0] = items[0].replace("output_dim", f"input_dim: {input_dim}, output_dim")
    return f"layers: [{', '.join(items)}]\n"


def told(folder: Path, text: str, mask: object = None) -> list[str]:
    arrays = {} if mask is None else {"m": np.asarray(mask)}
    return [f"{w.code} {w.path}: {w.what}" for w in spec_of(folder, text, **arrays).warnings]


def test_units_that_no_map_reaches_or_reads_are_told_and_no_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for density in np.linspace(0, 1, 40):
        mask = (rng.random((5, 7)) < density).astype(np.uint8)
        deaf = np.flatnonzero(~mask.any(axis=0)).tolist()
        mute = np.flatnonzero(~mask.any(axis=1)).tolist()
        seen.add((bool(deaf), bool(mute)))
        (line,) = told(tmp_path, network(("a", 7, ONE), input_dim=5), mask) or [""]
        if not mask.any():
            assert line.startswith("NB601 layers[a].sparsity_mask: no connection at all: `a`")
            continue
        parts = line.removeprefix("NB602 layers[a].sparsity_mask: ").split("; ") if line else []
        expected = [
            (len(units), size, name, units)
            for units, size, name in ((deaf, 7, "a"), (mute, 5, "input"))
            if units
        ]
        assert len(parts) == len(expected)
        for part, (count, size, name, units) in zip(parts, expected, strict=True):
            assert part.startswith(f"{count} of {size} units of `{name}` ")
            assert part.endswith(f" no connection: {', '.join(map(str, units))}")
    assert seen == {(False, False), (True, False), (False, True), (True, True)}


def test_rows_that_are_postsynaptic_are_receiving(tmp_path: Path) -> None:
    mask = [[1, 0, 1], [0, 0, 0]]  # the second of two units receives nothing
    text = network(("a", 2, "sparsity_mask: {file: m.npy, rows: post}"), input_dim=3)
    (warning,) = spec_of(tmp_path, text, m=np.array(mask)).warnings
    assert warning.what == (
        "1 of 2 units of `a` receives no connection: 1; 1 of 3 units of `input` sends no"
        " connection: 1"
    )
    assert "rows are receiving units and whose columns sending ones" in warning.hint


def test_a_unit_that_another_map_reads_is_not_alone(tmp_path: Path) -> None:
    half = [[1, 1], [1, 1], [0, 0], [0, 0]]
    other = [[0, 0], [0, 0], [1, 0], [1, 1]]
    lone = network(("a", 4, "bias: zero"), ("b", 2, ONE))
    assert told(tmp_path, lone, half) == [
        "NB602 layers[b].sparsity_mask: 2 of 4 units of `a` send no connection: 2, 3"
    ]
    both = network(("a", 4, "bias: zero"), ("b", 2, ONE), ("c", 2, "from: a"))
    assert told(tmp_path, both, half) == []
    np.save(tmp_path / "n.npy", np.array(other))
    pieces = network(
        ("a", 4, "bias: zero"), ("b", 2, ONE), ("c", 2, f"from: a, {ONE.replace('m.', 'n.')}")
    )
    assert told(tmp_path, pieces, half) == []


def test_units_behind_dropout_and_of_one_sign_are_named_as_the_layer_has_them(
    tmp_path: Path,
) -> None:
    text = (
        "layers: [{name: a, type: linear, input_dim: 2, output_dim: 6, excitatory: 0.5},"
        " {name: d, type: dropout, p: 0.1, from: a.inhibitory},"
        " {name: e, type: dropout, p: 0.1},"
        " {name: b, type: linear, from: e, output_dim: 2, sparsity_mask: m.npy}]\n"
    )
    assert told(tmp_path, text, [[0, 1], [0, 0], [1, 1]]) == [
        "NB602 layers[b].sparsity_mask: 1 of 6 units of `a` sends no connection: 4"
    ]


AREAS = "areas: {A: {size: 2}, B: {size: 3}}"
RECURRENT = f"{{name: h, type: ctrnn, input_dim: 2, alpha: 0.1, {AREAS}, recurrent: {{WORDS}}}}"
OUT = "{name: out, type: linear, output_dim: 2}"


def test_maps_of_a_recurrent_layer_are_looked_at_together(tmp_path: Path) -> None:
    one_way = RECURRENT.replace("WORDS", "projections: [{from: A, to: B}]")
    assert told(tmp_path, f"layers: [{one_way}, {OUT}]\n") == []  # all read input, and are read
    deaf = one_way.replace("recurrent:", "input: {projections: [{from: input, to: A}]}, recurrent:")
    deaf = deaf.replace("{from: A, to: B}", "{from: A, to: A}")
    assert told(tmp_path, f"layers: [{deaf}, {OUT}]\n") == [
        f"NB602 layers[h].{key}.projections: 3 of 5 units of `h` receive no connection: 2, 3, 4"
        for key in ("input", "recurrent")
    ]
    mute = f"layers: [{one_way}, {OUT[:-1]}, from: A}}]\n"
    assert told(tmp_path, mute) == [
        "NB602 layers[h].recurrent.projections: 3 of 5 units of `h` send no connection: 2, 3, 4"
    ]


def test_units_of_the_last_layer_are_read_as_the_output(tmp_path: Path) -> None:
    for words in ("projections: [{from: A, to: B}]", "density: 0.2"):
        assert told(tmp_path, f"layers: [{RECURRENT.replace('WORDS', words)}]\n") == []


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("projections: [{from: A, to: A}]", "add a projection"),
        (
            "projections: [{from: A, to: A, density: 1}]",
            "add a projection, or raise the `density` of one",
        ),
        ("density: 0", "raise `density`"),
    ],
)
def test_the_cure_for_a_recurrent_map(tmp_path: Path, words: str, cure: str) -> None:
    text = f"layers: [{RECURRENT.replace('WORDS', words)}, {OUT[:-1]}, from: A}}]\n"
    (warning,) = spec_of(tmp_path, text).warnings
    assert warning.hint.endswith(cure)


def test_long_lists_are_cut(tmp_path: Path) -> None:
    mask = np.zeros((2, 2000))
    mask[:, :10] = 1
    (line,) = told(tmp_path, network(("a", 2000, ONE), input_dim=2), mask)
    assert line.endswith(": 10, 11, 12, 13, 14, 15, 16, 17 and 1,982 more")


@pytest.mark.parametrize(
    ("words", "path", "hint"),
    [
        ("density: 0.01", "density", "raise `density`"),
        ("sparsity_mask: {generate: random, density: 0}", "sparsity_mask", "raise `density`"),
        (NONE, "sparsity_mask", "raise `connections`"),
        ("sparsity_mask: {file: m.npy, rows: pre}", "sparsity_mask", "write 1 where"),
        (
            "sparsity_mask: {file: m.npy, rows: pre, threshold: 3}",
            "sparsity_mask",
            "lower `threshold`, or write 1 where",
        ),
    ],
)
def test_each_source_has_its_place_and_its_cure(
    tmp_path: Path, words: str, path: str, hint: str
) -> None:
    text = network(("a", 4, words))
    (warning,) = spec_of(tmp_path, text, m=np.zeros((4, 4))).warnings
    assert (warning.code, warning.path) == ("NB601", f"layers[a].{path}")
    assert warning.hint.startswith(hint)


def test_the_only_connection_of_one_unit_with_itself(tmp_path: Path) -> None:
    (warning,) = spec_of(
        tmp_path, network(("a", 1, "self_connections: false"), input_dim=1)
    ).warnings
    assert (warning.code, warning.path) == ("NB601", "layers[a].self_connections")


def test_a_density_hint_gives_each_unit_a_connection(tmp_path: Path) -> None:
    (warning,) = spec_of(tmp_path, network(("a", 60, "density: 0.3"))).warnings
    mask = warning.hint.partition("`sparsity_mask: ")[2].rstrip("`")
    assert told(tmp_path, network(("a", 60, f"sparsity_mask: {mask}"))) == []


def test_warnings_come_in_the_order_of_the_file_and_travel(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, network(("a", 40, "density: 0.2"), ("b", 2, NONE)))
    assert isinstance(spec.warnings, tuple)
    assert [w.path for w in spec.warnings] == ["layers[a].density", "layers[b].sparsity_mask"]
    for warning in spec.warnings:
        assert (warning.severity, warning.exit_code) == ("warning", Exit.DONE)
        assert warning.place is not None
        assert warning.place.line == 2
    assert pickle.loads(pickle.dumps(spec)).warnings == spec.warnings
    assert spec_of(tmp_path, network(("a", 4, "density: 1"))).warnings == ()


def test_warnings_of_a_wrong_spec_are_told_beside_its_problems(tmp_path: Path) -> None:
    text = network(("a", 4, NONE), ("b", 2, "density: 30"))
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, text)
    assert [problem.code for problem in caught.value.problems] == ["NB104"]
    assert [warning.code for warning in caught.value.warnings] == ["NB601"]
    assert caught.value.exit_code == Exit.SPEC
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.problems, again.warnings) == (caught.value.problems, caught.value.warnings)


@pytest.mark.parametrize("name", ["a", "input", "b"])
def test_layers_whose_names_are_wrong_break_nothing(tmp_path: Path, name: str) -> None:
    text = network(("a", 9, "density: 0.2"), (name, 4, "density: 0.3"), ("c", 2, "density: 0.1"))
    (tmp_path / "spec.yaml").write_text(HEAD + text)
    try:
        found = load(tmp_path / "spec.yaml").warnings
    except SpecError as error:
        found = error.warnings
    assert found if name == "b" else all(isinstance(each, Problem) for each in found)
