"""Edge lists: what is whole is read exactly, and each trap of the formats is a row here."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbuild.connectomes import Connectome, Options, files, read_connectome
from netbuild.errors import DataFileError

Edges = dict[tuple[str, str], float]
FIRST = 720_575_940_600_000_000  # ids of 18 digits; as floating-point numbers 64 of them are one


def read(path: Path, content: str | bytes, **options: Any) -> Connectome:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_connectome(path, None, Options(**options))


def edges_of(connectome: Connectome) -> Edges:
    """(pre, post) -> count, by names."""
    names, wiring = connectome.neurons.names, connectome.wiring
    pairs = zip(names[wiring.sources], names[wiring.targets], strict=True)
    return dict(zip(pairs, connectome.counts.tolist(), strict=True))


def binary(frame: pl.DataFrame, suffix: str) -> bytes:
    file = io.BytesIO()
    (frame.write_parquet if suffix == ".parquet" else frame.write_ipc)(file)
    return file.getvalue()


def as_file(frame: pl.DataFrame, suffix: str) -> bytes:
    """The frame in any of the formats; all hold the same."""
    if suffix in (".parquet", ".feather", ".arrow"):
        return binary(frame, suffix)
    separator = {".csv": ",", ".tsv": "\t", ".txt": ";"}[suffix.removesuffix(".gz")]
    text = frame.write_csv(separator=separator).encode()
    return gzip.compress(text) if suffix.endswith(".gz") else text


SUFFIXES = [
    *(".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".feather", ".arrow"),
]
SMALL = {("A", "B"): 3.0, ("B", "C"): 2.0}


# --- Every format, and any edges


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


NAMES = st.sampled_from(["AVAL", "AVAR", "DB1", "vBWM-3", "é", "10", "9", "x y"])
ROWS = st.lists(st.tuples(NAMES, NAMES, st.integers(0, 50)), min_size=1, max_size=40)


def expected(rows: list[tuple[str, str, int]], options: Options) -> Edges:
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
    options = Options(
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


# --- Traps: read as they were meant

TRAPS: dict[str, tuple[str, str, dict[str, Any], Edges]] = {
    "names padded with blanks": (
        "edges.csv",
        "pre,post,weight\nA           ,B  ,3\n  B,C ,2\n",
        {},
        SMALL,
    ),
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
    "chemical synapses beside gap junctions": (
        "edges.tsv",
        "Source\tTarget\tWeight\tType\nA\tB\t3\tchemical\nA\tB\t9\telectrical\nB\tC\t2\tchemical\n",
        {"where": {"Type": "chemical"}},
        SMALL,
    ),
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
        ("pre,post,Type\nA,B,GABA\nA,B,ACH\n", {"type": "Type"}, {"ACH": 1, "GABA": 1}),
        ("pre,post,type\nA,B,gap junction\nA,B,GABA\n", {"type": "type"}, None),
        ("pre,post,type\nA,B,Chemical synapse\nA,B,EJ\n", {"kind": "type"}, None),
        (
            "pre,post,nt_type,type\nA,B,ACH,electrical\nA,B,ACH,chem\n",
            {"type": "nt_type", "kind": "type"},
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
    found = read(tmp_path / "e.csv", text, type="Type", signs={"chemical": 1})
    assert found.signs is not None
    assert found.signs.tolist() == [1, 0]


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

HEAD = "pre,post,weight\n"
ENDS = "`edges: {file: FILE, pre: COLUMN, post: COLUMN}`"
SIGNS = (
    "`signs` are about one: say `edges: {file: FILE, transmitter: COLUMN}` or `neurons: {file:"
    " FILE, sign: COLUMN}`"
)
CELLS = "each row has as many cells as the header; quote text that holds separators"
REFUSED: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
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
        "the column post of edges.csv holds floating-point numbers, the first in row 9002; ids of"
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
    "a column that is not there": (
        f"{HEAD}A,B,3\n",
        {"weight": "synapses"},
        "NB211",
        "edges.csv has no column synapses",
        "say `edges: {file: FILE, weight: COLUMN}`; its columns are pre, post, weight",
    ),
    "a column of neurotransmitters that is not there": (
        f"{HEAD}A,B,3\n",
        {"type": "nt"},
        "NB211",
        "edges.csv has no column nt",
        "say `edges: {file: FILE, transmitter: COLUMN}`; its columns are pre, post, weight",
    ),
    "a column that is not there, of a filter": (
        f"{HEAD}A,B,3\n",
        {"where": {"nt": "GABA"}},
        "NB211",
        "edges.csv has no column nt",
        "say `where: {COLUMN: VALUE}`; its columns are pre, post, weight",
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
        f"say which are meant: {ENDS}",
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
    "no row of this kind": (
        "pre,post,weight,Type\nA,B,3,chemical\n",
        {"where": {"Type": "electric"}},
        "NB215",
        "no row of edges.csv has electric in the column Type",
        "`where` keeps none; most rows have chemical",
    ),
    "a pair twice, where that is an error": (
        f"{HEAD}A,B,3\nB,C,0\nB,C,1\nA,B,4\nA,B,5\n",
        {"duplicates": "error"},
        "NB216",
        "row 5 of edges.csv is of the same two neurons as row 2",
        "`duplicates: sum` or `max` makes one connection of them",
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
    content, options, code, what, hint = REFUSED[trap]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / "edges.csv", content, **options)
    assert (caught.value.code, caught.value.what, caught.value.hint) == (code, what, hint)


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
        "the column weight of edges{} holds List(Int64)",
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


# --- Files that are not what they seem

TEXT = b"pre,post,weight\nA,B,3\nB,C,2\n"
PARQUET = binary(pl.DataFrame({"pre": [1], "post": [2]}), ".parquet")
ARROW = binary(pl.DataFrame({"pre": [1], "post": [2]}), ".feather")
PACKED = gzip.compress(TEXT)
QUOTED = b'"pre","post","weight"\n"A","B","3"\n"B","C","2"\n'
DAMAGED: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("e.csv", b"", "NB204", "e.csv is empty"),
    "empty, packed": ("e.csv.gz", gzip.compress(b""), "NB204", "e.csv.gz is empty"),
    "gzip without its extension": (
        *("e.csv", PACKED, "NB204"),
        "e.csv is not what its extension says: its first bytes are those of gzip",
    ),
    "text that says .gz": (
        *("e.csv.gz", TEXT, "NB204"),
        "e.csv.gz is not what its extension says: its first bytes are not those of gzip",
    ),
    "Parquet inside .gz": (
        *("e.csv.gz", gzip.compress(PARQUET), "NB204"),
        "e.csv.gz is not what its extension says: its first bytes are those of Parquet",
    ),
    "Parquet that says .csv": (
        *("e.csv", PARQUET, "NB204"),
        "e.csv is not what its extension says: its first bytes are those of Parquet",
    ),
    "text that says .parquet": (
        *("e.parquet", TEXT, "NB204"),
        "e.parquet is not what its extension says: its first bytes are not those of Parquet",
    ),
    "HDF5": (
        *("e.feather", b"\x89HDF\r\n\x1a\n", "NB204"),
        "e.feather is not what its extension says: its first bytes are those of HDF5",
    ),
    "an old Feather": (
        *("e.feather", b"FEA1aaaa", "NB204"),
        "e.feather is not what its extension says: its first bytes are those of Feather of"
        " version 1",
    ),
    "line ends of an old Macintosh": (
        *("e.csv", TEXT.replace(b"\n", b"\r"), "NB204"),
        "row 1 of e.csv cannot be parted into cells",
    ),
    "gzip, cut": ("e.csv.gz", PACKED[:-9], "NB204", "e.csv.gz is truncated"),
    "gzip, damaged": (
        *("e.csv.gz", PACKED[:20] + b"\xff\xff\xff\xff" + PACKED[24:], "NB204"),
        "e.csv.gz is not an intact gzip file",
    ),
    "Parquet, cut": ("e.parquet", PARQUET[:-30], "NB204", "e.parquet is truncated"),
    "Feather, cut": ("e.feather", ARROW[:-30], "NB204", "e.feather is truncated"),
    "UTF-16": (
        *("e.csv", TEXT.decode().encode("utf-16"), "NB204"),
        "e.csv is text in UTF-16; UTF-8 is read",
    ),
    "Latin-1": (
        "e.csv",
        TEXT + "é,A,1\n".encode("latin-1"),
        "NB204",
        "row 4 of e.csv is not UTF-8",
    ),
    "a header that lies, in a table that ends as it should": (
        *("e.parquet", PARQUET[:4] + bytes(len(PARQUET) - 8) + PARQUET[-4:], "NB204"),
        "e.parquet is malformed",
    ),
    "another extension": (
        *("e.xlsx", b"PK\x03\x04", "NB204"),
        "the extension of e.xlsx is not one that is read",
    ),
    "another extension, packed": (
        *("e.parquet.gz", PACKED, "NB204"),
        "the extension of e.parquet.gz is not one that is read",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    name, content, code, what = DAMAGED[kind]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, content)
    assert (caught.value.code, caught.value.what) == (code, what)


def test_gzip_members_and_padding_are_read(tmp_path: Path) -> None:
    content = gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:]) + b"\0" * 100
    assert edges_of(read(tmp_path / "e.csv.gz", content)) == SMALL


def test_a_gzip_bomb_is_refused_before_it_unfolds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.npz, "SMALL", 1 << 20)
    bomb = gzip.compress(b"pre,post\n" + b"0" * (32 << 20))
    with pytest.raises(DataFileError, match="unpacks to more than") as caught:
        read(tmp_path / "e.csv.gz", bomb)
    assert caught.value.code == "NB901"
    assert len(bomb) * files.npz.RATIO < 32 << 20


def test_a_table_that_declares_more_rows_than_it_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.connectomes import tables

    monkeypatch.setattr(tables, "FEW_ROWS", 1000)
    frame = pl.DataFrame({"pre": [1] * 3_000_000, "post": [2] * 3_000_000})
    content = binary(frame, ".parquet")
    with pytest.raises(DataFileError, match="declares 3,000,000 rows in") as caught:
        read(tmp_path / "e.parquet", content)
    assert caught.value.code == "NB901"


def test_a_long_text_that_is_stored_once_for_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.connectomes import tables

    monkeypatch.setattr(tables, "MAX_BYTES", 1 << 20)
    frame = pl.DataFrame({"pre": ["x" * 1000] * 2000, "post": ["y"] * 2000})
    content = binary(frame.cast(pl.Categorical), ".feather")
    assert len(content) < 1 << 16
    with pytest.raises(DataFileError, match="more than 1,048,576 bytes of text") as caught:
        read(tmp_path / "e.feather", content)
    assert caught.value.code == "NB901"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.mkdir(), "NB203"),
        (lambda path: path.symlink_to("other.csv"), "NB203"),
        (lambda path: None, "NB202"),
    ],
    ids=["folder", "link", "nothing"],
)
def test_only_regular_files_are_read(
    make: Callable[[Path], None], code: str, tmp_path: Path
) -> None:
    make(tmp_path / "edges.csv")
    with pytest.raises(DataFileError) as caught:
        read_connectome(tmp_path / "edges.csv", None)
    assert caught.value.code == code


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([("e.csv", TEXT), ("e.csv", QUOTED), ("e.csv.gz", PACKED)]),
    at=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 8),
    bytes_=st.binary(max_size=8) | st.sampled_from([b'"', b"\n", b",,", b"\r", b"nan", b"1e999"]),
)
def test_no_mutated_text_escapes_as_another_error(
    base: tuple[str, bytes], at: float, length: int, bytes_: bytes, tmp_path: Path
) -> None:
    name, content = base
    place = int(at * len(content))
    mutated = content[:place] + bytes_ + content[place + length :]
    with contextlib.suppress(DataFileError):
        read(tmp_path / name, mutated)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([("e.parquet", PARQUET), ("e.feather", ARROW), ("e.csv.gz", PACKED)]),
    kept=st.floats(0, 1, exclude_max=True),
)
def test_every_cut_file_is_refused(base: tuple[str, bytes], kept: float, tmp_path: Path) -> None:
    name, content = base
    with pytest.raises(DataFileError) as caught:
        read(tmp_path / name, content[: int(kept * len(content))])
    assert caught.value.code == "NB204"
