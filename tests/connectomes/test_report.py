"""The report of a connectome: its statistics, and what was done with the rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from edge_lists import read_connectome, words
from hypothesis import given
from hypothesis import strategies as st

from netbuild.connectomes.report import statistics
from netbuild.wiring import from_matrix

EDGES = "pre,post,weight,Type\nAVAL,DB1,3,x\nDB1,AVAL,2,x\nRID,AVAL,1,x\n"
NEURONS = "name,kind,sign\nRID,inter,1\nDB1,motor,-1\nAVAL,inter,1\nI2L,inter,1\n"


@given(
    st.integers(1, 7).flatmap(lambda n: st.lists(st.integers(0, 3), min_size=n * n, max_size=n * n))
)
def test_statistics_are_those_of_the_matrix(cells: list[int]) -> None:
    n = int(len(cells) ** 0.5)
    mask = np.array(cells).reshape(n, n) == 0
    signs = (np.arange(n) % 3 - 1).astype(np.int8)
    found = statistics(from_matrix(mask), signs)
    others = mask & ~np.eye(n, dtype=bool)
    mutual = (others & others.T).sum() / others.sum() if others.any() else None
    assert found["reciprocity"] == mutual
    assert found["edges"] == mask.sum()
    assert found["density"] == mask.sum() / n**2
    assert found["self_connections"] == np.trace(mask)
    assert found["isolated"] == (~(mask.any(axis=0) | mask.any(axis=1))).sum()
    for key, numbers in (("indegree", mask.sum(axis=0)), ("outdegree", mask.sum(axis=1))):
        wanted = {"min": numbers.min(), "max": numbers.max(), "mean": numbers.mean()}
        assert found[key] == wanted | {"median": np.median(numbers)}
    kinds = (found["excitatory"], found["inhibitory"], found["free"])
    assert kinds == tuple((signs == sign).sum() for sign in (1, -1, 0))


def test_the_report_is_plain_json_and_says_what_was_followed(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "neurons.csv").write_text(NEURONS)
    options = words(where={"Type": ["x", "y"]}, min_weight=2)
    connectome = read_connectome(tmp_path / "edges.csv", tmp_path / "neurons.csv", options)
    report = connectome.report.as_dict()
    assert json.loads(json.dumps(report)) == report
    assert report["policies"] == {
        "duplicates": "sum",
        "self_connections": True,
        "min_weight": 2,
        "symmetrize": "none",
        "unmatched": "error",
        "signs": {},
        "unknown": "free",
        "where": {"Type": ["x", "y"]},
        "rows": None,
        "array": None,
    }
    assert report["columns"] == {
        "edges": {"pre": "pre", "post": "post", "weight": "weight", "transmitter": "Type"},
        "neurons": {"name": "name", "sign": "sign"},
    }
    assert {key: file["name"] for key, file in report["files"].items()} == {
        "edges": "edges.csv",
        "neurons": "neurons.csv",
    }
    assert report["wiring"]["isolated"] == 2
    assert report["wiring"]["reciprocity"] == 1
