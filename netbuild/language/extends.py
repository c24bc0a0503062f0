"""`extends`: a file on top of those that it builds on, and its own `set:` on top of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from netbuild.errors import DataFileError, Place, Problem, SpecError
from netbuild.language.grammar import ROOT, Slot, fields_of, slots_of
from netbuild.language.override import apply_set, write_out
from netbuild.yamltree.document import MAX_BYTES, Document, read
from netbuild.yamltree.nodes import Node, copy_tree, show
from netbuild.yamltree.parser import MAX_NODES
from netbuild.yamltree.paths import names_of

MAX_DEPTH = 16
LISTS = ("layers", "regularizers")

Locate = Callable[[str, Path], Path]  # the file that a reference in a folder's file means


class Resolver:
    """Resolves `extends`, reading each file once; `folders` is where each file's paths start.

    `locate` says which file a reference means, and raises DataFileError where it may not be read.
    """

    def __init__(self, locate: Locate) -> None:
        self.locate = locate
        self.folders: dict[str, Path] = {}
        self.documents: dict[Path, Document] = {}
        self.problems: list[Problem] = []  # of paths in `set:`
        self.replaced: dict[str, set[str]] = {}  # names of a base's items, by the list's key
        self.bytes = 0
        self.nodes = 0

    def resolve(self, document: Document, chain: tuple[Path, ...] = ()) -> Node:
        """The tree of a document: its bases merged under it, then its own `set:` applied.

        Short forms are written out, and no container is shared with another tree. Raises
        SpecError.
        """
        self.folders[document.source] = document.folder
        self._count(document)
        own = copy_tree(document.root)
        write_out(own, ROOT)
        entries = own.entries
        changes, bases = entries.pop("set", None), entries.pop("extends", None)
        root = own
        below: Node | None = None
        for reference in _references(bases):
            path, other = self._open(reference, document, chain)
            found = self.resolve(other, (*chain, path))
            below = found if below is None else merge(below, found)
        if below is not None:
            root = merge(below, own)
            for key in LISTS:
                if key in own.entries and key in below.entries:
                    self.replaced[key] = {*filter(None, names_of(below.entries[key]))}
        if changes is not None:
            self.problems += apply_set(root, changes)
        return root

    def _count(self, document: Document) -> None:
        self.nodes += document.root.size
        if self.nodes > MAX_NODES:
            what = f"with what it extends, the spec holds more than {MAX_NODES:,} values"
            raise SpecError([Problem("NB006", what, place=Place(document.source))])

    def _open(
        self, node: Node, document: Document, chain: tuple[Path, ...]
    ) -> tuple[Path, Document]:
        reference = str(node.value)
        source = str(Path(document.source).parent / reference)

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
        if path not in self.documents:
            self.documents[path] = read(path, source)
            self.bytes += len(self.documents[path].text)
        if self.bytes > MAX_BYTES:
            raise refuse("with what it extends, the spec is larger than 1 MiB")
        return path, self.documents[path]


def _references(node: Node | None) -> list[Node]:
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, list):
        raise _not_files(node)
    for item in node.value:
        if not isinstance(item.value, str):
            raise _not_files(item)
    return node.value


def _not_files(node: Node) -> SpecError:
    what = "`extends` takes a file, or a list of files"
    return SpecError([Problem("NB103", what, "extends", node.place, "write `extends: base.yaml`")])


def merge(base: Node, over: Node, slot: Slot | None = ROOT) -> Node:
    """`over` on top of `base`: sections merge deeply, everything else is replaced.

    A short form is a whole section, and replaces too. Where the kind of a section changes (its
    `type`, say), the fields that the new kind lacks are dropped.
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
