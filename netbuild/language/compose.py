"""A spec's tree is made by changes: a file on top of those that it extends, then `set` and stages.

Whatever changes a tree is a list of `Change`, from a `set:`, a command line or a stage, in one
path grammar. Each is applied in place, and the tree is parsed only when all of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netbuild.errors import DataFileError, Place, Problem, SpecError
from netbuild.language.context import GivenStart
from netbuild.language.grammar import ROOT, Slot, fields_of, parts_of, slot_at, slots_of, start_of
from netbuild.language.training import UNTIL
from netbuild.wording import near, nearest, show
from netbuild.yamltree.document import MAX_BYTES, Document, parse_value, read
from netbuild.yamltree.nodes import Location, Node, copy_tree
from netbuild.yamltree.parser import MAX_NODES
from netbuild.yamltree.paths import PathError, assign, names_of, parse_path, remove

LISTS = ("layers", "regularizers")
MAX_DEPTH = 16  # files that extend each other
MOST_CHANGES = 200  # in one `set:`; each of them looks through the lists on its way

# The keys of a file that are resolved away, and what to do in place of overriding them.
_OF_FILES = {
    "set": "override the path itself, e.g. `--set training.steps=100`",
    "extends": "edit it in the spec",
}
_OF_STAGES = ("task", "training", "regularizers")  # what the `set` of a stage may change
_NOT_OF_STAGES = ("steps", "epochs", "stop_when", "stages", "threads")  # of `training`

Locate = Callable[[str, Path], Path]  # the file that a reference in a folder's file means


# Changes


@dataclass(frozen=True)
class Change:
    """One change of a tree: a value for a path, or the removal of what stands there."""

    path: str
    place: Place  # of the first character of the path
    value: Node | None  # None removes
    append: bool = False  # to the list at the path
    source: str = ""  # "--set #2"

    def _span(self, column: int, width: int = 1) -> Place:
        first = self.place.column + column - 1
        return replace(self.place, column=first, end_column=first + width)

    def problem(self, error: PathError) -> Problem:
        """What is wrong with the path, at its place."""
        return Problem("NB110", error.what, place=self._span(error.column), hint=error.hint)

    def dropped(self, by: Change) -> Problem:
        """The problem of a change whose value a later one has dropped."""
        other = show(by.source or by.path)
        what = f"the value of `{show(self.path)}` is dropped again by `{other}`"
        place = self._span(1, len(self.path))
        return Problem("NB113", what, place=place, hint="write it last, or leave one of them out")

    def apply(self, root: Node) -> Location | None:
        """Change a tree in place; returns where the value is now. Raises PathError.

        Where this changes the kind of a section (its `type`, say), the keys that the new kind
        lacks are dropped. Short forms in the value are written out.
        """
        first, *_ = segments = parse_path(self.path)
        if first.text in _OF_FILES:
            what = f"`{first.text}` is a key of files, and no override can change it"
            raise PathError(what, first.column, _OF_FILES[first.text])
        if self.value is None:
            remove(root, self.path)
            return None
        places = [self._span(s.column, len(s.text) + 2 * s.item) for s in segments]
        try:
            value = copy_tree(self.value)
            location = assign(root, self.path, value, places, append=self.append)
        except PathError as error:
            raise _unknown_key(root, self.path) or error from None
        *way, last = location
        parent = root.at(way)
        assert parent is not None
        if isinstance(last, str):
            _drop_foreign(root, tuple(way), parent, last)
        if parent.child(last) is not None:
            parent.value[last] = written_out(value, slot_at(root, location))  # type: ignore[index]
        return location


def apply(root: Node, changes: Iterable[Change], *, last_counts: bool = False) -> list[Problem]:
    """Change a tree in place, and return the problems of the changes that cannot be made.

    With `last_counts` a path may be set again; otherwise no change may drop an earlier one's value.
    """
    problems: list[Problem] = []
    made: list[tuple[Change, Location, Node]] = []
    for change in changes:
        try:
            location = change.apply(root)
        except PathError as error:
            problems.append(change.problem(error))
            continue
        if last_counts:
            made = [each for each in made if each[1] != location]
        lost = _lost(root, made)
        problems += [each[0].dropped(by=change) for each in lost]
        made = [each for each in made if not any(each is one for one in lost)]
        node = root.at(location) if location is not None else None
        if location is not None and node is not None:
            made.append((change, location, node))
    return problems


def _lost(
    root: Node, made: Sequence[tuple[Change, Location, Node]]
) -> list[tuple[Change, Location, Node]]:
    """The changes whose values are no longer in the tree."""
    lost = [each for each in made if root.at(each[1]) is not each[2]]
    if lost:  # removing an item of a list moves those behind it
        there = {id(node) for node in _nodes(root)}
        lost = [each for each in lost if id(each[2]) not in there]
    return lost


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in (*node.entries.values(), *node.items):
        yield from _nodes(child)


def _unknown_key(root: Node, path: str) -> PathError | None:
    """The error of a path with a key that its section does not have, or None."""
    way: Location = ()
    for segment in parse_path(path):
        slot = slot_at(root, way)
        model = slot.model_of(root.at(way)) if slot else None
        if segment.item or model is None:
            return None
        if segment.text not in fields_of(model):
            hint = near(segment.text, fields_of(model).keys() - _OF_FILES.keys())
            return PathError(f"unknown key `{show(segment.text)}`", segment.column, hint)
        way = (*way, segment.text)
    return None


def _drop_foreign(root: Node, way: Location, parent: Node, last: str) -> None:
    """Drop the keys that a section's kind lacks, where the key `last` has changed the kind."""
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


