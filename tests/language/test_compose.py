"""What a file extends, what overrides it, and what comes of the two."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.errors import DataFileError, Place, SpecError
from netbuild.language.compose import MAX_DEPTH, Composed, merge, split_override
from netbuild.language.context import Parsed
from netbuild.language.dump import inline
from netbuild.language.parse import parse_document
from netbuild.yamltree.document import Document, parse
from netbuild.yamltree.nodes import Node, plain
from netbuild.yamltree.paths import PathError

NOWHERE = Place("test")
BASE = """netbuild: 1
layers:
  - {name: hidden, type: linear, input_dim: 4, output_dim: 8, weight: normal}
training:
  steps: 10
  optimizer: {type: Adam, lr: 1e-2, betas: [0.8, 0.9], schedule: cosine}
"""


def beside(reference: str, folder: Path) -> Path:
    if not (folder / reference).is_file():
        raise DataFileError("NB202", f"there is no file {reference}", "look again")
    return (folder / reference).resolve()


def loaded(text: str, folder: Path = Path(), set: tuple[str, ...] = (), **more: Any) -> Parsed:
    document = Document("spec.yaml", parse(text, "spec.yaml"), folder, text)
    return parse_document(document, beside, set, **more)


def data_of(parsed: Parsed) -> Any:
    assert not parsed.problems
    return plain(parsed.tree.root)


def problems(text: str, folder: Path = Path(), set: tuple[str, ...] = (), **more: Any) -> list[str]:
    try:
        found = loaded(text, folder, set, **more).problems
    except SpecError as error:
        found = error.problems
    return [f"{p.place} {p.code} {p.what}" for p in found]


# merge


def node_of(data: object) -> Node:
    if isinstance(data, Mapping):
        return Node({str(key): node_of(value) for key, value in data.items()}, NOWHERE)
    if isinstance(data, list):
        return Node([node_of(value) for value in data], NOWHERE)
    return Node(data, NOWHERE)  # type: ignore[arg-type]


DATA = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda below: st.dictionaries(st.sampled_from("abcd"), below, max_size=4),
    max_leaves=12,
)
MAPS = st.dictionaries(st.sampled_from("abcd"), DATA, max_size=4)


def merged(base: object, over: object) -> Any:
    return plain(merge(node_of(base), node_of(over)))


@given(MAPS, MAPS)
def test_a_merge_has_every_key_and_the_upper_value(base: Any, over: Any) -> None:
    found = merged(base, over)
    assert found.keys() == base.keys() | over.keys()
    for key, value in found.items():
        if key not in over:
            assert value == base[key]
        elif isinstance(over[key], dict) and isinstance(base.get(key), dict):
            assert value == merged(base[key], over[key])
        else:
            assert value == over[key]


@given(MAPS, MAPS, MAPS)
def test_merging_is_associative_where_the_shapes_agree(a: Any, b: Any, c: Any) -> None:
    def shape(data: Any, path: str = "") -> set[tuple[str, bool]]:
        below = data.items() if isinstance(data, dict) else ()
        inner = {found for key, value in below for found in shape(value, f"{path}.{key}")}
        return {(path, isinstance(data, dict))} | inner

    shapes = shape(a) | shape(b) | shape(c)
    if len({path for path, _ in shapes}) == len(shapes):
        assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(MAPS)
def test_merging_with_nothing_or_itself_changes_nothing(data: Any) -> None:
    assert merged(data, {}) == merged({}, data) == merged(data, data) == data


@given(MAPS, MAPS)
def test_merging_leaves_both_as_they_were(base: Any, over: Any) -> None:
    below, above = node_of(base), node_of(over)
    merge(below, above)
    assert (plain(below), plain(above)) == (base, over)


# extends


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_sections_merge_lists_and_short_forms_replace(tmp_path: Path) -> None:
    write(tmp_path, base=BASE)
    data = data_of(loaded("extends: base.yaml\ntraining: {optimizer: {lr: 1}}\n", tmp_path))
    optimizer = data["training"]["optimizer"]
    assert optimizer == {
        "type": "Adam",
        "lr": 1,
        "betas": [0.8, 0.9],
        "schedule": {"type": "cosine"},
    }
    assert data["training"]["steps"] == 10
    data = data_of(loaded("extends: base.yaml\ntraining: {optimizer: Adam}\n", tmp_path))
    assert data["training"]["optimizer"] == {"type": "Adam"}


def test_a_change_of_kind_drops_what_the_new_kind_lacks(tmp_path: Path) -> None:
    write(tmp_path, base=BASE)
    text = "extends: base.yaml\ntraining: {optimizer: {type: SGD}}\n"
    optimizer = data_of(loaded(text, tmp_path))["training"]["optimizer"]
    assert optimizer == {"type": "SGD", "lr": 0.01, "schedule": {"type": "cosine"}}


def test_later_bases_win_and_set_comes_last(tmp_path: Path) -> None:
    write(tmp_path, a=BASE + "seed: 1\nname: a\n", b="seed: 2\nset: {name: from-b}\n")
    text = "extends: [a.yaml, b.yaml]\ndevice: cpu\nset: {device: cuda}\n"
    data = data_of(loaded(text, tmp_path))
    assert (data["seed"], data["name"], data["device"]) == (2, "from-b", "cuda")
    assert "extends" not in data
    assert "set" not in data


def test_bases_may_meet_again(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, a="extends: base.yaml\nseed: 1\n", b="extends: base.yaml\nname: b\n")
    data = data_of(loaded("extends: [a.yaml, b.yaml]\n", tmp_path))
    assert (data["seed"], data["name"]) == (1, "b")


def test_folders_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", base=BASE + "seed: -1\n")
    parsed = loaded("extends: sub/base.yaml\nname: ''\n", tmp_path)
    assert parsed.folders == {"spec.yaml": tmp_path, "sub/base.yaml": tmp_path / "sub"}
    assert [str(p.place) for p in parsed.problems] == ["spec.yaml:2:7", "sub/base.yaml:7:7"]


def test_extends_goes_so_deep_and_no_deeper(tmp_path: Path) -> None:
    for i in range(MAX_DEPTH + 1):
        (tmp_path / f"f{i}.yaml").write_text(f"extends: f{i + 1}.yaml\n")
    (tmp_path / f"f{MAX_DEPTH}.yaml").write_text(BASE)
    assert data_of(loaded("extends: f0.yaml", tmp_path))["netbuild"] == 1
    (tmp_path / f"f{MAX_DEPTH}.yaml").write_text(f"extends: f{MAX_DEPTH + 1}.yaml")
    (tmp_path / f"f{MAX_DEPTH + 1}.yaml").write_text(BASE)
    assert "NB112 more than 16 files deep" in problems("extends: f0.yaml", tmp_path)[0]


def test_extends_cannot_explode(tmp_path: Path) -> None:
    for i in range(15):
        (tmp_path / f"f{i}.yaml").write_text(f"extends: [f{i + 1}.yaml, f{i + 1}.yaml]\n")
    (tmp_path / "f15.yaml").write_text(BASE)
    began = time.process_time()
    assert "NB006" in problems("extends: [f0.yaml, f0.yaml]", tmp_path)[0]
    (tmp_path / "large.yaml").write_text("# " + "x" * 600_000 + "\nnetbuild: 1\n")
    (tmp_path / "other.yaml").write_text("# " + "x" * 600_000 + "\nnetbuild: 1\n")
    assert "larger than 1 MiB" in problems("extends: [large.yaml, other.yaml]", tmp_path)[0]
    assert time.process_time() - began < 5


def test_each_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, base=BASE)
    text = "extends: [base.yaml, base.yaml]"
    composed = Composed(Document("x.yaml", parse(text, "x.yaml"), tmp_path, text), beside)
    assert len(composed.extended) == 1


# set, --set, --unset


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a=1", ("a", "=", 2)),
        ("a.b+=[1]", ("a.b", "+=", 5)),
        ("l[x=y].w=a=b", ("l[x=y].w", "=", 9)),
        ("a =1", ("a ", "=", 3)),
        ("a=", ("a", "=", 2)),
        ("=", ("", "=", 1)),
    ],
)
def test_overrides_split_at_the_first_sign_outside_brackets(text: str, parts: object) -> None:
    assert split_override(text) == parts


def test_an_override_without_a_sign() -> None:
    with pytest.raises(PathError, match="PATH=VALUE"):
        split_override("training.steps")


@given(
    st.recursive(st.integers(-999, 999) | st.booleans() | st.text("ab: [", max_size=4), st.lists)
)
def test_values_of_overrides_are_read_as_those_of_files(value: object) -> None:
    parsed = loaded(BASE, set=(f"training.x.y={inline(value)}",))
    assert plain(parsed.tree.root)["training"]["x"]["y"] == value


def test_overrides_apply_in_order_and_reach_into_short_forms() -> None:
    changes = (
        "layers[hidden].weight.std=0.5",
        "layers[0].bias=zero",
        "training.optimizer.type=SGD",
        "training.optimizer.momentum=0.5",
        "regularizers+={type: L1, params: a}",
        "regularizers[0].params+=b",
        "training.clip_grad_norm=null",
        "training.clip_grad_norm=2",
    )
    data = data_of(loaded(BASE, set=changes, unset=("training.optimizer.lr",)))
    layer = data["layers"][0]
    assert layer["weight"] == {"init": "normal", "std": 0.5}
    assert layer["bias"] == {"init": "zero"}
    assert data["training"] == {
        "steps": 10,
        "optimizer": {"type": "SGD", "momentum": 0.5, "schedule": {"type": "cosine"}},
        "clip_grad_norm": 2,
    }
    assert data["regularizers"] == [{"type": "L1", "params": ["a", "b"]}]


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        ("layers[hidden].weight.init=zero", {"init": "zero", "learn": False}),
        ("layers[hidden].weight.file=w.npy", {"file": "w.npy", "learn": False}),
        ("layers[hidden].weight.std=2", {"init": "normal", "std": 2, "learn": False}),
        ("layers[hidden].weight={std: 2}", {"std": 2}),
        ("layers[hidden].weight=w.npy", {"file": "w.npy"}),
    ],
)
def test_an_override_may_change_what_kind_a_section_is(change: str, weight: object) -> None:
    text = BASE.replace("weight: normal", "weight: {init: normal, std: 1, learn: false}")
    data = plain(loaded(text, set=(change,)).tree.root)
    assert data["layers"][0]["weight"] == weight


def test_overrides_that_share_an_alias_do_not_share_its_value() -> None:
    text = (
        BASE
        + """set:
  training.evaluate: &e {every: 5}
  training.checkpoint: *e
  training.checkpoint.every: 7
