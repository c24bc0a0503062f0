"""From rows to one connection for each pair: the policies, and what they count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from edge_lists import (
    HEAD,
    Edges,
    Refusal,
    Trap,
    as_file,
    check_refusal,
    edges_of,
    read,
    read_connectome,
    words,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbuild.errors import DataFileError

NAMES = st.sampled_from(["AVAL", "AVAR", "DB1", "vBWM-3", "é", "10", "9", "x y"])
ROWS = st.lists(st.tuples(NAMES, NAMES, st.integers(0, 50)), min_size=1, max_size=40)


def expected(rows: list[tuple[str, str, int]], options: Any) -> Edges:
    """The policies, as a loop over a dictionary."""
    found: Edges = {}
    for pre, post, weight in rows:
        if weight:
            before = found.get((pre, post), 0)
            found[pre, post] = (
                before + weight if options.duplicates == "sum" else max(before, weight)
            )
    if not options.self_connections:
        found = {(pre, post): w for (pre, post), w in found.items() if pre != post}
    if options.symmetrize != "none":
        both = dict(found)
        for (pre, post), w in found.items():
            if pre != post:
                back = found.get((post, pre), 0)
                both[post, pre] = w + back if options.symmetrize == "sum" else max(w, back)
        found = both
    least = options.min_weight or 0
    return {pair: w for pair, w in found.items() if w >= least}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from([".csv", ".tsv.gz", ".parquet", ".feather"]),
    rows=ROWS,
    duplicates=st.sampled_from(["sum", "max"]),
    loops=st.booleans(),
    symmetrize=st.sampled_from(["none", "max", "sum"]),
    least=st.none() | st.integers(1, 60),
)
def test_policies_agree_with_a_dictionary(
    suffix: str,
    rows: list[tuple[str, str, int]],
    duplicates: Any,
    loops: bool,
    symmetrize: Any,
    least: int | None,
    tmp_path: Path,
) -> None:
    options = words(
        duplicates=duplicates, self_connections=loops, symmetrize=symmetrize, min_weight=least
    )
    frame = pl.DataFrame(rows, schema=["pre", "post", "weight"], orient="row")
    path = tmp_path / f"edges{suffix}"
    path.write_bytes(as_file(frame, suffix))
    wanted = expected(rows, options)
    if not wanted:
        with pytest.raises(DataFileError, match="no connection is left") as caught:
            read_connectome(path, None, options)
        assert caught.value.code == "NB215"
        return
    connectome = read_connectome(path, None, options)
    assert edges_of(connectome) == wanted
    wiring, report = connectome.wiring, connectome.report
    pairs = list(zip(wiring.targets, wiring.sources, strict=True))
    assert pairs == sorted(set(pairs))  # the order of a wiring
    counted = report.counted
    left = report.rows - sum(report.dropped.values()) - counted.merged
    removed = counted.self_connections + counted.min_weight
    assert left + counted.symmetrized - removed == len(wiring)


TRAPS: dict[str, Trap] = {
    "a gap junction listed once": (
        "edges.csv",
        "pre,post,weight\nA,B,3\n",
        {"symmetrize": "max"},
        {("A", "B"): 3.0, ("B", "A"): 3.0},
    ),
    "a gap junction listed both ways": (
        "edges.csv",
        "pre,post,weight\nA,B,3\nB,A,3\n",
        {"symmetrize": "max"},
        {("A", "B"): 3.0, ("B", "A"): 3.0},
    ),
    "gap junctions whose two counts are parts": (
        "edges.csv",
        "pre,post,weight\nA,B,3\nB,A,2\nC,A,1\nC,C,4\n",
        {"symmetrize": "sum"},
        {
            ("A", "B"): 5.0,
            ("B", "A"): 5.0,
            ("C", "A"): 1.0,
            ("A", "C"): 1.0,
            ("C", "C"): 4.0,
        },
    ),
    "self-connections are kept": (
        "edges.csv",
        "pre,post\nA,A\nA,B\n",
        {},
        {("A", "A"): 1.0, ("A", "B"): 1.0},
    ),
    "self-connections are left out": (
        "edges.csv",
        "pre,post\nA,A\nA,B\n",
        {"self_connections": False},
        {("A", "B"): 1.0},
    ),
    "the least count is of a pair, not of a row": (
        "edges.csv",
        "pre,post,weight\nA,B,3\nA,B,3\nB,C,5\n",
        {"min_weight": 6},
        {("A", "B"): 6.0},
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, tmp_path: Path) -> None:
    name, content, options, wanted = TRAPS[trap]
    assert edges_of(read(tmp_path / name, content, **options)) == wanted


def test_what_was_left_out_is_reported(tmp_path: Path) -> None:
    text = "pre,post,weight,type\nA,B,3,x\n,,,\nA,B,1,x\nC,A,0,x\nB,C,2,y\nA,A,7,x\nC,B,1,x\n"
    options = {"where": {"type": "x"}, "self_connections": False, "min_weight": 2}
    report = read(tmp_path / "edges.csv", text, **options).report.as_dict()
    assert report["rows"] == 7
    assert report["dropped"] == {"empty rows": 1, "type is not x": 1, "weight 0": 1}
    assert report["duplicates_merged"] == 1
    assert report["removed"] == {"self_connections": 1, "min_weight": 1}
    assert report["types"] == {"x": 5}
    assert report["wiring"]["edges"] == 1


REFUSED: dict[str, Refusal] = {
    "only weights of 0": (
        f"{HEAD}A,B,0\nB,C,0\n",
        {},
        "NB215",
        "no connection is left of the 2 rows of edges.csv",
        "left out were weight 0: 2",
    ),
    "nothing above the least weight": (
        f"{HEAD}A,A,9\nA,B,1\nB,C,2\n",
        {"min_weight": 5, "self_connections": False},
        "NB215",
        "no connection is left of the 3 rows of edges.csv",
        "left out were self_connections: 1; min_weight: 2",
    ),
    "a pair twice, where that is an error": (
        f"{HEAD}A,B,3\nB,C,0\nB,C,1\nA,B,4\nA,B,5\n",
        {"duplicates": "error"},
        "NB216",
        "row 5 of edges.csv is of the same two neurons as row 2",
        "`duplicates: sum` or `max` makes one connection of them",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    check_refusal(REFUSED[trap], tmp_path)
