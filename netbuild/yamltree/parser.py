"""From YAML text to nodes, on the parser's events: nothing deep or large is ever built.

A duplicate key is an error; tags are refused; anchors and `<<` work, and what they expand to is
counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import yaml

from netbuild.errors import Place, Problem, SpecError
from netbuild.wording import show
from netbuild.yamltree.nodes import Node, Scalar, kind_of
from netbuild.yamltree.scalars import resolve

MAX_DEPTH = 64
MAX_NODES = 100_000  # after anchors and merges are expanded

Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML has it
BREAKS = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # of lines, as the YAML parser counts them
NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Parser:
    """Builds the tree of one text from the parser's events, gathering problems as it goes.

    `before` is what stands before the text on its first line, and is not parsed.
    """

    def __init__(self, source: str, text: str, before: str = "") -> None:
        self.source = source
        self.text = text
        self.lines = BREAKS.split(text)
        self.lines[0] = before + self.lines[0]
        self.offset = len(before)
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
        except _Fatal:
            pass
        if self.problems:
            raise SpecError(self.problems)
        return root

    def _check_characters(self) -> None:
        found = NOT_YAML.search(self.text)
        if found:
            *lines, last = BREAKS.split(self.text[: found.start()])
            what = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
            self._problem("NB002", what, self._place(len(lines), len(last), len(last) + 1))
            raise _Fatal

    def _node(self, event: Any, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._too_deep(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.tag is not None:
            what = "tags (`!...`) are not used in a spec"
            hint = "write the plain value; quote it to make it text"
            self._problem("NB005", what, self.place(event), hint)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # unfinished: an alias to it would be circular
        if isinstance(event, yaml.ScalarEvent):
            place = self.place(event)
            node = Node(self._scalar(event, place), place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, depth)
        else:
            node = self._mapping(event, events, depth)
        self._count(1, node.place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _sequence(self, start: Any, events: Iterator[yaml.Event], depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return self._collection(items, start, event, items)

    def _mapping(self, start: Any, events: Iterator[yaml.Event], depth: int) -> Node:
        own: dict[str, Node] = {}
        merged: list[Node] = []
        written: list[Node] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            plain_key = isinstance(event, yaml.ScalarEvent) and not event.style
            value = self._node(next(events), events, depth + 1)
            written += key, value
            if key.value == "<<" and plain_key:
                merged += self._merged(value)
            elif isinstance(key.value, str) and key.value not in own:
                own[key.value] = replace(value, key_place=key.place)
            else:
                self._bad_key(key, own, comma=value.value is None and bool(start.flow_style))
        for other in merged:  # an earlier one wins, and the mapping's own keys win over all
            self._count(other.size, other.place)
            for name, child in other.entries.items():
                own.setdefault(name, child)
        return self._collection(own, start, event, written)

    def _bad_key(self, key: Node, own: dict[str, Node], *, comma: bool) -> None:
        if isinstance(key.value, str):
            what = f"the key `{show(key.value)}` is written twice"
            first = own[key.value].key_place
            hint = f"it was first given on line {first.line}" if first else ""
            self._problem("NB004", what, key.place, hint)
        else:
            hint = "quote it" if not isinstance(key.value, (list, dict)) else ""
            if comma and kind_of(key).endswith("number"):  # `{value: 1,5}`
                hint = "the decimal sign is a point"
            self._problem("NB008", f"a key must be a name, this is {kind_of(key)}", key.place, hint)

    def _collection(
        self, value: list[Node] | dict[str, Node], start: Any, end: Any, written: list[Node]
    ) -> Node:
        """A node whose place is the part of it on its first line."""
        first, last = start.start_mark, end.end_mark
        if start.flow_style and last.line == first.line:
            stop = last.column
        else:
            ends = (
                n.place.end_column - 1 - (0 if first.line else self.offset)
                for n in written
                if n.place.line == first.line + 1
            )
            stop = max(ends, default=first.column + 1)
        below, keys = (value.values(), len(value)) if isinstance(value, dict) else (value, 0)
        size = 1 + keys + sum(child.size for child in below)
        depth = 1 + max((child.depth for child in below), default=0)
        return Node(value, self._place(first.line, first.column, stop), size=size, depth=depth)

    def _merged(self, value: Node) -> list[Node]:
        maps = value.value if isinstance(value.value, list) else [value]
        for node in maps:
            if not isinstance(node.value, dict):
                what = "`<<` takes an alias of a mapping, or a list of such aliases"
                self._problem("NB005", what, node.place)
                return []
        return maps

    def _alias(self, event: Any, depth: int) -> Node:
        node = self.anchors.get(event.anchor, event)
        if node is None:
            raise self._fatal("NB005", "an anchor cannot contain itself", event)
        if not isinstance(node, Node):
            what = f"the alias `*{show(event.anchor)}` has no anchor before it"
            hint = f'text that begins with `*` needs quotes: `"*{show(event.anchor)}"`'
            raise self._fatal("NB005", what, event, hint)
        if depth + node.depth - 1 > MAX_DEPTH:
            raise self._too_deep(event)
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
            self._problem("NB006", what, place, "keep matrices in separate files")
            raise _Fatal

    def place(self, event: Any) -> Place:
        """Where an event's text stands: its first line only, for the excerpt."""
        start, end = event.start_mark, event.end_mark
        stop = end.column if end.line == start.line else len(self._line(start.line).rstrip())
        return self._place(start.line, start.column, stop)

    def _place(self, line: int, start: int, stop: int) -> Place:
        """A place from the parser's own line and columns, which count from 0."""
        before = 0 if line else self.offset
        first = before + start + 1
        last = max(before + stop + 1, first + 1)
        return Place(self.source, line + 1, first, last, self._line(line))

    def _line(self, line: int) -> str:
        return self.lines[line] if line < len(self.lines) else ""

    def _syntax(self, error: yaml.YAMLError) -> Problem:
        """What the parser says, in the words of somebody who has not read its source."""
        message = " ".join(str(getattr(error, part, "")) for part in ("problem", "context"))
        known = next(syntax for syntax in SYNTAX if syntax.fragment in message)
        marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
        mark = next(filter(None, reversed(marks) if known.at_start else marks), None)
        if mark is None:
            return Problem("NB003", known.what, place=Place(self.source, 1, 1), hint=known.hint)
        place = self._place(mark.line, mark.column, mark.column + 1)
        before, sign = place.text[: place.column - 1], place.text[place.column - 1 :][:1]
        if sign == "\t" or ("\t" in before and not before.strip()):
            known = Syntax("", "a tab cannot indent", "indent with spaces")
        return Problem("NB003", known.what.replace("SIGN", sign), place=place, hint=known.hint)

    def _problem(self, code: str, what: str, place: Place, hint: str = "") -> None:
        self.problems.append(Problem(code, what, place=place, hint=hint))

    def _fatal(self, code: str, what: str, event: yaml.Event, hint: str = "") -> _Fatal:
        self._problem(code, what, self.place(event), hint)
        return _Fatal()

    def _too_deep(self, event: yaml.Event) -> _Fatal:
        return self._fatal("NB006", f"nested deeper than {MAX_DEPTH} levels", event)


