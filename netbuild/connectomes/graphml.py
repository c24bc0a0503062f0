"""GraphML: nodes and edges as XML, read by a parser that knows no document types or entities.

Format: Brandes et al., "GraphML Progress Report", GD 2001; http://graphml.graphdrawing.org.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

import numpy as np

from netbuild.connectomes.matrices import not_a_weight
from netbuild.connectomes.rows import (
    KINDS,
    TRANSMITTERS,
    WEIGHTS,
    Labels,
    Rows,
    Words,
    kept_values,
    objects,
    refuse_keys,
    settle,
)
from netbuild.connectomes.source import Source
from netbuild.errors import DataFileError
from netbuild.files import text
from netbuild.files.cells import Value, equal_cells
from netbuild.wording import did_you_mean, show

SIZE_CAP = 256 << 20  # bytes
DEPTH_CAP = 16  # elements inside each other; a graph needs 4
TEXT_CAP = 1 << 12  # characters of one value
HEAD = 1 << 10  # bytes in which an XML declaration ends
DECLARATION = re.compile(rb"\?\0?>")  # its end, in any encoding that expat knows by itself
VALUES = ("data", "default")  # elements whose text is a value
REFUSED = ("hyperedge", "port")


def read(source: Source, words: Words) -> Rows:
    """The edges of the one graph; those of an undirected one go both ways.

    Neurons are called by the nodes' attribute `name` if all have one and no two the same, else by
    the nodes' ids. `weight`, `transmitter` and `where` name attributes of the edges.

    Raises DataFileError: NB204 (not well-formed, not GraphML, a document type), NB205 (a weight
    that is no number, negative, missing), NB211 (no such attribute), NB901 (too large).
    """
    what = f"{source.name} is a graph, whose edges say themselves where they start and end"
    refuse_keys(words, ("pre", "post", "array", "rows"), "NB211", what)
    if len(source.content) > SIZE_CAP:
        what = f"{source.name} has {len(source.content):,} bytes; the limit is {SIZE_CAP:,}"
        raise DataFileError("NB901", what, "save it as an edge list: csv, or Parquet")
    reader = Reader(source.name, words)
    reader.parse(source.content)
    return reader.edges.rows(reader.nodes)


@dataclass
class Attribute:
    """What a <key> declares: an attribute of nodes or edges."""

    name: str
    domain: str  # node, edge, all ...
    default: str = ""


@dataclass
class Column:
    """A word of each edge, of which few are distinct: each is kept once, however long it is."""

    distinct: dict[str, int] = field(default_factory=dict)  # word -> its position
    at: array[int] = field(default_factory=lambda: array("q"))

    def append(self, word: str) -> None:
        """One more edge."""
        self.at.append(self.distinct.setdefault(word, len(self.distinct)))

    def labels(self) -> Labels:
        """As arrays."""
        return Labels(np.array(self.at, np.int64), objects(self.distinct))


@dataclass(frozen=True)
class Element:
    """A node or an edge that has been read: its attributes, its values by key, and its line."""

    attributes: Mapping[str, str]
    values: Mapping[str, str]
    where: str  # `line 3 of FILE`
    line: int


class Nodes:
    """The neurons."""

    def __init__(self, keys: Mapping[str, Attribute], name: str) -> None:
        self.file = name
        self.name_keys = [
            key
            for key, attribute in keys.items()
            if attribute.name.casefold() == "name" and attribute.domain in ("node", "all")
        ]
        self.labels: dict[str, str] = {}  # id -> attribute `name`, or ""

    def add(self, node: Element) -> None:
        """One more neuron."""
        label = node.attributes.get("id", "").strip()
        if not label:
            raise DataFileError("NB204", f"{node.where}: a node without an id")
        if label in self.labels:
            raise DataFileError("NB204", f"{node.where}: a second node {show(label)}")
        names = (value for key, value in node.values.items() if key in self.name_keys)
        self.labels[label] = next(names, "")


class Edges:
    """The connections, and the attributes that say their weight and kind."""

    def __init__(
        self, keys: Mapping[str, Attribute], words: Words, directed: bool, name: str
    ) -> None:
        self.file, self.words, self.keys, self.directed = name, words, keys, directed
        self.weight = self._key_of(WEIGHTS, words.edges.weight, ("edges", "weight"))
        self.columns = {  # use -> its key, and the words of the edges
            "transmitter": (
                self._key_of(TRANSMITTERS, words.edges.transmitter, ("edges", "transmitter")),
                Column(),
            ),
            "kind": (self._key_of(KINDS), Column()),
        }
        self.where: dict[str, tuple[Value, ...]] = {}  # key -> kept values
        for label, values in kept_values(words).items():
            self.where[self._key_of((), label, ("where", label))] = values
        self.known: dict[tuple[str, str], bool] = {}  # (key, value) -> whether it is kept
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.weights = array("d")
        self.lines = array("q")
        self.read = 0
        self.dropped: dict[str, int] = {}  # reason -> edges

    @property
    def needed(self) -> set[str]:
        """The keys whose values matter."""
        return {self.weight, *self.where, *(key for key, _ in self.columns.values())} - {""}

    def _key_of(
        self, known: tuple[str, ...], wanted: str | None = None, place: tuple[str, ...] = ()
    ) -> str:
        """The key of the edges' attribute called `wanted`, or of the first that is known, or ""."""
        edge = {k.name: i for i, k in self.keys.items() if k.domain in ("edge", "all")}
        folded: dict[str, list[str]] = {}
        for label, key in edge.items():
            folded.setdefault(label.casefold(), []).append(key)
        if wanted is None:
            return next((folded[word][0] for word in known if word in folded), "")
        alike = folded.get(wanted.casefold(), [])
        if wanted in edge or len(alike) == 1:
            return edge.get(wanted) or alike[0]
        what = f"the edges of {self.file} have no attribute {show(wanted)}"
        raise DataFileError("NB211", what, did_you_mean(wanted, edge), key=place)

    def add(self, edge: Element) -> None:
        """One more connection, in one direction or in both."""
        self.read += 1
        if not self._is_kept(edge):
            return
        ends = [edge.attributes.get(key, "").strip() for key in ("source", "target")]
        weight = self._weight_of(edge)
        own = edge.attributes.get("directed")
        directed = self.directed if own is None else own == "true"
        for source, target in [ends] if directed or ends[0] == ends[1] else [ends, ends[::-1]]:
            self.sources.append(source)
            self.targets.append(target)
            self.weights.append(weight)
            self.lines.append(edge.line)
            for key, column in self.columns.values():
                column.append(self._value(edge, key))

    def _value(self, edge: Element, key: str) -> str:
        """What an edge has under a key, or the key's default; "" where there is neither."""
        return edge.values.get(key, self.keys[key].default) if key else ""

    def _is_kept(self, edge: Element) -> bool:
        """Whether `where` keeps an edge; one that it drops is counted."""
        for key, kept in self.where.items():
            cell = self._value(edge, key)
            if (key, cell) not in self.known:  # of many edges few values are distinct
                self.known[key, cell] = cell in equal_cells([cell], kept)
            if not self.known[key, cell]:
                values = " or ".join(show(str(value)) for value in kept)
                reason = f"{self.keys[key].name} is not {values}"
                self.dropped[reason] = self.dropped.get(reason, 0) + 1
                return False
        return True

    def _weight_of(self, edge: Element) -> float:
        """An edge's weight: a finite number that is not negative."""
        if not self.weight:
            return 1.0
        written = self._value(edge, self.weight)
        if text.NOT_FINITE.fullmatch(written):
            raise not_a_weight(math.nan, f"{edge.where}: the weight")
        if not text.NUMBER.fullmatch(written):
            what = "an edge without a weight" if not written else "a weight that is not a number"
            raise DataFileError("NB205", f"{edge.where}: {what}", "give each edge a number")
        if not 0 <= (weight := float(written)) < math.inf:
            raise not_a_weight(weight, f"{edge.where}: the weight")
        return weight

    def rows(self, nodes: Nodes) -> Rows:
        """The edges under the names of their neurons."""
        if not nodes.labels:
            raise DataFileError("NB204", f"{self.file} has no nodes")
        called = list(nodes.labels.values())
        by_name = all(called) and len(set(called)) == len(called)
        positions = {node: position for position, node in enumerate(nodes.labels)}
        for line, *ends in zip(self.lines, self.sources, self.targets, strict=True):
            for end in ends:
                if end not in positions:
                    what = f"line {line:,} of {self.file}: an edge of a node that is not there"
                    raise DataFileError("NB204", f"{what}, {show(end)}")
        columns = {"name": "name" if by_name else "id", "pre": "source", "post": "target"}
        used = {"weight": self.weight} | {use: key for use, (key, _) in self.columns.items()}
        columns |= {use: self.keys[key].name for use, key in used.items() if key}
        settle(columns, self.columns["kind"][1].distinct, self.words)
        labels = {use: c.labels() for use, (_, c) in self.columns.items() if use in columns}
        return Rows(
            pre=np.array([positions[source] for source in self.sources], np.int64),
            post=np.array([positions[target] for target in self.targets], np.int64),
            weight=np.array(self.weights) if self.weight else None,
            n=len(called),
            names=objects(called if by_name else nodes.labels),
            transmitter=labels.get("transmitter"),
            kind=labels.get("kind"),
            read=self.read,
            dropped=self.dropped,
            columns=columns,
        )


