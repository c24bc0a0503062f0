"""As many parts of a spec as are right are parsed, whatever is wrong with the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbuild.language.context import Locator, Parsed
from netbuild.language.parse import parse_document
from netbuild.yamltree.document import Document, parse


def parse_text(text: str) -> Parsed:
    return parse_document(Document("spec.yaml", parse(text, "spec.yaml"), Path(), text), Locator())


def test_parts_without_problems_are_parsed() -> None:
    text = """netbuild: 1
seed: 3
layers:
  - {name: a, type: linear, output_dim: 0}
  - {name: b, type: linear, output_dim: 3}
regularizers:
  - {type: L1, params: a}
  - {type: L1}
task: {type: arrays, inputs: x}
"""
    parsed = parse_text(text)
    assert parsed.spec is None
    assert [layer is not None for layer in parsed.layers] == [False, True]
    assert [item is not None for item in parsed.regularizers] == [True, False]
    assert parsed.task is None
    assert parsed.training is not None
    assert parsed.seed == 3


@pytest.mark.parametrize("text", ["netbuild: 1", "netbuild: 1\nlayers: 3\nseed: x\ntraining: []"])
def test_nothing_parses_of_nothing(text: str) -> None:
    parsed = parse_text(text)
    assert parsed.layers == []
    assert parsed.problems
    assert parsed.seed == 0


def test_ten_thousand_problems_are_all_told() -> None:
    items = "".join(f"  - {{name: l{i}, type: linear, oops{i}: 3}}\n" for i in range(9000))
    parsed = parse_text(f"netbuild: 1\nlayers:\n{items}")
    assert len(parsed.problems) == 18_000
    assert parsed.problems[-1].path == "layers[l8999].oops8999"