class _Fatal(Exception):
    """Stops the parse; the problem has been noted."""


class Syntax(NamedTuple):
    """What to say of an error of the YAML parser."""

    fragment: str  # of what the parser says
    what: str  # SIGN is the character that stands there
    hint: str = ""
    at_start: bool = False  # whether the place is where the construct began


SYNTAX = (
    Syntax("expected ',' or ']'", "this `[` is not closed", "a `,` or a `]` is missing", True),
    Syntax("expected ',' or '}'", "this `{` is not closed", "a `,` or a `}` is missing", True),
    Syntax("parsing a flow sequence", "this `[` is not closed", "a `]` is missing", True),
    Syntax("parsing a flow mapping", "this `{` is not closed", "a `}` is missing", True),
    Syntax("scanning a quoted scalar", "this quote is not closed", "a quote is missing", True),
    Syntax("unknown escape", "this is not an escape of YAML", "use single quotes for a backslash"),
    Syntax(
        "mapping values are not allowed",
        "a `:` cannot stand here",
        "quote text that holds `: `; or this line is indented too far",
    ),
    Syntax(
        "block sequence entries are not allowed",
        "a `- ` cannot stand here",
        "begin each item of a list on a new line; quote text that begins with `- `",
    ),
    Syntax(
        "parsing a block collection",
        "this line is neither a key of the item above nor a new item",
        "indent it as the item's other keys, or begin it with `- `",
    ),
    Syntax(
        "expected ':'", "this line is not `key: value`", "`:`, a space or a quote is missing", True
    ),
    Syntax(
        "parsing a block mapping",
        "this line is indented differently from the keys above",
        "indent all keys of a section alike",
    ),
    Syntax(
        "expected <document start>",
        "this line is indented differently from the first",
        "begin all keys of the spec in the same column",
    ),
    Syntax("cannot start any token", "text cannot begin with `SIGN`", "quote it"),
    Syntax("Unicode character escape", "this escape does not stand for a character"),
    Syntax("incompatible YAML", "this version of YAML is not supported", "remove the line"),
    Syntax("expected node content", "a value is missing before `SIGN`"),
    Syntax("", "this is not valid YAML"),
)