class Reader:
    """Hands each node and edge to its builder; the methods are called in the file's order."""

    nodes: Nodes  # both from the start of the graph on, when all keys are known
    edges: Edges

    def __init__(self, name: str, words: Words) -> None:
        self.name, self.words = name, words
        self.keys: dict[str, Attribute] = {}
        self.needed: set[str] = set()  # keys; values of others are skipped
        self.graphs = 0
        self.stack: list[str] = []
        self.attributes: dict[str, str] = {}  # of the key, node or edge that is open
        self.values: dict[str, str] = {}
        self.line = 0  # where it begins
        self.key = ""  # of the value that is open
        self.text: str | None = None  # of that value, if it is needed

    def parse(self, content: bytes) -> None:
        """Read it all; raises DataFileError."""
        parser = self.parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        declaration = DECLARATION.search(content, 0, HEAD)
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
            self.attributes, self.values = attributes, {}
            self.line = self.parser.CurrentLineNumber
        if tag == "default" or (tag == "data" and self.key in self.needed):
            self.text = ""

    def begin_graph(self, attributes: dict[str, str]) -> None:
        """The one graph; by now all keys are known."""
        self.graphs += 1
        if self.graphs > 1:
            raise self.problem("a second graph", "keep one graph in a file")
        directed = attributes.get("edgedefault") != "undirected"
        self.edges = Edges(self.keys, self.words, directed, self.name)
        self.nodes = Nodes(self.keys, self.name)
        self.needed = {*self.edges.needed, *self.nodes.name_keys}

    def in_a_value(self) -> bool:
        """Whether an element that holds a value is open."""
        return any(tag in self.stack for tag in VALUES)

    def characters(self, more: str) -> None:
        """Text, of which only that of values matters."""
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
                self.keys[self.attributes.get("id", "")].default = written
        elif tag in ("node", "edge"):
            if not self.graphs:
                raise self.problem(f"a {tag} outside of a graph")
            where = f"line {self.line:,} of {self.name}"
            element = Element(self.attributes, self.values, where, self.line)
            (self.nodes if tag == "node" else self.edges).add(element)