def changes_in(section: Node) -> list[Change]:
    """The changes that a `set:` holds; raises SpecError where it is wrong as a whole."""
    if not isinstance(section.value, dict):
        what, hint = "`set` takes paths and their values", "write `layers[hidden].output_dim: 64`"
        raise SpecError([Problem("NB103", what, "set", section.place, hint)])
    if len(section.value) > MOST_CHANGES:
        what = f"needs at most {MOST_CHANGES:,} items, has {len(section.value):,}"
        raise SpecError([Problem("NB104", what, "set", section.place)])
    changes: list[Change] = []
    for path, value in section.value.items():
        place = value.key_place or section.place
        is_quoted = place.text[place.column - 1 : place.column] in ("'", '"')
        changes.append(Change(path, replace(place, column=place.column + is_quoted), value))
    return changes


def apply_words(root: Node, changes: Sequence[str], unset: Sequence[str]) -> list[Problem]:
    """Apply a command line's `PATH=VALUE`, `PATH+=VALUE` and paths to unset, in place."""
    problems: list[Problem] = []
    known: list[Change] = []
    for number, text in enumerate(changes, 1):
        source = f"--set #{number}"
        try:
            path, operator, start = split_override(text)
            place = Place(source, 1, 1 + len(path) - len(path.lstrip()), text=text)
            value = parse_value(text, source, start)
            known.append(Change(path.strip(), place, value, operator == "+=", source))
        except PathError as error:
            problems.append(Change(text, Place(source, 1, 1, text=text), None).problem(error))
        except SpecError as error:
            problems += error.problems
    for number, text in enumerate(unset, 1):
        source = f"--unset #{number}"
        known.append(Change(text, Place(source, 1, 1, text=text), None, source=source))
    return problems + apply(root, known, last_counts=True)


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
    new = [_steps(text) for text in later]
    replaced = [path for path, appends in new if not appends]

    def stands(text: str) -> bool:
        path, _ = _steps(text)
        return not any(section and path[: len(section)] == section for section in replaced)

    def is_set_again(text: str) -> bool:
        section, _ = _steps(text)
        return bool(section) and any(path[: len(section)] == section for path, _ in new)

    return (
        [text for text in changes if stands(text)],
        [text for text in unset if stands(text) and not is_set_again(text)],
    )


