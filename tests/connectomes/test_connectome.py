"""Edges and node tables together: names that match, signs, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from edge_lists import read_connectome, words

from netbuild.connectomes import Connectome
from netbuild.errors import DataFileError
from netbuild.wiring import Wiring

EDGES = "pre,post,weight\nAVAL,DB1,3\nDB1,AVAL,2\nRID,AVAL,1\n"
NEURONS = "name,kind,sign\nRID,inter,1\nDB1,motor,-1\nAVAL,inter,1\nI2L,inter,1\n"


def read(folder: Path, edges: str, neurons: str | None, **options: Any) -> Connectome:
    (folder / "edges.csv").write_text(edges)
    if neurons is None:
        return read_connectome(folder / "edges.csv", None, words(**options))
    (folder / "neurons.csv").write_text(neurons)
    return read_connectome(folder / "edges.csv", folder / "neurons.csv", words(**options))


def test_units_are_in_the_order_of_the_node_table(tmp_path: Path) -> None:
    connectome = read(tmp_path, EDGES, NEURONS)
    wanted = np.zeros((4, 4), np.float32)
    wanted[2, 1], wanted[1, 2], wanted[0, 2] = 3, 2, 1
    assert (connectome.wiring.matrix(connectome.counts) == wanted).all()
    assert connectome.neurons.columns["kind"].tolist() == ["inter", "motor", "inter", "inter"]
    assert connectome.signs is not None
    assert connectome.signs.tolist() == [1, -1, 1, 1]


def test_without_a_table_units_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    assert read(tmp_path, EDGES, None).neurons.names.tolist() == ["AVAL", "DB1", "RID"]
    ids = read(tmp_path, "pre,post\n10,9\n9,100\n", None)
    assert ids.neurons.names.tolist() == ["9", "10", "100"]
    assert ids.signs is None


def test_edges_of_numbers_match_a_table_of_numbers_or_text(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("pre,post\n720575940600000001,720575940600000003\n")
    ids = [720575940600000003, 720575940600000002, 720575940600000001]
    for kind in (pl.Int64, pl.String):
        pl.DataFrame({"root_id": ids}).cast(kind).write_parquet(tmp_path / "n.parquet")
        wiring = read_connectome(tmp_path / "e.csv", tmp_path / "n.parquet").wiring
        assert (wiring.sources.tolist(), wiring.targets.tolist()) == ([2], [0])


def test_unmatched_edges_can_be_left_out(tmp_path: Path) -> None:
    edges = EDGES + "XXXX,AVAL,5\nAVAL,YYYY,0\nAVAL,YYYY,7\n"
    connectome = read(tmp_path, edges, NEURONS, unmatched="drop")
    assert len(connectome.wiring) == 3
    assert connectome.report.dropped == {"weight 0": 1, "not in the node table": 2}


def test_signs_come_from_the_neurotransmitters_of_edges(tmp_path: Path) -> None:
    edges = (
        "pre_root_id,post_root_id,neuropil,syn_count,nt_type\n"
        "1,2,FB,3,ACH\n1,2,EB,2,\n2,3,FB,1,gaba\n3,1,FB,1,SER\n"
    )
    connectome = read(tmp_path, edges, None, signs={"ACH": 1, "GABA": -1})
    assert connectome.signs is not None
    assert connectome.signs.tolist() == [1, -1, 0]
    assert connectome.report.types == {"": 1, "ACH": 1, "SER": 1, "gaba": 1}


def test_neurons_that_are_left_out_say_no_signs(tmp_path: Path) -> None:
    edges = "pre,post,nt_type\nX,A,GABA\nY,B,odd\nA,B,ACH\n"
    connectome = read(
        tmp_path, edges, "name\nA\nB\n", signs=SIGNS, unknown="error", unmatched="drop"
    )
    assert connectome.signs is not None
    assert connectome.signs.tolist() == [1, 0]


def test_the_node_table_settles_mixed_neurotransmitters(tmp_path: Path) -> None:
    edges = "pre,post,nt_type\nA,B,ACH\nA,B,GABA\nB,A,ACH\n"
    signs = {"ACH": 1, "GABA": -1}
    connectome = read(tmp_path, edges, "name,nt\nA,GABA\nB,ACH\n", signs=signs)
    assert connectome.signs is not None
    assert connectome.signs.tolist() == [-1, 1]


MIXED = "pre,post,nt_type\nB,A,ACH\nA,B,ACH\nA,C,x\nA,C,GABA\nC,A,GABA\nC,A,ACH\n"
SIGNS = {"ACH": 1, "GABA": -1}
DROP = (
    "`unmatched: drop` leaves such edges out; `neurons: {file: FILE, name: COLUMN}` chooses the"
    " column of names"
)
REFUSED: dict[str, tuple[str, str | None, dict[str, Any], str, str, str]] = {
    "an unknown name": (
        EDGES + "AVAL,avar,1\nDB2,AVAL,1\n",
        NEURONS.replace("I2L", "AVAR"),
        {},
        "NB212",
        "row 5 of edges.csv names avar, which neurons.csv does not have; it lacks 1 other too",
        f"did you mean `AVAR`? {DROP}",
    ),
    "an unknown id": (
        "pre,post\n101,102\n101,103\n",
        "id\n101\n102\n",
        {},
        "NB212",
        "row 3 of edges.csv names 103, which neurons.csv does not have",
        DROP,
    ),
    "an unknown name after rows that were left out": (
        "pre,post,Type\nA,B,x\nA,Z,y\n\nA,B,x\nA,C,x\n",
        "name\nA\nB\n",
        {"where": {"Type": "x"}},
        "NB212",
        "row 6 of edges.csv names C, which neurons.csv does not have",
        DROP,
    ),
    "nothing matches": (
        "pre,post\n1,2\n",
        "name\nA\nB\n",
        {"unmatched": "drop"},
        "NB215",
        "no connection is left of the 1 rows of edges.csv",
        "left out were not in the node table: 1",
    ),
    "signs of both kinds": (
        MIXED,
        None,
        {"signs": SIGNS},
        "NB214",
        "A is excitatory and inhibitory by its edges' neurotransmitters, row 3 and row 5 of"
        " edges.csv, and so has 1 other",
        "give each neuron its sign in a node table: `neurons: {file: FILE, sign: COLUMN}`",
    ),
    "an unknown neurotransmitter": (
        "pre,post,nt_type\nA,B,ACH\nB,A,SER\n",
        None,
        {"signs": SIGNS, "unknown": "error"},
        "NB214",
        "row 3 of edges.csv has the neurotransmitter SER, which `signs` does not name",
        "add it to `signs`, or say `unknown: free`",
    ),
    "a missing neurotransmitter": (
        "pre,post,nt_type\nA,B,ACH\nB,A,\n",
        None,
        {"signs": SIGNS, "unknown": "error"},
        "NB214",
        "row 3 of edges.csv has no neurotransmitter, which `signs` does not name",
        "add it to `signs`, or say `unknown: free`",
    ),
    "no neurotransmitters in either": (
        "pre,post\nA,B\n",
        "name\nA\nB\n",
        {"signs": SIGNS},
        "NB211",
        "neither edges.csv nor neurons.csv has a column of neurotransmitters",
        "`signs` need such a column: say `edges: {file: FILE, transmitter: COLUMN}` or"
        " `neurons: {file: FILE, sign: COLUMN}`",
    ),
}


@pytest.mark.parametrize("trap", REFUSED)
def test_refusals(trap: str, tmp_path: Path) -> None:
    edges, neurons, options, code, what, hint = REFUSED[trap]
    with pytest.raises(DataFileError) as caught:
        read(tmp_path, edges, neurons, **options)
    assert (caught.value.code, caught.value.what, caught.value.hint) == (code, what, hint)


def test_messages_repeat_no_more_than_a_short_name(tmp_path: Path) -> None:
    name = "\x1b[31m" + "x" * 5000
    with pytest.raises(DataFileError) as caught:
        read(tmp_path, f"pre,post\n{name},A\n", "name\nA\n")
    assert "\x1b" not in caught.value.what
    assert len(caught.value.what) < 250


# --- Matrices meet node tables


def test_a_matrix_without_names_takes_those_of_the_table(tmp_path: Path) -> None:
    matrix = np.array([[0, 2, 0], [0, 0, 3], [1, 0, 0]])
    np.save(tmp_path / "w.npy", matrix)
    (tmp_path / "n.csv").write_text("name\nC\nB\nA\n")
    options = words(rows="pre")
    connectome = read_connectome(tmp_path / "w.npy", tmp_path / "n.csv", options)
    assert connectome.neurons.names.tolist() == ["C", "B", "A"]
    assert (connectome.wiring.matrix(connectome.counts) == matrix).all()
    alone = read_connectome(tmp_path / "w.npy", None, options)
    assert alone.neurons.names.tolist() == ["0", "1", "2"]
    (tmp_path / "n.csv").write_text("name\nC\nB\n")
    with pytest.raises(DataFileError) as caught:
        read_connectome(tmp_path / "w.npy", tmp_path / "n.csv", options)
    assert caught.value.code == "NB201"
    assert caught.value.what == "w.npy is a matrix of 3 neurons, n.csv has 2"


@pytest.mark.parametrize(
    "text",
    [
        ",A,B,C\nA,0,2,0\nB,0,0,3\nC,1,0,0\n",
        "row\tA\tB\tC\nA \t\t2\t0\nB\t0\t\t3\nC\t1\t0\t\n",
    ],
    ids=["an empty corner", "names of rows are those of columns"],
)
def test_a_matrix_with_names_is_told_from_an_edge_list(text: str, tmp_path: Path) -> None:
    connectome = read(tmp_path, text, None)
    wanted = np.array([[0, 2, 0], [0, 0, 3], [1, 0, 0]])
    assert (connectome.wiring.matrix(connectome.counts) == wanted).all()
    assert connectome.neurons.names.tolist() == ["A", "B", "C"]
    reordered = read(tmp_path, text, "name\nC\nA\nB\n")
    order = [2, 0, 1]
    assert (reordered.wiring.matrix(reordered.counts) == wanted[np.ix_(order, order)]).all()
    assert isinstance(reordered.wiring, Wiring)
