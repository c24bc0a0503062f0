"""GraphML: nodes and edges as XML, read by a parser that knows no document types or entities.

Format: Brandes et al., "GraphML Progress Report", GD 2001; http://graphml.graphdrawing.org.
"""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.dense import not_a_weight
from netbuild.connectomes.known import KINDS, TRANSMITTERS, WEIGHTS, settle
from netbuild.connectomes.options import OptionError, Options, left_out
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.files import text
from netbuild.files.cells import Value, meant
from netbuild.wording import did_you_mean, show

SIZE_CAP = 256 << 20  # bytes
DEPTH_CAP = 16  # elements inside each other; a graph needs 4
TEXT_CAP = 1 << 12  # characters of one value
HEAD = 1 << 10  # bytes in which an XML declaration ends
DECLARATION = re.compile(rb"\?\0?>")  # its end, in any encoding that expat knows by itself
VALUES = ("data", "default")  # elements whose text is a value
REFUSED = ("hyperedge", "port")


def read(path: Path, content: bytes, options: Options) -> RawEdges:
    """The edges of the one graph; those of an undirected one go both ways.

    Neurons are called by the nodes' attribute `name` if all have one and no two the same, else by
    the nodes' ids. `weight`, `type` and `where` name attributes of the edges.

    Raises DataFileError: NB204 (not well-formed, not GraphML, a document type), NB205 (a weight
    that is no number, negative, missing), NB211 (no such attribute), NB901 (too large).
    """
    name = show(path.name)
    for key in ("pre", "post", "array", "rows"):
        if getattr(options, key) is not None:
            what = f"{name} is a graph, whose edges say themselves where they start and end"
            raise left_out(key, "NB211", what)
    if len(content) > SIZE_CAP:
        what = f"{name} has {len(content):,} bytes; the limit is {SIZE_CAP:,}"
        raise DataFileError("NB901", what, "save it as an edge list: csv, or Parquet")
    graph = Graph(name, options)
    graph.parse(content)
    return edges_of(graph)


@dataclass
class Key:
    """What a <key> declares: an attribute of nodes or edges."""

    name: str
    domain: str  # node, edge, all ...
    default: str | None = None


@dataclass
class Words:
    """A word of each edge, of which few are distinct: each is kept once, however long it is."""

    distinct: dict[str, int] = field(default_factory=dict)  # word -> its position
    at: array[int] = field(default_factory=lambda: array("q"))

    def append(self, word: str) -> None:
        """One more edge."""
        self.at.append(self.distinct.setdefault(word, len(self.distinct)))

    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
        """(edge,): positions in the words; and these, (word,)."""
        return np.array(self.at, np.int64), np.array(list(self.distinct), object)


