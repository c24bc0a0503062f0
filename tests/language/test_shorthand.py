"""Short forms mean their long forms, at the place of what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netbuild.language.compose import Composed, write_out
from netbuild.language.grammar import ROOT
from netbuild.yamltree.document import Document, parse
from netbuild.yamltree.nodes import Node, plain

LAYER = {
    "weight": [
        ("normal", {"init": "normal"}),
        ("nromal", {"init": "nromal"}),
        ("w.npy", {"file": "w.npy"}),
        ("folder/w", {"file": "folder/w"}),
        ("0.5", {"init": "constant", "value": 0.5}),
        ("-1", {"init": "constant", "value": -1}),
        ("[[1, 2]]", {"values": [[1, 2]]}),
        ("{init: zero}", {"init": "zero"}),
        ("true", True),
    ],
    "bias": [
        ("zero", {"init": "zero"}),
        ("null", None),
        ("[1, 2]", {"values": [1, 2]}),
        ("b.csv", {"file": "b.csv"}),
    ],
    "sparsity_mask": [("m.npy", {"file": "m.npy"}), ("[[1]]", {"values": [[1]]}), ("0.3", 0.3)],
    "plasticity_mask": [("random", {"file": "random"}), ("[[0.5]]", {"values": [[0.5]]})],
    "ei_mask": [
        ("[1, -1]", {"units": [1, -1]}),
        ("[[1], [-1]]", {"values": [[1], [-1]]}),
        ("[]", {"units": []}),
        ("s.npy", {"file": "s.npy"}),
    ],
    "activation": [("relu", {"type": "relu"}), ("{type: power}", {"type": "power"})],
}
ELSEWHERE = [
    ("extends: a.yaml", {"extends": ["a.yaml"]}),
    ("regularizers: [{type: L1, params: a}]", {"regularizers": [{"type": "L1", "params": ["a"]}]}),
    (
        "regularizers: [{type: DaleLaw, reference: s.npy}]",
        {"regularizers": [{"type": "DaleLaw", "reference": {"file": "s.npy"}}]},
    ),
    (
        "task: {type: arrays, inputs: x, targets: y.npy}",
        {"task": {"type": "arrays", "inputs": {"array": "x"}, "targets": {"file": "y.npy"}}},
    ),
    ("training: {optimizer: Adam}", {"training": {"optimizer": {"type": "Adam"}}}),
    (
        "training: {optimizer: {type: SGD, schedule: cosine}}",
        {"training": {"optimizer": {"type": "SGD", "schedule": {"type": "cosine"}}}},
    ),
]


def written_out(text: str) -> Node:
    root = parse(text, "x.yaml")
    write_out(root, ROOT)
    return root


@pytest.mark.parametrize(
    ("key", "short", "long"),
    [(key, short, long) for key, forms in LAYER.items() for short, long in forms],
)
def test_layers(key: str, short: str, long: Any) -> None:
    root = written_out(f"layers:\n- type: linear\n  {key}: {short}\n")
    layer = root.entries["layers"].items[0]
    assert plain(layer)[key] == long
    written = parse(f"{key}: {short}", "x.yaml").entries[key]
    node = layer.entries[key]
    assert node.place.text[node.place.column - 1 : node.place.end_column - 1] == short
    assert node.key_place is not None
    assert node.key_place.column == 3
    assert node.short == (plain(written) != long)


@pytest.mark.parametrize(("short", "long"), ELSEWHERE)
def test_elsewhere(short: str, long: Any) -> None:
    assert plain(written_out(short)) == long


@pytest.mark.parametrize(
    "text",
    [
        *(short for short, _ in ELSEWHERE),
        *(
            f"layers: [{{type: linear, {key}: {short}}}]"
            for key, forms in LAYER.items()
            for short, _ in forms
        ),
    ],
)
def test_writing_out_twice_is_writing_out_once(text: str) -> None:
    root = written_out(text)
    once = plain(root)
    write_out(root, ROOT)
    assert plain(root) == once


def test_sizes_and_depths_stay_right() -> None:
    text = "layers:\n- {type: linear, weight: 0.5, ei_mask: [1, 2], activation: relu, bias: b.npy}"
    root = written_out(text)

    def measured(node: Node) -> tuple[int, int]:
        below = [measured(child) for child in (*node.items, *node.entries.values())]
        size = 1 + len(node.entries) + sum(size for size, _ in below)
        return size, 1 + max((depth for _, depth in below), default=0)

    for node in root.entries["layers"].items[0].entries.values():
        assert measured(node) == (node.size, node.depth)


def test_what_is_no_section_is_left_alone() -> None:
    text = (
        "layers: 3\nregularizers: {type: L1, params: a}\ntask: x\ntraining: [optimizer]\nset: 5\n"
    )
    assert plain(written_out(text)) == plain(parse(text, "x.yaml"))


def test_the_document_is_left_as_it_was_written() -> None:
    text = "netbuild: 1\ntraining: {optimizer: Adam}\n"
    document = Document("x.yaml", parse(text, "x.yaml"), Path(), text)
    Composed(document, lambda reference, folder: folder)
    assert plain(document.root) == {"netbuild": 1, "training": {"optimizer": "Adam"}}