"""
    )
    training = data_of(loaded(text))["training"]
    assert (training["evaluate"], training["checkpoint"]) == ({"every": 5}, {"every": 7})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.steps=x", "--set #1, column 16 NB103 expected a whole number"),
        ("training.steps = x", "--set #1, column 18 NB103 expected a whole number"),
        (" training.stesp=1", "--set #1, column 11 NB101 unknown key `stesp`"),
        ("trainign.steps=1", "--set #1, column 1 NB101 unknown key `trainign`"),
        ("layers[x].a=1", "--set #1, column 7 NB110 no item is named `x`"),
        ("  layers[x].a=1", "--set #1, column 9 NB110 no item is named `x`"),
        ("training={steps: [}", "--set #1, column 19 NB003 a value is missing"),
        ("seed=014", "--set #1, column 6 NB007"),
        ("seed=", "--set #1, column 1 NB103 this key has no value"),
        ("seed=1\nname: x", "--set #1, column 5 NB003"),
        ("layers[hidden].weight={init: uniform, lwo: 1}", "--set #1, column 39 NB101"),
        ("a.b" * 80 + "=1", "--set #1, column 1 NB110 a path of 81 steps"),
    ],
)
def test_problems_of_overrides_are_placed_in_them(change: str, said: str) -> None:
    found = problems(BASE, set=(change,))
    assert found[0].startswith(said), found


def test_problems_of_all_overrides_are_told() -> None:
    found = problems(BASE, set=("a", "layers[x].y=1", "seed=2"), unset=("name", "layers"))
    assert [text.split(" NB")[0] for text in found] == [
        *("--set #1, column 1", "--set #2, column 7", "--unset #1, column 1", "spec.yaml:1:1")
    ]
    assert "the key `layers` is missing" in found[-1]  # what is wrong with the rest


def test_an_override_that_fails_changes_nothing() -> None:
    assert len(problems(BASE, set=("training.evaluate.every[0]=1",))) == 1
    assert len(problems(BASE, set=("foo[0]=1",))) == 1


def test_the_default_kind_is_written_out_at_the_end() -> None:
    layers = "netbuild: 1\nlayers: [{name: a, type: linear, input_dim: 4, output_dim: 8}]\n"

    def optimizer(text: str, *set: str) -> Any:
        return plain(loaded(layers + text, set=set).tree.root)["training"]["optimizer"]

    assert optimizer("", "training.optimizer.lr=0.1") == {"type": "Adam", "lr": 0.1}
    written = "training: {optimizer: {schedule: cosine}}\n"
    assert optimizer(written) == {"type": "Adam", "schedule": {"type": "cosine"}}
    assert optimizer(written, "training.optimizer.type=SGD")["type"] == "SGD"
    assert optimizer("training: {optimizer: {type: AdamW}}\n", "training.optimizer.lr=0.1") == {
        "type": "AdamW",
        "lr": 0.1,
    }
    assert "type" not in optimizer("training: {optimizer: {momentum: 0.9}}\n")


def test_places_inside_set_are_in_the_key() -> None:
    text = BASE + "set:\n  training.stesp: 3\n  'layers[x].y': 1\n"
    assert "spec.yaml:9:10 NB110" in problems(text)[0]
    text = BASE + "set:\n  training.stesp: 3\n"
    assert problems(text) == ["spec.yaml:8:12 NB101 unknown key `stesp`"]