def _steps(text: str) -> tuple[tuple[str, ...], bool]:
    """Each step of an override's path, and whether the override appends.

    No step where the text has no path.
    """
    try:
        path, operator, _ = split_override(text) if "=" in text else (text, "=", 0)
        steps = parse_path(path.strip())
    except PathError:
        return (), False
    return tuple(step.text for step in steps), operator == "+="


# Stages


def apply_stage(root: Node, number: int) -> list[Problem]:
    """Make a tree that of one stage of its training, in place: its `set`, its length, no stages."""
    stage = root.entries["training"].entries["stages"].items[number]
    changes = changes_in(stage.entries["set"]) if "set" in stage.entries else []
    refused = {change.path: problem for change in changes if (problem := _not_of_stages(change))}
    problems = apply(root, [change for change in changes if change.path not in refused])
    training = root.entries["training"].entries
    for key in ("stages", "epochs", "stop_when"):
        training.pop(key, None)
    training.setdefault("steps", Node(UNTIL, stage.place))
    training |= {key: stage.entries[key] for key in ("steps", "stop_when") if key in stage.entries}
    return [*refused.values(), *problems]


def _not_of_stages(change: Change) -> Problem | None:
    """The problem of a change that a stage cannot make: of the network, or of a length."""
    try:
        first, *more = (segment.text for segment in parse_path(change.path))
    except PathError:
        return None  # `apply` reports it
    if first not in _OF_STAGES:
        what = f"a stage cannot change `{show(first)}`"
        hint = "the network stays; a stage changes `task`, `training` and `regularizers`"
    elif first == "training" and (not more or more[0] in _NOT_OF_STAGES):
        what = f"the `set` of a stage cannot change `{show(change.path)}`"
        hint = "`steps` and `stop_when` are keys of the stage itself"
    else:
        return None
    place = change.value.key_place if change.value else None
    return Problem("NB110", what, change.path, place, hint)


# Files that extend others


class Composed:
    """The tree of a spec with all changes applied, before a stage of its training is chosen.

    Under the document come the files that it extends, each of which is read once; on top of it its
    overrides (`PATH=VALUE`, `PATH+=VALUE`) and unset paths. `start` is the run to start from, in
    place of what the document says. `locate` finds the file that a reference means, and raises
    DataFileError where that may not be read. An experiment is composed as a spec is, except that
    its `set` stays, since that changes the spec that it names. Raises SpecError where the YAML
    itself or an `extends` is wrong; changes that cannot be made are in `problems`.
    """

    def __init__(
        self,
        document: Document,
        locate: Locate,
        overrides: Sequence[str] = (),
        unset: Sequence[str] = (),
        start: GivenStart | None = None,
    ) -> None:
        self.document = document
        self.locate = locate
        self.start = start
        self.folders: dict[str, Path] = {}  # of each source, which its relative paths start from
        self.extended: dict[Path, Document] = {}  # the files that it extends
        self.problems: list[Problem] = []
        self.replaced: dict[str, set[str]] = {}  # names of a base's items, by the list's key
        self._bytes = self._nodes = 0
        self.top = start_of(document.root)
        self.root = self._resolved(document)
        if start is not None:
            self.root.entries["start_from"] = start.node(document.folder)
        self.problems += apply_words(self.root, overrides, unset)
        for number in range(1, len(overrides) + 1):
            self.folders[f"--set #{number}"] = document.folder

    def tree(self, stage: int | None = None) -> tuple[Node, list[Problem]]:
        """A separate tree to parse, with the changes of a given stage, and its problems."""
        root = copy_tree(self.root)
        problems = [*self.problems]
        if stage is not None:
            problems += apply_stage(root, stage)
        complete(root, self.top)
        return root, problems

    def _resolved(self, document: Document, chain: tuple[Path, ...] = ()) -> Node:
        """The tree of a document: its bases merged under it, then its own `set:` applied.

        Short forms are written out, and no container is shared with another tree.
        """
        self.folders[document.source] = document.folder
        self._nodes += document.root.size
        if self._nodes > MAX_NODES:
            what = f"with what it extends, the spec holds more than {MAX_NODES:,} values"
            raise SpecError([Problem("NB006", what, place=Place(document.source))])
        own = copy_tree(document.root)
        write_out(own, self.top)
        bases = own.entries.pop("extends", None)
        changes = own.entries.pop("set", None) if self.top is ROOT else None
        below: Node | None = None
        for reference in _references(bases):
            path, other = self._open(reference, document, chain)
            found = self._resolved(other, (*chain, path))
            below = found if below is None else merge(below, found, self.top)
        root = own if below is None else merge(below, own, self.top)
        for key in LISTS:
            if below is not None and key in own.entries and key in below.entries:
                self.replaced[key] = {*filter(None, names_of(below.entries[key]))}
        if changes is not None:
            self.problems += apply(root, changes_in(changes))
        return root

    def _open(
        self, node: Node, document: Document, chain: tuple[Path, ...]
    ) -> tuple[Path, Document]:
        reference = str(node.value)

        def refuse(what: str, hint: str = "") -> SpecError:
            return SpecError([Problem("NB112", what, "extends", node.place, hint)])

        try:
            path = self.locate(reference, document.folder)
        except DataFileError as error:
            raise refuse(error.what, error.hint) from None
        if path in chain:
            circle = [*chain[chain.index(path) :], path]
            names = " -> ".join(show(step.name) for step in circle)
            raise refuse(f"a circle: {names}", "a file cannot build on itself")
        if len(chain) > MAX_DEPTH:
            names = " -> ".join(show(step.name) for step in chain[:4])
            raise refuse(f"more than {MAX_DEPTH} files deep: {names} -> ...")
        if path not in self.extended:
            self.extended[path] = read(path, str(Path(document.source).parent / reference))
            self._bytes += len(self.extended[path].text)
        if self._bytes > MAX_BYTES:
            raise refuse("with what it extends, the spec is larger than 1 MiB")
        return path, self.extended[path]


