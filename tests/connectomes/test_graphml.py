"""GraphML: what is read of a graph, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from edge_lists import read_connectome, source, words
from matrix_files import (
    GRAPH,
    PRE,
    as_dict,
    refused,
)

from netbuild.connectomes import graphml
from netbuild.connectomes.rows import Rows
from netbuild.errors import DataFileError


def transmitters(edges: Rows) -> list[str]:
    assert edges.transmitter is not None
    return list(edges.transmitter.words[edges.transmitter.at])


def test_graphml() -> None:
    edges = graphml.read(source(Path("g.graphml"), GRAPH.encode()), words())
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAR"): 1}
    assert edges.names is not None
    assert edges.names.tolist() == ["ADAL", "ADAR"]
    assert transmitters(edges) == ["ACH", ""]
    assert edges.columns["weight"] == "Weight"
    assert edges.columns["name"] == "name"
    assert edges.read == 2


def test_graphml_where_and_columns() -> None:
    options = words(where={"kind": "chemical"}, transmitter="kind")
    edges = graphml.read(source(Path("g.graphml"), GRAPH.encode()), options)
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5}
    assert edges.dropped == {"kind is not chemical": 1}
    both = words(where={"KIND": ["electrical", "chemical"]})
    both = graphml.read(source(Path("g.graphml"), GRAPH.encode()), both)
    assert len(both.pre) == 2
    assert transmitters(edges) == ["chemical"]
    said = refused("NB211", GRAPH.encode(), ".graphml", words(weight="weigth"))
    assert "did you mean `Weight`?" in said
    refused("NB211", GRAPH.encode(), ".graphml", words(where={"Type": "x"}))
    refused("NB211", GRAPH.encode(), ".graphml", PRE)


@pytest.mark.parametrize(
    ("attribute", "found", "columns", "types"),
    [
        ("type", ("chemical", "electrical"), {"kind": "type"}, {"chemical": 1, "electrical": 1}),
        ("Synapse", ("gj", "chem"), {"kind": "Synapse"}, {"gj": 1, "chem": 1}),
        ("type", ("GABA", "ACH"), {"transmitter": "type"}, {"GABA": 1, "ACH": 1}),
        ("type", ("chemical", "GABA"), {"transmitter": "type"}, {"chemical": 1, "GABA": 1}),
        ("colour", ("chemical", "electrical"), {}, {}),
    ],
)
def test_kinds_of_synapse_in_graphml_are_no_transmitters(
    attribute: str,
    found: tuple[str, str],
    columns: dict[str, str],
    types: dict[str, int],
    tmp_path: Path,
) -> None:
    edges = "".join(f'<edge source="A" target="B"><data key="t">{w}</data></edge>' for w in found)
    path = tmp_path / "g.graphml"
    path.write_text(
        f'<graphml><key id="t" for="edge" attr.name="{attribute}"/><graph edgedefault="directed">'
        f'<node id="A"/><node id="B"/>{edges}</graph></graphml>'
    )
    report = read_connectome(path, None).report
    assert report.columns["edges"] == {"name": "id", "pre": "source", "post": "target"} | columns
    assert report.types == types
    assert report.mixed == int("kind" in columns)
    first = read_connectome(path, None, words(where={attribute: found[0]})).report
    assert first.mixed == 0
    assert first.dropped == {f"{attribute} is not {found[0]}": 1}
    signs = words(signs={found[0]: -1})
    if "transmitter" in columns:
        assert read_connectome(path, None, signs).signs is not None
    else:
        with pytest.raises(DataFileError, match="no column of neurotransmitters"):
            read_connectome(path, None, signs)
        said = words(transmitter=attribute, where={attribute: found[0]}, signs={found[0]: -1})
        read = read_connectome(path, None, said)
        assert read.signs is not None
        assert read.signs.tolist() == [-1, 0]


def test_numbers_of_graphml_are_kept_by_their_value() -> None:
    content = GRAPH.replace("electrical", "2.0").encode()
    edges = graphml.read(source(Path("g.graphml"), content), words(where={"kind": 2}))
    assert as_dict(edges) == {("ADAR", "ADAR"): 1}
    assert edges.dropped == {"kind is not 2": 1}


def test_nodes_go_by_id_where_names_are_not_distinct() -> None:
    for changed in (GRAPH.replace("ADAR", "ADAL"), GRAPH.replace("ADAR", "")):
        edges = graphml.read(source(Path("g.graphml"), changed.encode()), words())
        assert as_dict(edges) == {("n0", "n1"): 2.5, ("n1", "n1"): 1}
        assert edges.columns["name"] == "id"


def test_undirected_edges_go_both_ways() -> None:
    content = GRAPH.replace('"directed"', '"undirected"').encode()
    edges = graphml.read(source(Path("g.graphml"), content), words())
    expected = {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAL"): 2.5, ("ADAR", "ADAR"): 1}
    assert as_dict(edges) == expected
    assert len(edges.pre) == 3
    one = GRAPH.replace('source="n0"', 'directed="false" source="n0"').encode()
    assert as_dict(graphml.read(source(Path("g.graphml"), one), words())) == expected


def test_what_drawing_programs_add_is_skipped() -> None:
    """Values that hold elements of their own, however long and whatever they are called."""
    drawn = f"<y:node xmlns:y='urn:y'><y:port/><y:data key='d1'>9</y:data>{'x' * 9000}</y:node>"
    content = GRAPH.replace('<data key="d3">', f'<data key="d9">{drawn}</data><data key="d3">')
    edges = graphml.read(source(Path("g.graphml"), content.encode()), words())
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAR"): 1}


def test_graphml_without_weights() -> None:
    content = GRAPH.replace("Weight", "age").encode()
    edges = graphml.read(source(Path("g.graphml"), content), words())
    assert edges.weight is None


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("<graphml ", BOMB + "<graphml ", "NB204", "line 2 .*document type"),
        ("<graphml ", '<!DOCTYPE x SYSTEM "file:///x"><graphml ', "NB204", "document type"),
        (" ADAL ", "&a;", "NB204", "line 8 .* not well-formed"),
        ("</graph>", "", "NB204", "not well-formed"),
        ("<graph id", "<graph/><graph id", "NB204", "line 7 .*second graph"),
        ("<edge source", "<hyperedge/><edge source", "NB204", "line 10 .*hyperedge"),
        ('<node id="n1">', '<node id="n0">', "NB204", "line 9 .*second node n0"),
        ('<node id="n1">', "<node>", "NB204", "line 9 .*without an id"),
        ('target="n1"', 'target="n7"', "NB204", "line 10 .*not there, n7"),
        ("2.5", "many", "NB205", "line 10 .*a weight that is not a number"),
        ("<default>1</default>", "", "NB205", "line 12 .*no weight"),
        ("ADAL", "A" * 5000, "NB204", "line 8 .*too long"),
        ("<graph id", "<a>" * 20 + "<graph id", "NB204", "inside each other"),
        ("graphml", "svg", "NB204", "no GraphML"),
        ('"UTF-8"', '"EBCDIC-7"', "NB204", "the encoding of .* is unknown"),
    ],
)
def test_faults_of_graphml(old: str, new: str, code: str, said: str) -> None:
    assert old in GRAPH
    text = refused(code, GRAPH.replace(old, new).encode(), ".graphml", words())
    assert re.search(said, text), text


@pytest.mark.parametrize(
    ("weight", "problem"), [("-2.5", "negative"), ("NaN", "finite"), ("1e999", "finite")]
)
def test_weights_of_graphml_are_judged_as_those_of_tables(
    weight: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "g.graphml").write_text(GRAPH.replace("2.5", weight))
    with pytest.raises(DataFileError, match=f"the weight in line 10 of g.graphml .*{problem}"):
        read_connectome(tmp_path / "g.graphml", None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", [True, False])
def test_an_instruction_after_the_first_element_is_no_declaration(
    encoding: str, declared: bool
) -> None:
    text = GRAPH[GRAPH.index("<graphml") :].replace("<key", "<?x?><key", 1)
    if declared:
        text = f'<?xml version="1.0" encoding="{encoding[:6].strip("-")}"?>{text}'
    edges = graphml.read(source(Path("g.graphml"), text.encode(encoding)), words())
    assert as_dict(edges) == {("ADAL", "ADAR"): 2.5, ("ADAR", "ADAR"): 1}
