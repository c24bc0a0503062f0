"""YAML bytes become a tree of nodes, each of which knows its line and columns.

The rules are YAML 1.2's core schema, as editors have them: `1e-3` is a number, `no` is a string, a
duplicate key is an error. Depth and size are checked on the event stream, so that nothing deep or
large is ever built; anchors and `<<` work, and what they expand to is counted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from netbuild.errors import Place, Problem, SpecError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000  # after anchors and merges are expanded
MAX_DIGITS = 18  # of a whole number: it fits 64 bits

Scalar: TypeAlias = str | int | float | bool | None
Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML has it


@dataclass(slots=True)
class Node:
    """A value of the spec: a scalar, a list of nodes, or a mapping from keys to nodes."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    key_place: Place | None = None  # of the key that leads here, in a mapping
    size: int = 1  # nodes in this tree, shared ones counted each time


@dataclass
class Document:
    """One parsed file: its tree, and the folder that its paths are relative to."""

    source: str
    root: Node
    folder: Path
    text: str = field(repr=False)


def plain(node: Node) -> object:
    """The data of a node without its places: what `json.dumps` takes."""
    match node.value:
        case dict():
            return {key: plain(child) for key, child in node.value.items()}
        case list():
            return [plain(child) for child in node.value]
        case scalar:
            return scalar


def read(path: Path, source: str | None = None) -> Document:
    """Parse the spec file at `path`; raises SpecError with every problem of its YAML."""
    source = source or str(path)
    text = _text(_read_bytes(path, source), source)
    return Document(source, parse(text, source), path.parent, text)


def parse(text: str, source: str) -> Node:
    """Parse the text of a whole spec, whose root must be a mapping of keys."""
    root = Parser(source, text).tree()
    if root is None or root.value is None:
        raise SpecError([Problem("NB009", "the spec is empty", place=Place(source, 1, 1))])
    if not isinstance(root.value, dict):
        what = f"a spec is a mapping of keys, this is {kind_of(root)}"
        raise SpecError([Problem("NB009", what, place=root.place)])
    return root


def parse_value(text: str, source: str, offset: int) -> Node:
    """Parse one value, as after the `=` of a `--set`; `offset` is where it starts there."""
    node = Parser(source, text, offset).tree()
    return node or Node(None, Place(source, 1, offset + 1, offset + 1, text))


def kind_of(node: Node) -> str:
    """What a node is, in the words of a message; never its content."""
    match node.value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping of keys"


def _read_bytes(path: Path, source: str) -> bytes:
    def refuse(what: str, hint: str = "") -> SpecError:
        return SpecError([Problem("NB001", what, place=Place(source), hint=hint)])

    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refuse(f"cannot read the spec: {error.strerror or error}") from None
    except ValueError:
        raise refuse("cannot read the spec: the path holds a NUL character") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise refuse("cannot read the spec: not a regular file")
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise refuse("the spec is larger than 1 MiB", "keep matrices in files of their own")
    return data


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        what = "the spec is not UTF-8 text"
        raise SpecError([Problem("NB002", what, place=Place(source, line, column))]) from None