def _references(node: Node | None) -> list[Node]:
    """The files that an `extends` names; raises SpecError where it names none."""
    if node is None or node.value is None:
        return []
    wrong = [item for item in node.items if not isinstance(item.value, str)]
    for found in wrong or ([] if isinstance(node.value, list) else [node]):
        what, hint = "`extends` takes a file, or a list of files", "write `extends: base.yaml`"
        raise SpecError([Problem("NB103", what, "extends", found.place, hint)])
    return node.items


def merge(base: Node, over: Node, slot: Slot | None = ROOT) -> Node:
    """`over` on top of `base`: sections merge deeply, everything else is replaced.

    A short form is a whole section, and replaces too. Where the kind of a section changes (its
    `type`, say), the keys that the new kind lacks are dropped.
    """
    if not isinstance(base.value, dict) or not isinstance(over.value, dict) or over.short:
        return over
    below = base.value
    model = slot.model_of(over) if slot else None
    if model is not None and slot is not None and slot.model_of(base) is not model:
        below = {key: node for key, node in below.items() if key in fields_of(model)}
    elif model is None and slot is not None:
        model = slot.model_of(base)
    slots = slots_of(model) if model else {}
    merged = dict(below)
    for key, node in over.value.items():
        merged[key] = merge(below[key], node, slots.get(key)) if key in below else node
    return replace(over, value=merged)


# Short forms and kinds that are not written


def write_out(node: Node, slot: Slot) -> None:
    """Write out every short form below a node, in place."""
    for part, child, below in parts_of(node, slot):
        node.value[part] = written_out(child, below)  # type: ignore[index]


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
    choice = slot.choice
    if choice and choice.default and isinstance(node.value, dict):
        known = fields_of(choice.by_value[choice.default])
        others = {key for model in choice.models for key in fields_of(model)} - known.keys()
        # A key of another kind, or a misspelt `type`, does not mean the default kind.
        if not any(
            key == choice.key or key in others or nearest(key, [choice.key]) for key in node.value
        ):
            node.value = {choice.key: Node(choice.default, node.place), **node.value}
            write_out(node, slot)  # what could not be told before
    for _, child, below in parts_of(node, slot):
        complete(child, below)
