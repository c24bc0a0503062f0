"""Node tables: names, signs and the other columns, and what is refused."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from edge_lists import read_nodes, words

from netbuild.connectomes import NodeTable
from netbuild.errors import DataFileError

FIRST = 720_575_940_600_000_000


def read(path: Path, content: str | bytes, **options: Any) -> NodeTable:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_nodes(path, words(**options))


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def test_every_other_column_is_kept_as_text(tmp_path: Path) -> None:
    table = read(
        tmp_path / "n.csv",
        "name ,kind,x, sign\nAVAL    , inter ,1.50,1\nDB1,,-3,-1\n\nRID,motor,7,0\n",
    )
    assert table.names.tolist() == ["AVAL", "DB1", "RID"]
    assert {column: cells.tolist() for column, cells in table.columns.items()} == {
        "kind": ["inter", "", "motor"],
        "x": ["1.50", "-3", "7"],
        "sign": ["1", "-1", "0"],
    }
    assert table.signs is not None
    assert table.signs.tolist() == [1, -1, 0]
    assert table.used == {"name": "name", "sign": "sign"}


@pytest.mark.parametrize("column", ["name", "ID", "root_id", "bodyId", "neuron", "Cell"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet", ".feather"])
def test_formats_and_known_names(column: str, suffix: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"kind": ["a", "b"], column: [FIRST, FIRST + 1]})
    file = io.BytesIO()
    if suffix == ".parquet":
        frame.write_parquet(file)
    elif suffix == ".feather":
        frame.write_ipc(file)
    else:
        frame.write_csv(file, separator="\t" if suffix == ".tsv" else ",")
    content = file.getvalue()
    table = read(tmp_path / f"n{suffix}", gzip.compress(content) if "gz" in suffix else content)
    assert table.names.tolist() == [f"{FIRST}", f"{FIRST + 1}"]
    assert list(table.columns) == ["kind"]
    assert table.signs is None


def test_an_index_without_a_name_is_left_out(tmp_path: Path) -> None:
    table = read(tmp_path / "n.csv", ",name,kind\n0,A,x\n1,B,y\n")
    assert list(table.columns) == ["kind"]


def test_the_surest_column_of_names_is_taken_and_another_can_be_given(tmp_path: Path) -> None:
    text = "name,root_id\nMi1,11\nMi1,12\n"
    assert read(tmp_path / "n.csv", text).names.tolist() == ["11", "12"]
    text = "name,root_id\nMi1,11\nMi2,11\n"
    assert read(tmp_path / "n.csv", text, name="NAME").names.tolist() == ["Mi1", "Mi2"]


WORDS = [
    *(("1", 1), ("+1", 1), ("1.0", 1), ("E", 1), ("excitatory", 1), ("Exc", 1)),
    *(("-1", -1), ("-1.0", -1), ("i", -1), ("Inhibitory", -1), ("inh", -1)),
    *(("0", 0), ("", 0)),
]


@pytest.mark.parametrize(("word", "sign"), WORDS)
def test_words_for_signs(word: str, sign: int, tmp_path: Path) -> None:
    table = read(tmp_path / "n.csv", f"name,sign\nA,{word}\nB,1\n")
    assert table.signs is not None
    assert table.signs.tolist() == [sign, 1]


def test_neurotransmitters_have_signs_by_the_map(tmp_path: Path) -> None:
    text = "root_id,top_nt\n1,ACH\n2,gaba \n3,SER\n4,\n"
    signs = {"ach": 1, "GABA": -1}
    table = read(tmp_path / "n.csv", text, signs=signs)
    assert table.signs is not None
    assert table.signs.tolist() == [1, -1, 0, 0]
    assert read(tmp_path / "n.csv", text).signs is None  # which signs they have, nobody said
    assert table.used == {"name": "root_id", "sign": "top_nt"}


REFUSED: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "a name twice, but for blanks": (
        "name,kind\nA,x\nB,y\nA ,z\n",
        {},
        "NB212",
        "row 4 of n.csv has the name of row 2, A",
        "each neuron has one row; `neurons: {file: FILE, name: COLUMN}` chooses another column",
    ),
    "no name": (
        "name,kind\nA,x\n,y\n",
        {},
        "NB212",
        "row 3 of n.csv has no name in the column name",
        "each row is one neuron, and has a name",
    ),
    "ids as floating-point numbers": (
        f"root_id,kind\n{FIRST},x\n7.20575940603e+17,y\n",
        {},
        "NB213",
        "the column root_id of n.csv holds floating-point numbers, the first in row 3; ids of 17"
        " and more digits are not exact as such",
        "write it again from the source with the ids as integers or as text",
    ),
    "no column of names": (
        "label,kind\nA,x\n",
        {},
        "NB211",
        "n.csv has no column of names that is recognised",
        "say which it is: `neurons: {file: FILE, name: COLUMN}`; its columns are label, kind",
    ),
    "a column of names that is not there": (
        "name,kind\nA,x\n",
        {"name": "label"},
        "NB211",
        "n.csv has no column label",
        "its columns are name, kind",
    ),
    "a column of signs that is not there": (
        "name,kind\nA,x\n",
        {"sign": "ei"},
        "NB211",
        "n.csv has no column ei",
        "its columns are kind",
    ),
    "a comment": (
        "# made by hand, for x\nname,kind\nA,x\n",
        {},
        "NB204",
        "row 1 of n.csv is a comment",
        "remove it: row 1 holds the names of the columns",
    ),
    "blanks between columns": (
        "name kind\nA x\n",
        {},
        "NB204",
        "row 1 of n.csv is a single cell, with blanks in it",
        "separate the columns by commas, semicolons or tabs in place of blanks",
    ),
    "a row that is too long": (
        "name,kind\nA,x\nB,y,z\n",
        {},
        "NB204",
        "row 3 of n.csv has 3 cells, the header has 2",
        "each row has as many cells as the header; quote text that holds separators",
    ),
    "a sign that is none": (
        "name,sign\nA,1\n\nB,2\n",
        {},
        "NB214",
        "row 4 of n.csv: the column sign says 2, which is not a sign",
        "signs are 1, -1, 0, excitatory and inhibitory; `signs: {GABA: -1}` adds others",
    ),
    "an unknown neurotransmitter": (
        "name,nt\nA,ACH\nB,SER\n",
        {"signs": {"ACH": 1}, "unknown": "error"},
        "NB214",
        "row 3 of n.csv: the column nt says SER, which is not a sign",
        "signs are 1, -1, 0, excitatory and inhibitory; `signs: {GABA: -1}` adds others",
    ),
    "a missing sign, where that is an error": (
        "name,sign\nA,\n",
        {"unknown": "error"},
        "NB214",
        "row 2 of n.csv: the column sign is empty, which is not a sign",
        "signs are 1, -1, 0, excitatory and inhibitory; `signs: {GABA: -1}` adds others",
    ),
    "a header alone": ("name,sign\n", {}, "NB215", "n.csv has no rows", "it holds a header alone"),
    "a column twice": (
        "name,kind,kind\nA,x,y\n",
        {},
        "NB211",
        "n.csv has 2 columns named kind",
        "rename one of them",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    content, options, code, what, hint = REFUSED[trap]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / "n.csv", content, **options)
    assert (caught.value.code, caught.value.what, caught.value.hint) == (code, what, hint)


@pytest.mark.parametrize(
    ("frame", "code", "what"),
    [
        (
            pl.DataFrame({"id": [1.0, 2.0]}),
            "NB213",
            "the column id of n.parquet holds floating-point numbers, the first in row 1; ids of"
            " 17 and more digits are not exact as such",
        ),
        (
            pl.DataFrame({"id": [1, 1]}),
            "NB212",
            "row 2 of n.parquet has the name of row 1, 1",
        ),
        (
            pl.DataFrame({"id": [1], "where": [[1.0, 2.0]]}),
            "NB211",
            "the column where of n.parquet holds lists or records",
        ),
    ],
    ids=["floats", "twice", "lists"],
)
def test_refusals_in_parquet(frame: pl.DataFrame, code: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / "n.parquet", parquet(frame))
    assert (caught.value.code, caught.value.what) == (code, what)
