"""One path grammar for `set:`, `--set` and every diagnostic: `layers[hidden].weight.std`.

A path is keys joined by dots; `[name]` or `[2]` picks an item of a list by its `name` or by its
position, from 0. Where a list stands, `layers.hidden` is another spelling of `layers[hidden]`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from netbuild.errors import Place
from netbuild.wording import counted, near, show
from netbuild.yamltree.nodes import Location, Node, kind_of

MAX_SEGMENTS = 64  # as deep as a spec may be nested

_KEY = re.compile(r"[^\[\].=+\s]+")
_ITEM = re.compile(r"\[([^\[\]]+)\]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


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
    column: int  # where it begins, from 1


def parse_path(text: str) -> tuple[Segment, ...]:
    """The segments of a path; raises PathError where it cannot be read."""
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        match = _ITEM.match(text, at) if segments else None
        if match is None:
            if segments and text[at] != ".":
                raise _unreadable(text, at)
            at += bool(segments)
            match = _KEY.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        item = match[0].startswith("[")
        segments.append(Segment(match[1].strip() if item else match[0], item, at + 1))
        at = match.end()
    if not 0 < len(segments) <= MAX_SEGMENTS:
        what = f"a path of {len(segments)} steps" if segments else "an empty path"
        raise PathError(what, 1, "write for example `layers[hidden].weight`")
    return tuple(segments)


def _unreadable(text: str, at: int) -> PathError:
    hint = "keys are joined by dots, and `[name]` picks an item: `layers[hidden].weight`"
    return PathError(f"`{show(text)}` is not a path", min(at, len(text) - 1) + 1, hint)


class Tree:
    """A whole spec whose nodes no longer change: finds, spells and places its locations."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._labels: dict[int, list[str]] = {}  # of each list's items, by the list's id

    def at(self, location: Sequence[str | int]) -> Node | None:
        """The node at a location, or None."""
        return self.root.at(location)

    def place(self, location: Sequence[str | int], *, key: bool = False) -> Place:
        """Where a location stands: its value, or its key; else the nearest thing around it."""
        node = self.at(location)
        if node is None:
            return self.place(location[:-1], key=True) if location else self.root.place
        return node.key_place if key and node.key_place else node.place

    def spell(self, location: Sequence[str | int]) -> str:
        """A location as a path, list items by their `name` where it is theirs alone."""
        text = ""
        node: Node | None = self.root
        for part in location:
            if isinstance(part, str):
                text += f".{show(part)}" if text else show(part)
            else:
                labels = self._labels_of(node) if node is not None else []
                text += f"[{labels[part] if 0 <= part < len(labels) else part}]"
            node = node.child(part) if node is not None else None
        return text

    def _labels_of(self, node: Node) -> list[str]:
        known = self._labels.get(id(node.value))
        if known is None:
            names = names_of(node)
            count = Counter(names)
            known = [
                show(name) if count[name] == 1 and _NAME.fullmatch(name) else str(position)
                for position, name in enumerate(names)
            ]
            self._labels[id(node.value)] = known
        return known


def names_of(node: Node) -> list[str]:
    """The `name` of each item of a list, "" where it has none."""
    names = (item.entries.get("name") for item in node.items)
    return [name.value if name and isinstance(name.value, str) else "" for name in names]


def follow(root: Node, path: str) -> Location:
    """The location that a path leads to; raises PathError where it leads nowhere."""
    location: list[str | int] = []
    node = root
    segments = parse_path(path)
    for segment in segments:
        picks = segment.item or isinstance(node.value, list)
        location.append(_position(node, segment) if picks else _key(node, segment))
        child = node.child(location[-1])
        assert child is not None
        node = child
    return tuple(location)


def assign(
    root: Node, path: str, value: Node, places: Sequence[Place], *, append: bool = False
) -> Location:
    """Put `value` where `path` says, in place; with `append`, add it to the end of a list there.

    Mappings on the way are made when they are missing, at the `places` of the path's segments;
    items of lists are not. Returns the location of what was put. Raises PathError.
    """
    segments = parse_path(path)
    location: list[str | int] = []
    node = root
    for segment, place in zip(segments, places, strict=True):
        last = segment is segments[-1] and not append
        if segment.item or isinstance(node.value, list):
            location.append(_position(node, segment))
            if last:
                node.items[_position(node, segment)] = value
        else:
            entries = _made(node, segment, segments)
            location.append(segment.text)
            if last:
                value.key_place = place
                entries[segment.text] = value
            elif segment.text not in entries:
                entries[segment.text] = Node(None, place, place)
        child = node.child(location[-1])
        assert child is not None
        node = child
    if append:
        location.append(_append(node, segments[-1], value, path))
    return tuple(location)


def _append(node: Node, segment: Segment, value: Node, path: str) -> int:
    if node.value is None:
        node.value, node.place = [], value.place
    if not isinstance(node.value, list):
        what = f"`+=` adds to a list, but `{show(path)}` is {kind_of(node)}"
        raise PathError(what, segment.column, "`=` replaces it")
    node.value.append(value)
    return len(node.value) - 1


def remove(root: Node, path: str) -> None:
    """Remove the node at `path`, in place; raises PathError where there is none."""
    *way, last = follow(root, path)
    node = root.at(way)
    assert node is not None
    if isinstance(last, int):
        del node.items[last]
    else:
        del node.entries[last]


def _key(node: Node, segment: Segment) -> str:
    """The key that a segment names, which must be there."""
    if not isinstance(node.value, dict):
        raise _no_keys(node, segment)
    if segment.text not in node.value:
        hint = near(segment.text, node.value)
        raise PathError(f"there is no key `{show(segment.text)}`", segment.column, hint)
    return segment.text


def _made(node: Node, segment: Segment, segments: Sequence[Segment]) -> dict[str, Node]:
    """The entries of a node that is a mapping, or becomes one.

    Nothing is made on the way to an item, since items are not made.
    """
    if node.value is not None and not isinstance(node.value, dict):
        raise _no_keys(node, segment)
    item = next((s for s in segments[segments.index(segment) :] if s.item), None)
    if item is not None and segment.text not in node.entries:
        what = f"`[{show(item.text)}]` picks an item of a list, but there is no"
        raise PathError(f"{what} `{show(segment.text)}`", segment.column)
    if node.value is None:
        node.value = {}
    return node.entries


def _no_keys(node: Node, segment: Segment) -> PathError:
    what = f"`{show(segment.text)}` is a key, but it stands under {kind_of(node)}"
    return PathError(what, segment.column)


def _position(node: Node, segment: Segment) -> int:
    text = segment.text
    if not isinstance(node.value, list):
        what = f"`[{show(text)}]` picks an item of a list, but here is {kind_of(node)}"
        hint = f"a key follows a dot: `.{show(text)}`" if isinstance(node.value, dict) else ""
        raise PathError(what, segment.column, hint)
    items = counted(len(node.value), "item")
    if text.isascii() and text.isdecimal():
        if len(text) > 9 or int(text) >= len(node.value):
            what = f"there is no item [{show(text, 12)}]: the list has {items}"
            raise PathError(what, segment.column, "positions count from 0")
        return int(text)
    names = names_of(node)
    if names.count(text) > 1:
        what = f"{names.count(text)} items are named `{show(text)}`"
        raise PathError(what, segment.column, f"pick one by its position: `[{names.index(text)}]`")
    if not text or text not in names:
        hint = near(text, filter(None, names)) or f"the list has {items}, counted from 0"
        raise PathError(f"no item is named `{show(text)}`", segment.column, hint)
    return names.index(text)
