"""Overrides: `set:` in a file, `--set` and `--unset` on a command line, in one path grammar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from netbuild.errors import Place, Problem, SpecError
from netbuild.language.base import Choice
from netbuild.language.grammar import ROOT, Slot, fields_of, slot_at, slots_of
from netbuild.yamltree.document import parse_value
from netbuild.yamltree.nodes import Location, Node, copy_tree, show
from netbuild.yamltree.paths import PathError, assign, near, nearest, parse_path, remove

Segments: TypeAlias = tuple[tuple[str, bool], ...]  # each text, and whether it picks an item
MOST_CHANGES = 200  # in one `set:`; each of them looks through the lists on its way


# The keys of a file that are resolved away, and what to do in place of overriding them.
_OF_FILES = {
    "set": "override the path itself, e.g. `--set training.steps=100`",
    "extends": "edit it in the spec",
}


@dataclass(frozen=True)
class Written:
    """A path as somebody wrote it: its text, and the place of its first character."""

    text: str
    place: Place

    def span(self, column: int, width: int = 1) -> Place:
        """The place of some characters of the path, `column` counting from 1."""
        first = self.place.column + column - 1
        place = self.place
        return Place(place.source, place.line, first, first + width, place.text)

    def places(self) -> list[Place]:
        """The place of each segment; raises PathError."""
        return [self.span(s.column, len(s.text) + 2 * s.item) for s in parse_path(self.text)]

    def problem(self, error: PathError) -> Problem:
        """What is wrong with the path, at its place."""
        return Problem("NB110", error.what, place=self.span(error.column), hint=error.hint)


def apply_set(root: Node, changes: Node) -> list[Problem]:
    """Apply a file's `set:` to its resolved tree, in place.

    Returns the problems of the paths that lead nowhere; raises SpecError where `set` as a whole is
    wrong.
    """
    if not isinstance(changes.value, dict):
        what, hint = "`set` takes paths and their values", "write `layers[hidden].output_dim: 64`"
        raise SpecError([Problem("NB103", what, "set", changes.place, hint)])
    if len(changes.value) > MOST_CHANGES:
        what = f"needs at most {MOST_CHANGES:,} items, has {len(changes.value):,}"
        raise SpecError([Problem("NB104", what, "set", changes.place)])
    problems = []
    kept = _Kept(root)
    for path, value in changes.value.items():
        written = Written(path, _inside(value.key_place or changes.place))
        try:
            location = put(root, written, copy_tree(value))
        except PathError as error:
            problems.append(written.problem(error))
        else:
            problems += kept.lost_to(f"`{show(path)}`")
            kept.add(written, location)
    return problems


def _inside(place: Place) -> Place:
    """A key's place without the quote that it may begin with."""
    quoted = place.text[place.column - 1 : place.column] in ("'", '"')
    return Place(place.source, place.line, place.column + quoted, place.end_column, place.text)


def override(root: Node, changes: Sequence[str], unset: Sequence[str]) -> list[Problem]:
    """Apply a command line's `PATH=VALUE`, `PATH+=VALUE` and `--unset PATH`, in place.

    Returns the problems of those that cannot be applied.
    """
    problems: list[Problem] = []
    kept = _Kept(root)

    def change(source: str, text: str, work: Callable[[Written], None]) -> None:
        written = Written(text, Place(source, 1, 1, len(text) + 1, text))
        try:
            work(written)
        except PathError as error:
            problems.append(written.problem(error))
        except SpecError as error:
            problems.extend(error.problems)

    def set_(whole: Written) -> None:
        written, location = _set(root, whole)
        kept.forget(location)  # the same path once more: the last one counts
        problems.extend(kept.lost_to(f"`{whole.place.source}`"))
        kept.add(written, location)

    def unset_(whole: Written) -> None:
        _unset(root, whole.text)
        problems.extend(kept.lost_to(f"`{whole.place.source}`"))

    for number, text in enumerate(changes, 1):
        change(f"--set #{number}", text, set_)
    for number, text in enumerate(unset, 1):
        change(f"--unset #{number}", text, unset_)
    return problems


class _Kept:
    """The values that overrides have put into a tree, none of which a later one may drop."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._put: list[tuple[Written, Location, Node]] = []

    def add(self, written: Written, location: Location) -> None:
        """Remember what an override has put at a location."""
        node = self._root.at(location)
        assert node is not None
        self._put.append((written, location, node))

    def forget(self, location: Location) -> None:
        """No longer look for what was put at a location."""
        self._put = [each for each in self._put if each[1] != location]

    def lost_to(self, other: str) -> list[Problem]:
        """The problems of those whose value is no longer in the tree; `other` has dropped them."""
        lost = [each for each in self._put if self._root.at(each[1]) is not each[2]]
        if lost:  # removing an item of a list moves those behind it
            there = {id(node) for node in _nodes(self._root)}
            lost = [each for each in lost if id(each[2]) not in there]
        self._put = [each for each in self._put if not any(each is one for one in lost)]
        return [_dropped(written, other) for written, _, _ in lost]


def _dropped(written: Written, other: str) -> Problem:
    what = f"the value of `{show(written.text)}` is dropped again by {other}"
    place = written.span(1, len(written.text))
    return Problem("NB113", what, place=place, hint="write it last, or leave one of them out")


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in (*node.entries.values(), *node.items):
        yield from _nodes(child)


def _set(root: Node, whole: Written) -> tuple[Written, Location]:
    path, operator, start = split_override(whole.text)
    value = parse_value(whole.text, whole.place.source, start)
    lead = len(path) - len(path.lstrip())
    written = Written(path.strip(), whole.span(lead + 1))
    try:
        return written, put(root, written, copy_tree(value), append=operator == "+=")
    except PathError as error:
        raise replace(error, column=error.column + lead) from None


def split_override(text: str) -> tuple[str, str, int]:
    """`PATH=VALUE` as (path, operator, where the value starts); the first `=` outside brackets
    splits. Raises PathError."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "=" and depth <= 0:
            append = text[:position].endswith("+")
            return text[: position - append], "+=" if append else "=", position + 1
    raise PathError("an override is PATH=VALUE", 1, "write for example `training.steps=100`")