@dataclass
class Graph:
    """What has been read so far; the methods are called by the parser, in the file's order."""

    name: str
    options: Options
    keys: dict[str, Key] = field(default_factory=dict)  # by id
    weight: str | None = None  # ids of keys
    type: str | None = None
    kind: str | None = None
    where: dict[str, tuple[Value, ...]] = field(default_factory=dict)  # id of a key -> kept values
    wanted: dict[tuple[str, str], bool] = field(default_factory=dict)  # (key, value) seen before
    directed: bool = True
    graphs: int = 0
    nodes: dict[str, str] = field(default_factory=dict)  # id -> attribute `name`, or ""
    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    weights: array[float] = field(default_factory=lambda: array("d"))
    types: Words = field(default_factory=Words)
    kinds: Words = field(default_factory=Words)
    lines: array[int] = field(default_factory=lambda: array("q"))
    read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> edges
    stack: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)  # of the node or edge that is open
    data_key: str = ""
    needed: set[str] = field(default_factory=set)  # ids of keys; other values are skipped
    attributes: dict[str, str] = field(default_factory=dict)
    text: str | None = None  # of the value that is open, if it is needed
    line: int = 0  # where the open edge begins

    def parse(self, content: bytes) -> None:
        """Read it all; raises DataFileError."""
        parser = self.parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        declaration = DECLARATION.search(content, 0, HEAD)
        begun = declaration.end() + 1 if declaration else 0
        try:
            # What declares an encoding comes alone, before there are handlers: an error of theirs
            # is never taken for an unknown encoding.
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

    def problem(self, what: str, hint: str = "", line: int = 0, code: str = "NB204") -> Exception:
        """The error for something on the line where the parser is, or on `line`."""
        line = line or self.parser.CurrentLineNumber
        return DataFileError(code, f"line {line:,} of {self.name}: {what}", hint)

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        tag = qualified.rpartition(" ")[2]
        inside = self.values_open()
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
            key = Key(label.strip(), attributes.get("for", "all"))
            self.keys[attributes.get("id", "")] = key
            self.attributes = attributes
        elif tag == "graph":
            self.begin_graph(attributes)
        elif tag in ("node", "edge"):
            self.data, self.attributes = {}, attributes
            self.line = self.parser.CurrentLineNumber
        elif tag == "data":
            self.data_key = attributes.get("key", "")
        if tag == "default" or (tag == "data" and self.data_key in self.needed):
            self.text = ""

    def begin_graph(self, attributes: dict[str, str]) -> None:
        """The one graph; by now all keys are known."""
        self.graphs += 1
        if self.graphs > 1:
            raise self.problem("a second graph", "keep one graph in a file")
        self.directed = attributes.get("edgedefault") != "undirected"
        self.weight = self.key_of("weight", self.options.weight, WEIGHTS)
        self.type = self.key_of("type", self.options.type, TRANSMITTERS)
        self.kind = self.key_of("type", None, KINDS)
        for label, values in self.options.kept().items():
            self.where[self.key_of("where", label) or ""] = values
        self.needed = {*self.where, *filter(None, (self.weight, self.type, self.kind))}
        self.needed |= {key for key in self.keys if self.names(key)}

    def names(self, key: str) -> bool:
        """Whether the attribute is that of the neurons' names."""
        known = self.keys[key]
        return known.name.casefold() == "name" and known.domain in ("node", "all")

    def values_open(self) -> bool:
        """Whether an element that holds a value is open."""
        return any(tag in self.stack for tag in VALUES)

    def key_of(self, option: str, wanted: str | None, known: tuple[str, ...] = ()) -> str | None:
        """The id of the edges' attribute called `wanted`, or of the first that is known."""
        edge = {k.name: i for i, k in self.keys.items() if k.domain in ("edge", "all")}
        folded: dict[str, list[str]] = {}
        for label, key in edge.items():
            folded.setdefault(label.casefold(), []).append(key)
        if wanted is None:
            return next((folded[word][0] for word in known if word in folded), None)
        alike = folded.get(wanted.casefold(), [])
        if wanted in edge or len(alike) == 1:
            return edge.get(wanted) or alike[0]
        hint = did_you_mean(wanted, edge)
        what = f"the edges of {self.name} have no attribute {show(wanted)}"
        raise OptionError(option, "NB211", what, hint, column=wanted)

    def characters(self, more: str) -> None:
        """Text, of which only that of values matters."""
        if self.text is None:
            return
        self.text += more
        if len(self.text) > TEXT_CAP:
            raise self.problem("a value that is too long")

    def end(self, qualified: str) -> None:
        """An element ends, and with it what was said in it."""
        tag = self.stack.pop()
        if self.values_open():
            return
        if tag in VALUES:
            written, self.text = (self.text or "").strip(), None
            if tag == "data":
                self.data[self.data_key] = written
            elif self.stack[-1:] == ["key"]:
                self.keys[self.attributes.get("id", "")].default = written
        elif tag == "node":
            self.end_node()
        elif tag == "edge":
            self.end_edge()

    def end_node(self) -> None:
        """A neuron, with the name that it has."""
        label = self.attributes.get("id", "").strip()
        if not label:
            raise self.problem("a node without an id", line=self.line)
        if label in self.nodes:
            raise self.problem(f"a second node {show(label)}", line=self.line)
        called = (value for key, value in self.data.items() if key in self.keys and self.names(key))
        self.nodes[label] = next(called, "")

    def value(self, key: str | None) -> str:
        """What the open edge has under a key, or the key's default; "" where there is neither."""
        return "" if key is None else self.data.get(key, self.keys[key].default) or ""

    def end_edge(self) -> None:
        """A connection, once or both ways."""
        self.read += 1
        for key, kept in self.where.items():
            cell = self.value(key)
            if (key, cell) not in self.wanted:  # of many edges few values are distinct
                self.wanted[key, cell] = cell in meant([cell], kept)
            if not self.wanted[key, cell]:
                values = " or ".join(show(str(value)) for value in kept)
                reason = f"{self.keys[key].name} is not {values}"
                self.dropped[reason] = self.dropped.get(reason, 0) + 1
                return
        ends = self.attributes.get("source", "").strip(), self.attributes.get("target", "").strip()
        weight = self.weight_of_edge()
        kinds = self.value(self.type), self.value(self.kind)
        own = self.attributes.get("directed")
        directed = self.directed if own is None else own == "true"
        for source, target in [ends] if directed or ends[0] == ends[1] else [ends, ends[::-1]]:
            self.sources.append(source)
            self.targets.append(target)
            self.weights.append(weight)
            for words, word in zip((self.types, self.kinds), kinds, strict=True):
                words.append(word)
            self.lines.append(self.line)

    def weight_of_edge(self) -> float:
        """The open edge's weight: a finite number that is not negative."""
        if self.weight is None:
            return 1.0
        written = self.value(self.weight)
        where = f"line {self.line:,} of {self.name}: the weight"
        if text.NOT_FINITE.fullmatch(written):
            raise not_a_weight(math.nan, where)
        if not text.NUMBER.fullmatch(written):
            what = "an edge without a weight" if not written else "a weight that is not a number"
            raise self.problem(what, "give each edge a number", self.line, "NB205")
        if not 0 <= (weight := float(written)) < math.inf:
            raise not_a_weight(weight, where)
        return weight


