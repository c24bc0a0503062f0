"""The JSON Schema: what editors are told agrees with what the program does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus import INVALID, VALID, head_of
from drawn.specs import draw_spec
from places import ROOT

from netbuild.errors import SpecError
from netbuild.language.context import Locator
from netbuild.language.dump import dump_yaml
from netbuild.language.parse import parse_document
from netbuild.language.schema import schema_text
from netbuild.yamltree.document import parse, read
from netbuild.yamltree.nodes import plain
from schemas import accepts, validator

FILE = ROOT / "schemas" / "netbuild-1.json"
# What no schema can tell: JSON has no 4.0 that is not 4, no NaN, and short forms are any text.
BEYOND_SCHEMAS = {
    *("seed-float", "version-float", "optimizer-lr-nan", "trap-nan", "trap-inf"),
    *("init-constant-without-value", "training-no-length", "stop-when-empty", "task-without-file"),
    *("init-range", "init-too-large", "task-divide-zero"),
}


def test_the_file_is_what_the_models_say() -> None:
    assert FILE.read_text() == schema_text(), "run `netbuild schema -o schemas/netbuild-1.json`"


@pytest.mark.parametrize("path", VALID, ids=[path.stem for path in VALID])
def test_right_specs_are_right_in_an_editor(path: Path) -> None:
    data = plain(read(path).root)
    assert [error.message for error in validator().iter_errors(data)] == []


def of_the_models(path: Path) -> bool:
    """Whether the models refuse a file, which a schema made of them can tell as well."""
    head = head_of(path)
    if head.overrides or head.unset:
        return False
    try:
        return parse_document(read(path), Locator()).spec is None
    except SpecError:
        return False  # no YAML that an editor would read


WRONG = [p for p in INVALID if of_the_models(p) and p.stem not in BEYOND_SCHEMAS]


@pytest.mark.parametrize("path", WRONG, ids=[path.stem for path in WRONG])
def test_wrong_fields_are_wrong_in_an_editor(path: Path) -> None:
    data = plain(read(path).root)
    if path.stem not in ("set-values", "set-empty-key", "set-paths"):  # paths are not the schema's
        assert not accepts(data)


def test_most_of_the_corpus_is_compared() -> None:
    assert len(WRONG) > 90


def test_drawn_specs_are_right_in_an_editor(tmp_path: Path) -> None:
    for seed in range(60):
        text = dump_yaml(draw_spec(seed, tmp_path))
        assert accepts(plain(parse(text, "x.yaml"))), text


def walk(node: Any, path: str = "") -> list[tuple[str, Any]]:
    below = node.items() if isinstance(node, dict) else enumerate(node)
    inner = [
        found
        for key, value in below
        if isinstance(value, (dict, list))
        for found in walk(value, f"{path}/{key}")
    ]
    return [(path, node), *inner] if isinstance(node, dict) else inner


def test_the_form_is_what_editors_need() -> None:
    schema = json.loads(schema_text())
    assert schema["$schema"].endswith("2020-12/schema")
    for path, node in walk(schema):
        assert "prefixItems" not in node
        assert "discriminator" not in node or path.endswith("properties")
        properties = node.get("properties")
        if not isinstance(properties, dict) or path.endswith("properties"):
            continue
        assert node["additionalProperties"] is False
        for key, value in properties.items():
            told = "const" in value or "enum" in value
            assert told or value.get("description"), f"{path}/{key}"
        tellers = [key for key in ("type", "init", "generate") if key in properties]
        if tellers and "enum" not in properties[tellers[0]]:
            assert next(iter(properties)) == tellers[0]
            assert "const" in properties[tellers[0]]


def test_a_file_that_extends_another_may_lack_what_it_needs() -> None:
    assert accepts({"extends": ["base.yaml"]})
    assert accepts({"extends": "base.yaml", "seed": 3})
    assert not accepts({"netbuild": 1})
    assert not accepts({"seed": 3})


@pytest.mark.parametrize(
    "weight", ["normal", "w.npy", 0.5, [[1, 2]], {"init": "zero"}, {"file": "w.npy", "rows": "pre"}]
)
def test_long_and_short_forms(weight: object) -> None:
    layer = {"name": "a", "type": "linear", "output_dim": 3, "weight": weight}
    assert accepts({"netbuild": 1, "layers": [layer]})
    assert not accepts({"netbuild": 1, "layers": [layer | {"weight": {"w": weight}}]})