def standing(
    changes: Sequence[str], unset: Sequence[str], later: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The overrides and unset paths of an earlier command line that a later one leaves standing.

    The later one replaces both in a section that it sets as a whole, and an unset path of which it
    sets something again.
    """
    sections = [path for text in later if (path := _segments(text, replaces=True))]

    def stands(text: str) -> bool:
        return not any(_is_below(_segments(text), section) for section in sections)

    new = [_segments(text) for text in later]
    again = {text for text in unset if any(_is_below(path, _segments(text)) for path in new)}
    return (
        [text for text in changes if stands(text)],
        [text for text in unset if stands(text) and text not in again],
    )


def _is_below(path: Segments, section: Segments) -> bool:
    """Whether a path leads to a section, or to something in it."""
    return bool(section) and path[: len(section)] == section


def _segments(text: str, *, replaces: bool = False) -> Segments:
    """The segments of an override's path; none where it cannot be read, or replaces nothing."""
    try:
        path, operator, _ = split_override(text) if "=" in text else (text, "=", 0)
        found = parse_path(path.strip())
    except PathError:
        return ()
    if replaces and operator == "+=":
        return ()
    return tuple((segment.text, segment.item) for segment in found)


def put(root: Node, path: Written, value: Node, *, append: bool = False) -> Location:
    """Put `value` where `path` says, its short forms written out; returns where that is.

    Where this changes the kind of a section (its `type`, say), the fields that the new kind lacks
    are dropped. Raises PathError.
    """
    _refuse_keys_of_files(path.text)
    try:
        location = assign(root, path.text, value, path.places(), append=append)
    except PathError as error:
        raise _unknown_key(root, path.text) or error from None
    *way, last = location
    parent = root.at(way)
    assert parent is not None
    if isinstance(last, str):
        _drop_foreign(root, tuple(way), parent, last)
        if last in parent.entries:
            parent.entries[last] = written_out(value, slot_at(root, location))
    else:
        parent.items[last] = written_out(value, slot_at(root, location))
    return location


def _unset(root: Node, path: str) -> None:
    _refuse_keys_of_files(path)
    remove(root, path)


def _refuse_keys_of_files(path: str) -> None:
    first = parse_path(path)[0]
    if first.text in _OF_FILES:
        what = f"`{first.text}` is a key of files, and no override can change it"
        raise PathError(what, first.column, _OF_FILES[first.text])


def _unknown_key(root: Node, path: str) -> PathError | None:
    """The error of a path with a key that its section does not have, or None."""
    way: Location = ()
    for segment in parse_path(path):
        slot = slot_at(root, way)
        model = slot.model_of(root.at(way)) if slot else None
        if segment.item or model is None:
            return None
        if segment.text not in fields_of(model):
            what, hint = (
                f"unknown key `{show(segment.text)}`",
                near(segment.text, fields_of(model).keys() - _OF_FILES.keys()),
            )
            return PathError(what, segment.column, hint)
        way = (*way, segment.text)
    return None


def _drop_foreign(root: Node, way: Location, parent: Node, last: str) -> None:
    slot = slot_at(root, way)
    if slot is None or slot.choice is None:
        return
    model = slot.model_of(parent)
    if last in slot.choice.by_presence and (model is None or last not in fields_of(model)):
        model = slot.choice.by_presence[last]
    elif last != slot.choice.key:
        return
    if model is not None:
        known = fields_of(model)
        parent.value = {key: child for key, child in parent.entries.items() if key in known}


def written_out(node: Node, slot: Slot | None) -> Node:
    """The node with every short form in it written out; containers are changed in place."""
    if slot is None:
        return node
    if slot.write is not None:
        node = slot.write(node)
    write_out(node, slot)
    return node


def complete(node: Node, slot: Slot = ROOT) -> None:
    """Write the default kind into every section below a node that does not say its own, in place.

    Only once everything is merged: before that, a file that is silent leaves its base's kind.
    """
    if slot.items is not None:
        for item in node.items:
            complete(item, slot.items)
        return
    if slot.values is not None:
        for entry in node.entries.values():
            complete(entry, slot.values)
        return
    choice = slot.choice
    if choice and choice.default and isinstance(node.value, dict) and _is_default(choice, node):
        node.value = {choice.key: Node(choice.default, node.place), **node.value}
        write_out(node, slot)  # what could not be told before
    model = slot.model_of(node)
    for key, below in slots_of(model).items() if model else ():
        if key in node.entries:
            complete(node.entries[key], below)


def _is_default(choice: Choice, node: Node) -> bool:
    """Whether the default kind is meant: not by a key of another kind, or by a misspelt `type`."""
    known = fields_of(choice.by_value[choice.default])
    others = {key for model in choice.models for key in fields_of(model)} - known.keys()
    return not any(
        key == choice.key or key in others or nearest(key, [choice.key]) for key in node.entries
    )


def write_out(node: Node, slot: Slot) -> None:
    """Write out every short form below a node, in place."""
    if slot.items is not None:
        node.items[:] = [written_out(item, slot.items) for item in node.items]
        return
    if slot.values is not None:
        for name, entry in node.entries.items():
            node.entries[name] = written_out(entry, slot.values)
        return
    model = slot.model_of(node)
    for key, below in slots_of(model).items() if model else ():
        if key in node.entries:
            node.entries[key] = written_out(node.entries[key], below)