def edges_of(graph: Graph) -> RawEdges:
    """The edges under the names of their neurons."""
    if not graph.nodes:
        raise DataFileError("NB204", f"{graph.name} has no nodes")
    called = list(graph.nodes.values())
    by_name = all(called) and len(set(called)) == len(called)
    positions = {node: position for position, node in enumerate(graph.nodes)}
    for line, source, target in zip(graph.lines, graph.sources, graph.targets, strict=True):
        for end in (source, target):
            if end not in positions:
                what = f"line {line:,} of {graph.name}: an edge of a node that is not there"
                raise DataFileError("NB204", f"{what}, {show(end)}")
    columns = {"name": "name" if by_name else "id", "pre": "source", "post": "target"}
    for use, key in (("weight", graph.weight), ("type", graph.type), ("kind", graph.kind)):
        if key is not None:
            columns[use] = graph.keys[key].name
    settle(columns, graph.kinds.distinct, graph.options)
    none = None, None
    transmitter, transmitters = graph.types.arrays() if "type" in columns else none
    kind, kinds = graph.kinds.arrays() if "kind" in columns else none
    return RawEdges(
        pre=np.array([positions[source] for source in graph.sources], np.int64),
        post=np.array([positions[target] for target in graph.targets], np.int64),
        weight=None if graph.weight is None else np.array(graph.weights),
        type=transmitter,
        types=transmitters,
        kind=kind,
        kinds=kinds,
        names=np.array(called if by_name else list(graph.nodes), object),
        numbered=True,
        n=len(called),
        rows=graph.read,
        dropped=graph.dropped,
        columns=columns,
    )