class Parser:
    """Builds the tree of one text from the parser's events, gathering problems as it goes."""

    def __init__(self, source: str, text: str, offset: int = 0) -> None:
        self.source = source
        self.text = text
        self.lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)  # as the YAML parser counts
        self.offset = offset
        self.anchors: dict[str, Node | None] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def tree(self) -> Node | None:
        """The root node, or None for an empty text; raises SpecError."""
        root: Node | None = None
        documents = 0
        try:
            self._check_characters()
            events = yaml.parse(self.text, Loader=Loader)
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self._fatal("NB003", "a spec is one YAML document", event)
                elif isinstance(event, yaml.NodeEvent):
                    root = self._node(event, events, 1)
        except yaml.YAMLError as error:
            self.problems.append(self._syntax(error))
        except (_Fatal, RecursionError):
            pass
        if self.problems:
            raise SpecError(self.problems)
        return root

    def _check_characters(self) -> None:
        found = re.search(
            r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", self.text
        )
        if found:
            before = self.text[: found.start()]
            line = before.count("\n") + 1
            column = found.start() - before.rfind("\n")
            place = Place(self.source, line, column + self.offset, column + self.offset + 1)
            what = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
            self.problems.append(Problem("NB002", what, place=place))
            raise _Fatal

    def _node(self, event: Any, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._fatal("NB006", f"nested deeper than {MAX_DEPTH} levels", event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        place = self.place(event)
        if event.tag is not None:
            self._problem(
                "NB005",
                "tags (`!...`) are not used in a spec",
                place,
                "write the plain value; quote it to make it text",
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # unfinished: an alias to it would be circular
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event, place), place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(events, place, depth)
        else:
            node = self._mapping(events, place, depth)
        self._count(1, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _sequence(self, events: Iterator[yaml.Event], place: Place, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return Node(items, place, size=1 + sum(item.size for item in items))

    def _mapping(self, events: Iterator[yaml.Event], place: Place, depth: int) -> Node:
        own: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            plain_key = isinstance(event, yaml.ScalarEvent) and not event.style
            value = self._node(next(events), events, depth + 1)
            if key.value == "<<" and plain_key:
                merged += self._merged(value)
                continue
            if not isinstance(key.value, str):
                hint = "quote it" if not isinstance(key.value, (list, dict)) else ""
                self._problem(
                    "NB008", f"a key must be a name, this is {kind_of(key)}", key.place, hint
                )
                continue
            if key.value in own:
                first = own[key.value].key_place
                what = f"the key `{show(key.value)}` stands twice"
                hint = f"it was first given on line {first.line}" if first else ""
                self._problem("NB004", what, key.place, hint)
                continue
            own[key.value] = Node(value.value, value.place, key.place, value.size)
        entries = dict(own)
        for other in merged:  # an earlier one wins, and the mapping's own keys win over all
            assert isinstance(other.value, dict)
            self._count(other.size, place)
            for name, child in other.value.items():
                entries.setdefault(name, child)
        return Node(entries, place, size=1 + sum(1 + child.size for child in entries.values()))

    def _merged(self, value: Node) -> list[Node]:
        maps = value.value if isinstance(value.value, list) else [value]
        for node in maps:
            if not isinstance(node.value, dict):
                self._problem(
                    "NB005", "`<<` takes an alias of a mapping, or a list of them", node.place
                )
                return []
        return maps

    def _alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor, event)
        if node is None:
            raise self._fatal("NB005", "an anchor cannot contain itself", event)
        if not isinstance(node, Node):
            raise self._fatal("NB005", "this alias has no anchor before it", event)
        self._count(node.size, self.place(event))
        return node

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        text = event.value
        if event.style:  # quoted or block: text as it stands
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                self._problem("NB002", "half of a surrogate pair is not a character", place)
            return text
        try:
            return resolve(text)
        except ValueError as error:
            what, hint = error.args
            self._problem("NB007", what, place, hint)
            return None

    def _count(self, size: int, place: Place) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            what = f"the spec holds more than {MAX_NODES:,} values once anchors are expanded"
            self._problem("NB006", what, place, "keep matrices in files of their own")
            raise _Fatal

    def place(self, event: Any) -> Place:
        """Where an event's text stands: its first line only, for the excerpt."""
        start, end = event.start_mark, event.end_mark
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        block = isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        stop = len(text.rstrip()) if block or end.line != start.line else end.column
        column = start.column + 1 + self.offset
        return Place(
            self.source, start.line + 1, column, max(stop + 1 + self.offset, column + 1), text
        )

    def _syntax(self, error: Any) -> Problem:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = getattr(error, "problem", None) or "not valid YAML"
        if context := getattr(error, "context", None):
            what = f"{what} ({context})"
        if mark is None:
            return Problem("NB003", "not valid YAML", place=Place(self.source, 1, 1))
        line = self.lines[mark.line] if mark.line < len(self.lines) else ""
        column = mark.column + 1 + self.offset
        hint = ""
        if "\t" in line[: mark.column + 1]:
            hint = "indent with spaces; YAML takes no tabs there"
        elif "mapping values are not allowed" in what:
            hint = "text that holds `: ` needs quotes, or the line above is not finished"
        return Problem(
            "NB003",
            what,
            place=Place(self.source, mark.line + 1, column, column + 1, line),
            hint=hint,
        )

    def _problem(self, code: str, what: str, place: Place, hint: str = "") -> None:
        self.problems.append(Problem(code, what, place=place, hint=hint))

    def _fatal(self, code: str, what: str, event: yaml.Event) -> _Fatal:
        self._problem(code, what, self.place(event))
        return _Fatal()


class _Fatal(Exception):
    """Stops the parse; the problem has been noted."""


def show(text: str, most: int = 60) -> str:
    """Text from a file, safe to print: control characters escaped, and cut to `most`."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


# YAML 1.2's core schema, section 10.3.2.
NULLS = re.compile(r"(~|null|Null|NULL|)$")
BOOLS = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
SPECIAL = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")


def resolve(text: str) -> Scalar:
    """A plain scalar's value by YAML 1.2's core rules.

    Raises ValueError(what, hint) for `014` and for whole numbers beyond 64 bits.
    """
    if "\n" in text:
        return text
    if NULLS.match(text):
        return None
    if BOOLS.match(text):
        return text[0] in "tT"
    if INT.match(text):
        return _whole(text)
    if FLOAT.match(text) and len(text) <= 64:
        return float(text)
    if SPECIAL.match(text):
        return float(text.replace(".", "", 1))
    return text


def _whole(text: str) -> int:
    digits = text.lstrip("+-")
    if digits.isdecimal() and len(digits) > 1 and digits[0] == "0":
        decimal = digits.lstrip("0") or "0"
        octal = "" if set(digits) & set("89") else f" or 0o{decimal}"
        hint = f"write {decimal}{octal}; quote it if it is text"
        raise ValueError(f"`{show(text, 24)}` begins with a zero", hint)
    if len(digits) > MAX_DIGITS:
        hint = f"at most {MAX_DIGITS}; quote it if it is text"
        raise ValueError(f"a whole number of {len(digits)} digits", hint)
    return int(text, 0 if digits[:2] in ("0o", "0x") else 10)
