"""GraphML: nodes and edges as XML, read by a parser that knows no document types or entities.

The edges become the rows of a table, whose columns are the edges' attributes. Format: Brandes et
al., "GraphML Progress Report", GD 2001; http://graphml.graphdrawing.org.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, replace
from typing import NoReturn
from xml.parsers import expat

import numpy as np
import polars as pl

from netbuild.connectomes import edges
from netbuild.connectomes.rows import Columns, Places, Rows, Words, objects, refuse_keys
from netbuild.connectomes.source import Source
from netbuild.connectomes.tables import Table
from netbuild.errors import DataFileError
from netbuild.wording import show

SIZE_CAP = 256 << 20  # bytes
DEPTH_CAP = 16  # elements inside each other; a graph needs 4
TEXT_CAP = 1 << 12  # characters of one value
HEAD = 1 << 10  # bytes in which an XML declaration ends
# In any encoding that expat knows by itself: of UTF-16 every other byte is 0.
DECLARATION = re.compile(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\0?<\0?\?\0?x\0?m\0?l[^>]*\?\0?>")
VALUES = ("data", "default")  # elements whose text is a value
REFUSED = ("hyperedge", "port")


def read(source: Source, words: Words) -> Rows:
    """The edges of the one graph; those of an undirected one go both ways.

    Neurons are called by the nodes' attribute `name` if all have one and no two the same, else by
    the nodes' ids. `weight`, `transmitter` and `where` name attributes of the edges.

    Raises DataFileError: NB204 (not well-formed, not GraphML, a document type), NB205 (a weight
    that is missing or no number), NB211 (no such attribute), NB901 (too large).
    """
    what = f"{source.name} is a graph, and each of its edges names its own two nodes"
    refuse_keys(words, ("pre", "post", "array", "rows"), "NB211", what)
    if len(source.content) > SIZE_CAP:
        what = f"{source.name} has {len(source.content):,} bytes; the limit is {SIZE_CAP:,}"
        raise DataFileError("NB901", what, "save it as an edge list: csv, or Parquet")
    reader = Reader(source.name, words)
    reader.parse(source.content)
    return rows_of(reader, len(source.content))


def rows_of(graph: Reader, size: int) -> Rows:
    """The edges under the names of their neurons."""
    name, words, names = graph.name, graph.words, list(graph.nodes.values())
    if not names:
        raise DataFileError("NB204", f"{name} has no nodes")
    by_name = all(names) and len(set(names)) == len(names)
    table = Table(name, graph.attributes.columns, graph.attributes.noun, size=size)
    whole = pl.DataFrame(graph.cells, dict.fromkeys(graph.cells, pl.String))
    whole = whole.with_columns(both=pl.Series(graph.both, dtype=pl.Boolean))
    places = Places(kept=np.array(graph.lines, np.int64), word="line")
    frame, dropped, places = edges.chosen(table, whole, words, places)
    # Of an edge that goes both ways, the second row follows the first.
    repeated = np.repeat(np.arange(frame.height), 1 + frame["both"].to_numpy())
    back = np.append(False, repeated[1:] == repeated[:-1])
    places = replace(places, kept=places.numbers(frame.height)[repeated])
    frame = frame[repeated]
    position = {node: i for i, node in enumerate(graph.nodes)}
    ends = [np.array([position.get(n, -1) for n in frame[e]], np.int64) for e in ("pre", "post")]
    for end, at in zip(("pre", "post"), ends, strict=True):
        if len(at) and at.min() < 0:
            row = int(at.argmin())
            what = f"{places.of(row)} of {name}: an edge of a node that is not there"
            raise DataFileError("NB204", f"{what}, {show(frame[end][row])}")
    columns = {"name": "name" if by_name else "id", "pre": "source", "post": "target"}
    return Rows(
        pre=np.where(back, ends[1], ends[0]),
        post=np.where(back, ends[0], ends[1]),
        n=len(names),
        names=objects(names if by_name else graph.nodes),
        read=whole.height,
        dropped=dropped,
        places=places,
        **edges.values_of(table, frame, columns | graph.uses, places, words),
    )


@dataclass
class Attribute:
    """What a <key> declares: an attribute of nodes or edges."""

    name: str
    domain: str  # node, edge, all ...
    default: str = ""


class Reader:
    """The nodes and edges of a file; the methods are called in the order of its elements."""

    # From the start of the graph on, when all keys are known:
    directed: bool
    attributes: Columns  # of the edges
    uses: dict[str, str]  # "weight" -> its attribute
    key_of: dict[str, str]  # of each use and each attribute of `where`
    name_keys: set[str]  # of the nodes' names

    def __init__(self, name: str, words: Words) -> None:
        self.name, self.words = name, words
        self.keys: dict[str, Attribute] = {}
        self.needed: set[str] = set()  # keys; values of others are skipped
        self.graphs = 0
        self.nodes: dict[str, str] = {}  # id -> attribute `name`, or ""
        # The edges: their ends, and the attributes that matter under their uses.
        self.cells: dict[str, list[str]] = {"pre": [], "post": []}
        self.lines = array("q")
        self.both: list[bool] = []  # whether an edge goes both ways
        self.shared: dict[str, str] = {}  # each text once, however many edges have it
        # What is open: elements, the attributes and values of a key, node or edge, and a value.
        self.stack: list[str] = []
        self.opened: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.line = 0
        self.key = ""
        self.text: str | None = None  # of that value, if it is needed

    def parse(self, content: bytes) -> None:
        """Read it all; raises DataFileError."""
        parser = self.parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        declaration = DECLARATION.match(content, 0, HEAD)
        begun = declaration.end() + 1 if declaration else 0
        try:
            # The declaration of an encoding is parsed alone, before there are handlers, so that
            # an error of a handler is never reported as an unknown encoding.
            try:
                parser.Parse(content[:begun], False)
            except (LookupError, ValueError):
                what = f"the encoding of {self.name} is unknown"
                raise DataFileError("NB204", what, "save it as UTF-8") from None
            parser.StartDoctypeDeclHandler = self.refuse
            parser.EntityDeclHandler = self.refuse
            parser.StartElementHandler = self.start
            parser.EndElementHandler = self.end
            parser.CharacterDataHandler = self.characters
            parser.Parse(memoryview(content)[begun:], True)
        except expat.ExpatError as error:
            what = f"line {error.lineno:,} of {self.name} is not well-formed XML"
            raise DataFileError("NB204", what, "write it again") from None
        if not self.graphs:
            raise DataFileError("NB204", f"{self.name} is XML, but no GraphML: it has no graph")

    def refuse(self, *_: object) -> NoReturn:
        """A document type may define entities that grow without end, or point at other files."""
        hint = "remove the <!DOCTYPE ...>; GraphML needs none"
        raise self.problem("a document type, which is never read", hint)

    def problem(self, what: str, hint: str = "") -> DataFileError:
        """The error for something on the line where the parser is."""
        where = f"line {self.parser.CurrentLineNumber:,} of {self.name}"
        return DataFileError("NB204", f"{where}: {what}", hint)

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        tag = qualified.rpartition(" ")[2]
        inside = self.in_a_value()
        self.stack.append(tag)
        if len(self.stack) > DEPTH_CAP:
            raise self.problem(f"more than {DEPTH_CAP} elements inside each other")
        if inside:
            return  # what programs that draw graphs put into a value
        if len(self.stack) == 1 and tag != "graphml":
            raise self.problem("XML, but no GraphML: it begins with another element")
        if tag in REFUSED:
            raise self.problem(f"a {tag}, which no connection can be made of")
        if tag == "key":
            label = attributes.get("attr.name", attributes.get("id", ""))
            attribute = Attribute(label.strip(), attributes.get("for", "all"))
            self.keys[attributes.get("id", "")] = attribute
        elif tag == "graph":
            self.begin_graph(attributes)
        elif tag == "data":
            self.key = attributes.get("key", "")
        if tag in ("key", "node", "edge"):
            self.opened, self.values = attributes, {}
            self.line = self.parser.CurrentLineNumber
        if tag == "default" or (tag == "data" and self.key in self.needed):
            self.text = ""

    def begin_graph(self, attributes: dict[str, str]) -> None:
        """The one graph; by now all keys are known, and which of them are needed."""
        self.graphs += 1
        if self.graphs > 1:
            raise self.problem("a second graph", "keep one graph in a file")
        self.directed = attributes.get("edgedefault") != "undirected"
        of_edges = {a.name: key for key, a in self.keys.items() if a.domain in ("edge", "all")}
        self.attributes = Columns(self.name, tuple(of_edges), "edge attribute")
        self.uses = edges.uses_of(self.attributes, self.words)
        filters = edges.filters_of(self.attributes, self.words)
        self.key_of = {use: of_edges[label] for use, label in (self.uses | filters).items()}
        self.cells |= {use: [] for use in self.key_of}
        self.name_keys = {
            key
            for key, attribute in self.keys.items()
            if attribute.name.casefold() == "name" and attribute.domain in ("node", "all")
        }
        self.needed = {*self.key_of.values(), *self.name_keys}

    def in_a_value(self) -> bool:
        """Whether an element that holds a value is open."""
        return any(tag in self.stack for tag in VALUES)

    def characters(self, more: str) -> None:
        """Text; outside of values it does not matter."""
        if self.text is None:
            return
        self.text += more
        if len(self.text) > TEXT_CAP:
            raise self.problem("a value that is too long")

    def end(self, qualified: str) -> None:
        """An element ends."""
        tag = self.stack.pop()
        if self.in_a_value():
            return
        if tag in VALUES:
            written, self.text = (self.text or "").strip(), None
            if tag == "data":
                self.values[self.key] = written
            elif self.stack[-1:] == ["key"]:
                self.keys[self.opened.get("id", "")].default = written
        elif tag in ("node", "edge"):
            if not self.graphs:
                raise self.problem(f"a {tag} outside of a graph")
            (self.add_node if tag == "node" else self.add_edge)()

    def add_node(self) -> None:
        """One more neuron."""
        where, label = f"line {self.line:,} of {self.name}", self.opened.get("id", "").strip()
        if not label:
            raise DataFileError("NB204", f"{where}: a node without an id")
        if label in self.nodes:
            raise DataFileError("NB204", f"{where}: a second node {show(label)}")
        names = (value for key, value in self.values.items() if key in self.name_keys)
        self.nodes[label] = next(names, "")

    def add_edge(self) -> None:
        """One more connection."""
        row = {"pre": self.opened.get("source", ""), "post": self.opened.get("target", "")}
        row = {end: node.strip() for end, node in row.items()}
        directed = self.opened.get("directed", str(self.directed).lower()) == "true"
        self.both.append(not directed and row["pre"] != row["post"])
        self.lines.append(self.line)
        for use, key in self.key_of.items():
            row[use] = self.values.get(key, self.keys[key].default)
        for use, cell in row.items():
            self.cells[use].append(self.shared.setdefault(cell, cell))
