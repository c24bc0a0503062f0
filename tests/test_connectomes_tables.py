"""Tables of text and binary ones: cells, quotes, headers, and rows that are no rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from edge_lists import HEAD, SMALL, Refusal, Trap, binary, check_refusal, edges_of, read

from netbuild.connectomes import tables
from netbuild.errors import DataFileError

TRAPS: dict[str, Trap] = {
    "headers padded, weights too": (
        "edges.csv",
        " pre , post, weight\nA,B, 3 \nB,C,2\n",
        {},
        SMALL,
    ),
    "a .csv parted by tabs": ("edges.csv", "pre\tpost\tweight\nA\tB\t3\nB\tC\t2\n", {}, SMALL),
    "semicolons": ("edges.csv", "pre;post;weight\nA;B;3\nB;C;2\n", {}, SMALL),
    "a column before the others": ("edges.csv", ",pre,post,weight\n0,A,B,3\n1,B,C,2\n", {}, SMALL),
    "line ends of Windows, a mark of UTF-8": (
        "edges.csv",
        "\ufeffpre,post,weight\r\nA,B,3\r\nB,C,2\r\n",
        {},
        SMALL,
    ),
    "blank lines": ("edges.csv", "pre,post,weight\nA,B,3\n\nB,C,2\n\n\n", {}, SMALL),
    "quotes, and the separator inside": (
        "edges.csv",
        'pre,post,weight,note\n"A","B",3,"x, y"\n"B","C","2","a ""b"""\n',
        {},
        SMALL,
    ),
    "a cell of many lines where the sample ends": (
        "edges.csv",
        "pre,post,weight,note\n"
        + 8_000 * "A,B,1,x\n"
        + 'B,C,2,"'
        + 5_000 * "a line\n"
        + '"\nC,D,4,\n',
        {},
        {("A", "B"): 8000.0, ("B", "C"): 2.0, ("C", "D"): 4.0},
    ),
    "a first cell longer than the sample": (
        "edges.csv",
        'note,pre,post\n"' + 20_000 * "line\n" + '",A,B\n',
        {},
        {("A", "B"): 1.0},
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, tmp_path: Path) -> None:
    name, content, options, wanted = TRAPS[trap]
    assert edges_of(read(tmp_path / name, content, **options)) == wanted


CELLS = "each row has as many cells as the header; quote text that holds separators"

REFUSED: dict[str, Refusal] = {
    "a comment": (
        "# made by hand, for x\npre,post,weight\nA,B,3\n",
        {},
        "NB204",
        "row 1 of edges.csv is a comment",
        "remove it: row 1 holds the names of the columns",
    ),
    "blanks between columns": (
        "pre post weight\nA B 3\n",
        {},
        "NB204",
        "row 1 of edges.csv is a single cell, with blanks in it",
        "columns are parted by commas, semicolons or tabs: write one of these for the blanks",
    ),
    "a column twice": (
        "pre,post,weight,weight\nA,B,3,4\n",
        {},
        "NB211",
        "edges.csv has 2 columns named weight",
        "rename one of them",
    ),
    "a header alone": (
        HEAD,
        {},
        "NB215",
        "edges.csv has no rows",
        "it holds a header alone",
    ),
    "a row that is too short": (
        f"{HEAD}A,B,3\nB,C\n",
        {},
        "NB205",
        "row 3 of edges.csv has no weight",
        "the column weight holds numbers, with decimal points",
    ),
    "rows that are too long": (
        f"{HEAD}A,B,3\nB,C,2,9\n",
        {},
        "NB204",
        "row 3 of edges.csv has 4 cells, the header has 3",
        CELLS,
    ),
    "a first row that is too short": (
        f"{HEAD}A,B\nC,D,3\n",
        {},
        "NB204",
        "row 2 of edges.csv has 2 cells, the header has 3",
        CELLS,
    ),
    "one row that is too long, far down, after blank lines": (
        HEAD + "\n\n" + 20_000 * "A,B,1\n" + "A,B,1,4\nA,B,1\n",
        {},
        "NB204",
        "row 20,004 of edges.csv has 4 cells, the header has 3",
        CELLS,
    ),
    "a row that is too long, after a cell of two lines": (
        f'{HEAD}"A\nb",B,1\nA,B,1,4\n',
        {},
        "NB204",
        "row 3 of edges.csv has 4 cells, the header has 3",
        CELLS,
    ),
    "a quote that does not close": (
        f'{HEAD}A,B,1\n"A,B,1\nA,B,1\n',
        {},
        "NB204",
        "row 3 of edges.csv cannot be parted into cells",
        "a quote that opens must close, before the next separator",
    ),
    "no text": (
        f"{HEAD}A\0,B,3\n",
        {},
        "NB204",
        "edges.csv is not text: it holds NUL bytes",
        "",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    check_refusal(REFUSED[trap], tmp_path)


def test_a_table_that_declares_more_rows_than_it_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FEW_ROWS", 1000)
    frame = pl.DataFrame({"pre": [1] * 3_000_000, "post": [2] * 3_000_000})
    content = binary(frame, ".parquet")
    with pytest.raises(DataFileError, match="declares 3,000,000 rows in") as caught:
        read(tmp_path / "e.parquet", content)
    assert caught.value.code == "NB901"


def test_a_long_text_that_is_stored_once_for_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_BYTES", 1 << 20)
    frame = pl.DataFrame({"pre": ["x" * 1000] * 2000, "post": ["y"] * 2000})
    content = binary(frame.cast(pl.Categorical), ".feather")
    assert len(content) < 1 << 16
    with pytest.raises(DataFileError, match="more than 1,048,576 bytes of text") as caught:
        read(tmp_path / "e.feather", content)
    assert caught.value.code == "NB901"
