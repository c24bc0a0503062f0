"""Tables of text and binary ones: cells, quotes, headers, and rows that are no rows."""

from __future__ import annotations

import gzip
import io
import resource
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from edge_lists import HEAD, SMALL, Refusal, Trap, binary, check_refusal, edges_of, read

from netbuild.connectomes.tables import FEW_CELLS
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
        "separate the columns by commas, semicolons or tabs in place of blanks",
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
        "row 3 of edges.csv cannot be separated into cells",
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


def alike(rows: int, suffix: str) -> bytes:
    """An edge list of equal rows, which compresses to next to nothing."""
    frame = pl.select(pre=pl.repeat(1, rows), post=pl.repeat(2, rows))
    file = io.BytesIO()
    if suffix == ".csv.gz":
        return gzip.compress(b"pre,post\n" + b"1,2\n" * rows)
    if suffix == ".parquet":
        frame.write_parquet(file)
    else:
        frame.write_ipc(file, compression="zstd")
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv.gz"])
def test_many_rows_in_few_bytes_are_refused_before_they_are_read(
    suffix: str, tmp_path: Path
) -> None:
    rows = 5_000_000
    content = alike(rows, suffix)
    assert len(content) < rows / 200
    warm = read(tmp_path / f"small{suffix}", alike(3, suffix))  # what polars itself takes
    assert warm.report.rows == 3
    before = peak_memory()
    with pytest.raises(DataFileError, match=r"has 5,000,00[01] rows in") as caught:
        read(tmp_path / f"e{suffix}", content)
    assert caught.value.code == "NB901"
    assert peak_memory() - before < 8 * rows  # bytes: not even one column of numbers


def peak_memory() -> int:
    """The peak memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_a_real_edge_list_is_never_taken_for_a_compressed_one(tmp_path: Path) -> None:
    """The densest that edges are: sorted pairs of small numbers, the first neuron nearly free."""
    n = 4000
    pairs = np.flatnonzero(np.random.default_rng(0).random(n * n) < 0.15)
    frame = pl.DataFrame({"pre": pairs // n, "post": pairs % n})
    content = binary(frame.cast(pl.Int32), ".parquet")
    assert 2 * len(pairs) > FEW_CELLS
    assert len(read(tmp_path / "e.parquet", content).wiring) == len(pairs)


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["x" * 20_000, "y"]), pl.String])
def test_a_long_text_that_is_stored_once_for_many_rows_is_refused(
    kind: Any, tmp_path: Path
) -> None:
    frame = pl.DataFrame({"pre": ["x" * 20_000] * 5000, "post": ["y"] * 5000}).cast(kind)
    suffix = ".parquet" if kind == pl.String else ".feather"
    content = binary(frame, suffix)
    assert len(content) < 1 << 18
    with pytest.raises(DataFileError, match=r"more than 67,108,864 bytes of text") as caught:
        read(tmp_path / f"e{suffix}", content)
    assert caught.value.code == "NB901"
