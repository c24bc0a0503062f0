"""Columns that are known by their names: neurotransmitters, and kinds of synapse."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from edge_lists import HEAD, Refusal, as_file, check_refusal, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("AB"), st.sampled_from("AB"), st.sampled_from(["chemical", "gap", ""])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_connections_of_several_kinds_of_synapse_are_counted(
    rows: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    frame = pl.DataFrame(rows, schema=["Source", "Target", "Type"], orient="row")
    report = read(tmp_path / "edges.csv", as_file(frame, ".csv")).report
    kinds: dict[tuple[str, str], set[str]] = {}
    for pre, post, kind in rows:
        kinds.setdefault((pre, post), set()).add(kind)
    assert report.mixed == sum(len(words) > 1 for words in kinds.values())
    words = [kind for _, _, kind in rows]
    if any(words):
        assert report.columns["edges"]["kind"] == "Type"
        assert report.types == {word: words.count(word) for word in set(words)}


def test_kinds_of_rows_that_are_left_out_do_not_mix(tmp_path: Path) -> None:
    text = "pre,post,weight,Type\nA,B,3,chemical\nA,B,0,electrical\nB,C,1,electrical\n"
    assert read(tmp_path / "e.csv", text).report.mixed == 0
    text += "B,C,1,chemical\nC,C,1,chemical\nC,C,1,electrical\nA,B,1,chemical\n"
    assert read(tmp_path / "e.csv", text).report.as_dict()["mixed"] == 2
    assert read(tmp_path / "e.csv", text, where={"Type": "chemical"}).report.mixed == 0
    assert read(tmp_path / "e.csv", text, duplicates="max").report.mixed == 2


@pytest.mark.parametrize(
    ("text", "columns", "types"),
    [
        ("pre,post,Type\nA,B,GABA\nA,B,ACH\n", {"transmitter": "Type"}, {"ACH": 1, "GABA": 1}),
        ("pre,post,type\nA,B,gap junction\nA,B,GABA\n", {"transmitter": "type"}, None),
        ("pre,post,type\nA,B,Chemical synapse\nA,B,EJ\n", {"kind": "type"}, None),
        (
            "pre,post,nt_type,type\nA,B,ACH,electrical\nA,B,ACH,chem\n",
            {"transmitter": "nt_type", "kind": "type"},
            {"ACH": 2},
        ),
    ],
)
def test_a_column_of_types_is_of_transmitters_or_of_synapses(
    text: str, columns: dict[str, str], types: dict[str, int] | None, tmp_path: Path
) -> None:
    report = read(tmp_path / "e.csv", text).report
    assert report.columns["edges"] == {"pre": "pre", "post": "post"} | columns
    assert report.mixed == int("kind" in columns)
    if types is not None:
        assert report.types == types


def test_kinds_of_synapse_are_transmitters_where_that_is_said(tmp_path: Path) -> None:
    text = "pre,post,Type\nA,B,chemical\nB,A,electrical\n"
    found = read(tmp_path / "e.csv", text, transmitter="Type", signs={"chemical": 1})
    assert found.signs is not None
    assert found.signs.tolist() == [1, 0]


SIGNS = (
    "`signs` need such a column: say `edges: {file: FILE, transmitter: COLUMN}` or `neurons: {file:"
    " FILE, sign: COLUMN}`"
)

REFUSED: dict[str, Refusal] = {
    "signs that nothing is about": (
        f"{HEAD}A,B,3\n",
        {"signs": {"GABA": -1}},
        "NB211",
        "edges.csv has no column of neurotransmitters that is recognised",
        SIGNS,
    ),
    "signs where the types are of synapses": (
        "Source,Target,Type\nA,B,chemical\nA,C,Gap junction\n",
        {"signs": {"GABA": -1}},
        "NB211",
        "edges.csv has no column of neurotransmitters that is recognised",
        SIGNS,
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    check_refusal(REFUSED[trap], tmp_path)
