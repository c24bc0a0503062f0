"""One path grammar for `set:`, `--set` and every diagnostic: `layers[hidden].weight.std`.

A path is keys joined by dots; `[name]` or `[2]` picks an item of a list by its `name` or by its
position, from 0.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netbuild.errors import Place, Problem
from netbuild.spec.document import Node, kind_of, show

Location = tuple[str | int, ...]  # keys and positions, as Pydantic's `loc`

_KEY = re.compile(r"[^\[\].=+\s]+")
_ITEM = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True)
class PathError(Exception):
    """A path that cannot be read or followed; `column` counts from 1 within its text."""

    what: str
    column: int = 1
    hint: str = ""


@dataclass(frozen=True)
class Segment:
    """One step of a path: a mapping's key, or an item of a list."""

    text: str
    item: bool
    column: int


def parse_path(text: str) -> tuple[Segment, ...]:
    """The segments of a path; raises PathError where it cannot be read."""
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        if text[at] == "[" and segments and (match := _ITEM.match(text, at)):
            segments.append(Segment(match[1].strip(), True, at + 1))
        else:
            if segments:
                if text[at] != ".":
                    raise PathError(
                        f"`{show(text)}` is not a path", at + 1, "keys are joined by dots"
                    )
                at += 1
            match = _KEY.match(text, at)
            if match is None:
                raise PathError(
                    f"`{show(text)}` is not a path", at + 1, "write `layers[hidden].weight`"
                )
            segments.append(Segment(match[0], False, at + 1))
        at = match.end()
    if not segments:
        raise PathError("an empty path", 1, "write `layers[hidden].weight`")
    return tuple(segments)


def spell(root: Node, location: Sequence[str | int]) -> str:
    """A location as a path, list items by their `name` where they have one."""
    text = ""
    node: Node | None = root
    for part in location:
        child: Node | None = None
        if isinstance(part, int):
            label = str(part)
            if node is not None and isinstance(node.value, list) and part < len(node.value):
                child = node.value[part]
                if isinstance(child.value, dict) and "name" in child.value:
                    name = child.value["name"].value
                    if isinstance(name, str) and _names(node).count(name) == 1:
                        label = show(name)
            text += f"[{label}]"
        else:
            text += f".{show(part)}" if text else show(part)
            if node is not None and isinstance(node.value, dict):
                child = node.value.get(part)
        node = child
    return text


def at(root: Node, location: Sequence[str | int]) -> Node | None:
    """The node at a location, or None."""
    node: Node | None = root
    for part in location:
        node = _child(node, part) if node is not None else None
    return node


def _child(node: Node, part: str | int) -> Node | None:
    match node.value, part:
        case dict() as entries, str():
            return entries.get(part)
        case list() as items, int():
            return items[part] if part < len(items) else None
    return None


def follow(root: Node, path: str) -> Node:
    """The node that a path leads to; raises PathError where it leads nowhere."""
    node = root
    for segment in parse_path(path):
        node = _descend(node, segment, make=False)
    return node


def assign(root: Node, path: str, value: Node, *, append: bool = False) -> None:
    """Put `value` where `path` says, in place; with `append`, add it to the end of a list there.

    Mappings on the way are made when they are missing; items of lists are not. Raises PathError.
    """
    *way, last = parse_path(path)
    node = root
    for segment in way:
        node = _descend(node, segment, make=True)
    if append:
        target = _descend(node, last, make=True)
        if target.value == {}:
            target.value = []
        if not isinstance(target.value, list):
            raise PathError(f"`+=` adds to a list, `{path}` is {kind_of(target)}", last.column)
        target.value = [*target.value, value]
    elif last.item:
        items = _items(node, last)
        items[_position(node, last)] = value
    else:
        _entries(node, last)[last.text] = value


def remove(root: Node, path: str) -> None:
    """Take away what stands at `path`, in place; raises PathError when nothing does."""
    *way, last = parse_path(path)
    node = root
    for segment in way:
        node = _descend(node, segment, make=False)
    if last.item:
        del _items(node, last)[_position(node, last)]
    else:
        entries = _entries(node, last)
        if last.text not in entries:
            raise PathError(f"nothing to unset: no key `{show(last.text)}` there", last.column)
        del entries[last.text]


def _descend(node: Node, segment: Segment, *, make: bool) -> Node:
    if segment.item:
        return _items(node, segment)[_position(node, segment)]
    entries = _entries(node, segment)
    if segment.text not in entries:
        if not make:
            raise PathError(
                f"no key `{show(segment.text)}` there", segment.column, near(segment.text, entries)
            )
        entries[segment.text] = Node({}, node.place, node.place)
    return entries[segment.text]


def _entries(node: Node, segment: Segment) -> dict[str, Node]:
    if node.value is None:
        node.value = {}
    if not isinstance(node.value, dict):
        hint = "pick an item: `[name]` or `[0]`" if isinstance(node.value, list) else ""
        raise PathError(
            f"`{show(segment.text)}` is a key, but here is {kind_of(node)}", segment.column, hint
        )
    return node.value


def _items(node: Node, segment: Segment) -> list[Node]:
    if not isinstance(node.value, list):
        raise PathError(
            f"`[{show(segment.text)}]` picks from a list, but here is {kind_of(node)}",
            segment.column,
        )
    return node.value


def _position(node: Node, segment: Segment) -> int:
    items = _items(node, segment)
    if segment.text.isdecimal():
        position = int(segment.text)
        if position >= len(items):
            raise PathError(f"no item [{segment.text}]: the list has {len(items)}", segment.column)
        return position
    names = _names(node)
    if names.count(segment.text) > 1:
        raise PathError(
            f"two items are named `{show(segment.text)}`", segment.column, "pick by position: `[0]`"
        )
    if segment.text not in names:
        hint = near(segment.text, [name for name in names if name])
        raise PathError(f"no item is named `{show(segment.text)}`", segment.column, hint)
    return names.index(segment.text)


def _names(node: Node) -> list[str]:
    names = []
    for item in node.value if isinstance(node.value, list) else []:
        name = item.value.get("name") if isinstance(item.value, dict) else None
        names.append(name.value if name is not None and isinstance(name.value, str) else "")
    return names


def near(word: str, words: object) -> str:
    """A hint that names the word most like `word`, or lists them when they are few."""
    known = sorted({str(w) for w in words})  # type: ignore[attr-defined]
    folded = {w.casefold(): w for w in known}
    match = difflib.get_close_matches(word.casefold(), list(folded), 1, 0.6)
    if match:
        return f"did you mean `{folded[match[0]]}`?"
    if 0 < len(known) <= 12:
        return "one of " + ", ".join(f"`{w}`" for w in known)
    return ""


def path_problem(
    error: PathError, source: str, text: str, offset: int, code: str = "NB110"
) -> Problem:
    """A PathError as a problem of the `--set` or `set:` entry that holds the path."""
    column = offset + error.column
    place = Place(source, 1, column, column + 1, text)
    return Problem(code, error.what, place=place, hint=error.hint)
