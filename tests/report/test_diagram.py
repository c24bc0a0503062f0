"""The diagram: its counts are those of the wiring, and names in it are text."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from report_pages import HOSTILE

from netbuild.language import load
from netbuild.report.diagram import MOST_LAYERS, connections_between, diagram, groups_of
from netbuild.report.model import Model

CORTEX = {
    "name": "cortex", "type": "ctrnn", "input_dim": 3, "tau": 100,
    "areas": {"V1": {"size": 10, "excitatory": 0.8}, "PFC": {"size": 6}},
    "recurrent": {"density": 0.3, "self_connections": False},
}  # fmt: skip


def spec_of(*layers: Any) -> Any:
    return load({"netbuild": 1, "dt": 20, "layers": list(layers)})


def test_groups_are_areas_and_signs() -> None:
    keys, ids = groups_of(spec_of(CORTEX).plan.layers["cortex"].gives)
    assert keys == [("V1", 1), ("V1", -1), ("PFC", None)]
    assert np.bincount(ids).tolist() == [8, 2, 6]


def test_connections_between_groups() -> None:
    plan = spec_of(CORTEX).plan.layers["cortex"].maps["recurrent"]
    keys, ids = groups_of(plan.gives)
    matrix = plan.connections.whole()
    for (one, other), count in connections_between(plan).items():
        pre, post = ids == keys.index(one), ids == keys.index(other)
        assert count == matrix[np.ix_(post, pre)].sum()
    assert sum(connections_between(plan).values()) == plan.connections.count


def test_every_layer_is_drawn_and_described() -> None:
    out = {"name": "out", "type": "linear", "from": "V1.excitatory", "output_dim": 2}
    drop = {"name": "drop", "type": "dropout", "p": 0.1}
    skip = {"name": "skip", "type": "linear", "from": "cortex", "output_dim": 2}
    picture = diagram(Model(spec_of(CORTEX, drop, skip, out)))
    root = ElementTree.fromstring(picture.svg)
    assert root.attrib["aria-label"] == picture.alt
    texts = [element.text for element in root.iter() if element.tag == "text"]
    assert {"input", "cortex", "drop", "skip", "out"} <= set(texts)
    assert {"V1 E 8", "V1 I 2", "PFC 6", "passed on"} <= set(texts)
    assert "out: 2 units, reads cortex (16 connections, all to all)." in picture.alt
    shown = {line for element in root.iter("path") for line in [element.find("title")]} - {None}
    assert len(shown) >= 4 + 4


def test_a_deep_network_is_cut() -> None:
    first = {"name": "l0", "type": "linear", "input_dim": 2, "output_dim": 2}
    more = [{"name": f"l{i}", "type": "linear", "output_dim": 2} for i in range(1, 40)]
    picture = diagram(Model(spec_of(first, *more)))
    assert f"and {40 - MOST_LAYERS} layers more" in picture.svg


def test_names_from_files_are_text(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    (tmp_path / "edges.csv").write_text("pre,post\na,b\nb,c\nc,a\n")
    area = HOSTILE.replace('"', '""').replace("\x1b", "")
    rows = "".join(f'{name},"{area}"\n' for name in names)
    (tmp_path / "neurons.csv").write_text(f"name,area\n{rows}")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "spec.yaml").write_text(
        "netbuild: 1\nlayers:\n- {name: w, type: ctrnn, input_dim: 1, alpha: 0.2, connectome:"
        " {edges: edges.csv, neurons: neurons.csv}}\n"
    )
    picture = diagram(Model(load(tmp_path / "spec.yaml")))
    root = ElementTree.fromstring(picture.svg)
    assert {element.tag for element in root.iter()} <= {
        *("svg", "defs", "marker", "path", "rect", "text", "title"),
    }
    assert "<script" not in picture.svg
