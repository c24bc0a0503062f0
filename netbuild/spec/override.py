"""Overrides: `set:` in a file, `--set` and `--unset` on a command line, in one path grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from netbuild.errors import Place, Problem, SpecError
from netbuild.spec.document import parse_value
from netbuild.spec.grammar import Slot, fields_of, slot_at, slots_of
from netbuild.spec.nodes import Location, Node, copy_tree
from netbuild.spec.paths import PathError, assign, parse_path, remove

MOST_CHANGES = 1000  # in one `set:`; each of them looks through the lists on its way


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


def apply_set(root: Node, changes: Node) -> None:
    """Apply a file's `set:` to its resolved tree, in place; raises SpecError."""
    if not isinstance(changes.value, dict):
        what, hint = "`set` takes paths and their values", "write `layers[hidden].output_dim: 64`"
        raise SpecError([Problem("NB103", what, "set", changes.place, hint)])
    if len(changes.value) > MOST_CHANGES:
        what = f"needs at most {MOST_CHANGES:,} items, has {len(changes.value):,}"
        raise SpecError([Problem("NB104", what, "set", changes.place)])
    problems = []
    for path, value in changes.value.items():
        written = Written(path, _inside(value.key_place or changes.place))
        try:
            put(root, written, copy_tree(value))
        except PathError as error:
            problems.append(written.problem(error))
    if problems:
        raise SpecError(problems)


def _inside(place: Place) -> Place:
    """A key's place without the quote that it may begin with."""
    quoted = place.text[place.column - 1 : place.column] in ("'", '"')
    return Place(place.source, place.line, place.column + quoted, place.end_column, place.text)


def override(root: Node, changes: Sequence[str], unset: Sequence[str]) -> None:
    """Apply a command line's `PATH=VALUE`, `PATH+=VALUE` and `--unset PATH`, in place.

    Raises SpecError with the problems of all of them.
    """
    problems: list[Problem] = []
    for number, text in enumerate(changes, 1):
        _attempt(problems, f"--set #{number}", text, lambda w: _set(root, w))
    for number, text in enumerate(unset, 1):
        _attempt(problems, f"--unset #{number}", text, lambda w: remove(root, w.text))
    if problems:
        raise SpecError(problems)


def _attempt(
    problems: list[Problem], source: str, text: str, work: Callable[[Written], None]
) -> None:
    written = Written(text, Place(source, 1, 1, len(text) + 1, text))
    try:
        work(written)
    except PathError as error:
        problems.append(written.problem(error))
    except SpecError as error:
        problems += error.problems


def _set(root: Node, whole: Written) -> None:
    path, operator, start = split_override(whole.text)
    value = parse_value(whole.text, whole.place.source, start)
    lead = len(path) - len(path.lstrip())
    written = Written(path.strip(), whole.span(lead + 1))
    try:
        put(root, written, copy_tree(value), append=operator == "+=")
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


def put(root: Node, path: Written, value: Node, *, append: bool = False) -> None:
    """Put `value` where `path` says, its short forms written out; raises PathError.

    Where this changes the kind of a section (its `type`, say), the fields that the new kind lacks
    are dropped.
    """
    location = assign(root, path.text, value, path.places(), append=append)
    *way, last = location
    parent = root.at(way)
    assert parent is not None
    if isinstance(last, str):
        _drop_foreign(root, tuple(way), parent, last)
        if last in parent.entries:
            parent.entries[last] = written_out(value, slot_at(root, location))
    else:
        parent.items[last] = written_out(value, slot_at(root, location))


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


def write_out(node: Node, slot: Slot) -> None:
    """Write out every short form below a node, in place."""
    if slot.items is not None:
        node.items[:] = [written_out(item, slot.items) for item in node.items]
        return
    model = slot.model_of(node)
    for key, below in slots_of(model).items() if model else ():
        if key in node.entries:
            node.entries[key] = written_out(node.entries[key], below)
