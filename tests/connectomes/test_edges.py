"""Edge lists: what is whole is read exactly, and each trap of neurons and weights is a row here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest
from edge_lists import (
    FIRST,
    HEAD,
    SMALL,
    Refusal,
    Trap,
    as_file,
    binary,
    check_refusal,
    edges_of,
    read,
)

from netbuild.errors import DataFileError

SUFFIXES = [
    *(".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".feather", ".arrow"),
]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "columns",
    [
        ("pre", "post", "weight"),
        ("Source", "Target", "Weight"),
        ("pre_root_id", "post_root_id", "syn_count"),
        ("bodyId_pre", "bodyId_post", "weight"),
        ("PRE", "Post", "synapses"),
    ],
)
def test_formats_and_known_columns(
    suffix: str, columns: tuple[str, str, str], tmp_path: Path
) -> None:
    ids = [FIRST + i for i in range(4)]  # neighbours, which no float tells apart
    frame = pl.DataFrame({columns[0]: ids[:3], columns[1]: ids[1:], columns[2]: [3, 2, 9]})
    content = as_file(frame, suffix)
    connectome = read(tmp_path / f"edges{suffix}", content)
    assert connectome.neurons.names.tolist() == [str(i) for i in ids]
    assert list(edges_of(connectome).values()) == [3, 2, 9]
    assert connectome.report.columns["edges"] == dict(
        zip(("pre", "post", "weight"), columns, strict=True)
    )
    file = connectome.report.files["edges"]
    assert (file.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))


# --- Traps: read as they were meant

TRAPS: dict[str, Trap] = {
    "names padded with blanks": (
        "edges.csv",
        "pre,post,weight\nA           ,B  ,3\n  B,C ,2\n",
        {},
        SMALL,
    ),
    "counts written as floating-point numbers": (
        "edges.csv",
        "pre,post,weight\nA,B,3.0\nB,C,2e0\n",
        {},
        SMALL,
    ),
    "floating-point counts after a thousand whole ones": (
        "edges.csv",
        "pre,post,weight\n" + 9_000 * "A,B,1\n" + "A,B,2.5\n",
        {},
        {("A", "B"): 9002.5},
    ),
    "names after a thousand whole numbers": (
        "edges.csv",
        "pre,post,weight\n" + 9_000 * "1,2,1\n" + "1,B,2\n",
        {},
        {("1", "2"): 9000.0, ("1", "B"): 2.0},
    ),
    "names on one side alone": ("edges.csv", "pre,post\n1,A\n", {}, {("1", "A"): 1.0}),
    "007 is not 7": ("edges.csv", "pre,post\n007,7\n", {}, {("007", "7"): 1.0}),
    "ids of 20 digits": (
        "edges.csv",
        f"pre,post\n{10**20},{10**20 + 1}\n",
        {},
        {(f"{10**20}", f"{10**20 + 1}"): 1.0},
    ),
    "no weights: rows are counted": (
        "edges.csv",
        "pre,post\nA,B\nA,B\nB,C\n",
        {},
        {("A", "B"): 2.0, ("B", "C"): 1.0},
    ),
    "a row for each neuropil": (
        "edges.csv",
        f"pre_root_id,post_root_id,neuropil,syn_count\n{FIRST},{FIRST + 1},FB,3\n"
        f"{FIRST},{FIRST + 1},EB,4\n",
        {},
        {(f"{FIRST}", f"{FIRST + 1}"): 7.0},
    ),
    "one neuropil": (
        "edges.csv",
        "pre_root_id,post_root_id,neuropil,syn_count\n1,2,FB,3\n1,2,EB,4\n2,1,FB,5\n",
        {"where": {"Neuropil": "FB"}},
        {("1", "2"): 3.0, ("2", "1"): 5.0},
    ),
    "one of two layers of a number": (
        "edges.csv",
        "pre,post,weight,layer\nA,B,3,1\nA,B,9,2\nB,C,2,3\n",
        {"where": {"layer": [1, "3"]}},
        SMALL,
    ),
    "a layer that is written as a floating-point number": (
        "edges.csv",
        "pre,post,weight,layer\nA,B,3,1.0\nA,B,9,2.0\nB,C,2,+1\nB,C,8,01\nB,C,8,\n",
        {"where": {"layer": 1}},
        SMALL,
    ),
    "a layer as text": (
        "edges.csv",
        "pre,post,weight,layer\nA,B,3,1.0\nA,B,9,2.0\nB,C,2,1.0\nB,C,8,1\n",
        {"where": {"layer": "1.0"}},
        SMALL,
    ),
    "chemical synapses beside gap junctions": (
        "edges.tsv",
        "Source\tTarget\tWeight\tType\nA\tB\t3\tchemical\nA\tB\t9\telectrical\nB\tC\t2\tchemical\n",
        {"where": {"Type": "chemical"}},
        SMALL,
    ),
    "weights of 0": ("edges.csv", "pre,post,weight\nA,B,3\nC,A,0\nB,C,2\n", {}, SMALL),
    "columns with names of their own": (
        "edges.csv",
        "from,to,n,pre,post\nA,B,3,x,y\nB,C,2,x,y\n",
        {"pre": "from", "post": "TO", "weight": "n"},
        SMALL,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, tmp_path: Path) -> None:
    name, content, options, wanted = TRAPS[trap]
    assert edges_of(read(tmp_path / name, content, **options)) == wanted


def test_ids_that_are_kept_are_exact(tmp_path: Path) -> None:
    ids = list(range(FIRST, FIRST + 200))
    frame = pl.DataFrame({"pre": ids, "post": ids[::-1], "level": [float(i % 3) for i in ids]})
    for suffix in (".csv", ".parquet"):
        content = as_file(frame, suffix)
        found = read(tmp_path / f"edges{suffix}", content, where={"pre": [ids[7], ids[9]]})
        assert list(edges_of(found)) == [
            (str(i), str(2 * FIRST + 199 - i)) for i in (ids[9], ids[7])
        ]
        kept = read(tmp_path / f"edges{suffix}", content, where={"level": 1, "pre": ids[:6]})
        assert len(kept.wiring) == 2


def test_ids_of_neighbours_stay_apart_in_parquet_and_csv(tmp_path: Path) -> None:
    ids = list(range(FIRST, FIRST + 200))
    frame = pl.DataFrame({"pre": ids, "post": ids[::-1]})
    for suffix in (".csv", ".parquet"):
        connectome = read(tmp_path / f"edges{suffix}", as_file(frame, suffix))
        assert len(connectome.neurons) == len(connectome.wiring) == 200


def test_categories_and_other_integers_are_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"pre": ["A", "B"], "post": ["B", "C"], "weight": [3, 2]})
    typed = frame.cast({"pre": pl.Categorical, "weight": pl.UInt8})
    assert edges_of(read(tmp_path / "e.parquet", as_file(typed, ".parquet"))) == SMALL
    numbers = pl.DataFrame({"pre": [1], "post": [2]}).cast(pl.UInt32)
    assert edges_of(read(tmp_path / "e.feather", as_file(numbers, ".feather"))) == {("1", "2"): 1}


# --- What is refused, and the whole message

ENDS = "`edges: {file: FILE, pre: COLUMN, post: COLUMN}`"

REFUSED: dict[str, Refusal] = {
    "ids with .0": (
        f"{HEAD}{FIRST}.0,{FIRST}.0,1\n",
        {},
        "NB213",
        "the column pre of edges.csv holds floating-point numbers, the first in row 2; ids of 17"
        " and more digits are not exact as such",
        "write it again from the source with the ids as integers or as text",
    ),
    "one id in exponential form, far down": (
        HEAD + 9_000 * "1,2,1\n" + "1,7.205759406e17,1\n",
        {},
        "NB213",
        "the column post of edges.csv holds floating-point numbers, the first in row 9,002; ids of"
        " 17 and more digits are not exact as such",
        "write it again from the source with the ids as integers or as text",
    ),
    "a negative count": (
        f"{HEAD}A,B,3\nB,C,-2\n",
        {},
        "NB205",
        "the weight in row 3 of edges.csv is negative",
        "counts are not negative: signs are given in a node table, `neurons: {file: FILE, sign:"
        " COLUMN}`",
    ),
    "NaN": (
        f"{HEAD}A,B,3\n\nB,C,NaN\n",
        {},
        "NB205",
        "the weight in row 4 of edges.csv is not a finite number",
        "write a number in its place, or remove the row",
    ),
    "infinity": (
        f"{HEAD}A,B,inf\n",
        {},
        "NB205",
        "the weight in row 2 of edges.csv is not a finite number",
        "write a number in its place, or remove the row",
    ),
    "more than float32 holds": (
        f"{HEAD}A,B,1e300\n",
        {},
        "NB205",
        "the weight in row 2 of edges.csv is above 1e+28",
        "write a number in its place, or remove the row",
    ),
    "no weight": (
        f"{HEAD}A,B,3\nB,C,\n",
        {},
        "NB205",
        "row 3 of edges.csv has no weight",
        "the column weight holds numbers, with decimal points",
    ),
    "a weight that is no number": (
        f"{HEAD}A,B,3\nB,C,k3yB0ard\n",
        {},
        "NB205",
        "row 3 of edges.csv has a weight that is not a number",
        "the column weight holds numbers, with decimal points",
    ),
    "a decimal comma": (
        "pre;post;weight\nA;B;0,5\n",
        {},
        "NB205",
        "row 2 of edges.csv has a weight that is not a number",
        "the column weight holds numbers, with decimal points",
    ),
    "no neuron": (
        f"{HEAD}A,B,3\n  ,C,1\n",
        {},
        "NB212",
        "row 3 of edges.csv has no neuron in the column pre",
        "each row names two neurons",
    ),
    "no columns of neurons": (
        "from,to,n\nA,B,3\n",
        {},
        "NB211",
        "no two columns of edges.csv are recognised as pre- and postsynaptic neurons",
        f"say {ENDS}; its columns are from, to, n",
    ),
    "no header": (
        "A,B,3\nB,C,2\n",
        {},
        "NB211",
        "no two columns of edges.csv are recognised as pre- and postsynaptic neurons",
        "is the header missing? add a first row pre,post,weight; if not, say"
        f" {ENDS}; its columns are A, B, 3",
    ),
    "no header, no weights": (
        "A,B\nB,C\n",
        {},
        "NB211",
        "no two columns of edges.csv are recognised as pre- and postsynaptic neurons",
        f"is the header missing? add a first row pre,post; if not, say {ENDS}; its columns are"
        " A, B",
    ),
    "numbers alone": (
        "0,1\n1,0\n",
        {},
        "NB211",
        "the first row of edges.csv holds numbers alone, no names",
        "a matrix needs names in its first row and column, or to be saved as .npy; an edge list"
        " needs a first row pre,post",
    ),
    "numbers alone, of a matrix": (
        "0,1\n1,0\n",
        {"rows": "pre"},
        "NB211",
        "the first row of edges.csv holds numbers alone, no names",
        "a matrix needs names in its first row and column, or to be saved as .npy",
    ),
    "a rectangular matrix with text in its corner": (
        "cell,M1,M2\nS1,0,3\nS2,1,0\n",
        {},
        "NB211",
        "no two columns of edges.csv are recognised as pre- and postsynaptic neurons",
        "is it a matrix with names? Say `edges: {file: FILE, rows: pre}` if its rows are"
        " presynaptic neurons, else `post`; if not, say"
        f" {ENDS}; its columns are cell, M1, M2",
    ),
    "a column that is not there": (
        f"{HEAD}A,B,3\n",
        {"weight": "synapses"},
        "NB211",
        "edges.csv has no column synapses",
        "its columns are pre, post, weight",
    ),
    "a column of neurotransmitters that is not there": (
        f"{HEAD}A,B,3\n",
        {"transmitter": "nt"},
        "NB211",
        "edges.csv has no column nt",
        "its columns are pre, post, weight",
    ),
    "a column that is not there, of a filter": (
        f"{HEAD}A,B,3\n",
        {"where": {"wieght": 3}},
        "NB211",
        "edges.csv has no column wieght",
        "did you mean `weight`? its columns are pre, post, weight",
    ),
    "only one of two columns given": (
        f"{HEAD}A,B,3\n",
        {"pre": "pre"},
        "NB211",
        "of the two columns of neurons of edges.csv only one is given",
        f"say both, {ENDS}; its columns are pre, post, weight",
    ),
    "two pairs of columns": (
        "pre,post,pre_root_id,post_root_id\nA,B,1,2\n",
        {},
        "NB211",
        "edges.csv has two pairs of columns for neurons, pre and pre_root_id among them",
        f"say which pair it is: {ENDS}",
    ),
    "no row of this kind": (
        "pre,post,weight,Type\nA,B,3,chemical\n",
        {"where": {"Type": "electric"}},
        "NB215",
        "no row of edges.csv has electric in the column Type",
        "`where` keeps none; most rows have chemical",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    check_refusal(REFUSED[trap], tmp_path)


BINARY_REFUSED: dict[str, tuple[pl.DataFrame, str, str]] = {
    "ids as floats": (
        pl.DataFrame({"pre": [float(FIRST)], "post": [1.0]}),
        "NB213",
        "the column pre of edges{} holds floating-point numbers, the first in row 1; ids of 17 and"
        " more digits are not exact as such",
    ),
    "a missing id": (
        pl.DataFrame({"pre": [1, None], "post": [1, 2]}),
        "NB212",
        "row 2 of edges{} has no neuron in the column pre",
    ),
    "ids of 64 bits": (
        pl.DataFrame({"pre": [2**63], "post": [1]}, schema={"pre": pl.UInt64, "post": pl.Int64}),
        "NB213",
        "the column pre of edges{} holds ids of 2**63 or more",
    ),
    "neurons that are truth values": (
        pl.DataFrame({"pre": [True], "post": [False]}),
        "NB211",
        "the column pre of edges{} holds Boolean",
    ),
    "weights that are lists": (
        pl.DataFrame({"pre": [1], "post": [2], "weight": [[3]]}),
        "NB211",
        "the column weight of edges{} holds lists or records",
    ),
    "a missing weight": (
        pl.DataFrame({"pre": [1, 1], "post": [2, 3], "weight": [1, None]}),
        "NB205",
        "row 2 of edges{} has no weight",
    ),
    "no rows": (
        pl.DataFrame({"pre": [], "post": []}, schema={"pre": pl.Int64, "post": pl.Int64}),
        "NB215",
        "edges{} has no rows",
    ),
}


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize("trap", BINARY_REFUSED)
def test_refusals_in_binary_tables(trap: str, suffix: str, tmp_path: Path) -> None:
    frame, code, what = BINARY_REFUSED[trap]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / f"edges{suffix}", binary(frame, suffix))
    assert (caught.value.code, caught.value.what) == (code, what.format(suffix))
