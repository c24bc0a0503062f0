"""The tree of a spec: values, each of which knows its line and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from netbuild.errors import Place

Scalar: TypeAlias = str | int | float | bool | None
Location: TypeAlias = tuple[str | int, ...]  # keys and positions, from the root down


@dataclass(slots=True)
class Node:
    """A value of the spec: a scalar, a list of nodes, or a mapping from keys to nodes."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    key_place: Place | None = None  # of the key that leads here, in a mapping
    size: int = 1  # nodes in this tree; a shared node counts each time
    depth: int = 1  # levels of this tree
    short: bool = False  # written out from a short form

    @property
    def entries(self) -> dict[str, Node]:
        """The nodes of a mapping by their keys; nothing for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The nodes of a list; nothing for anything else."""
        return self.value if isinstance(self.value, list) else []

    def child(self, part: str | int) -> Node | None:
        """The node one step further down, or None."""
        if isinstance(part, str):
            return self.entries.get(part)
        return self.items[part] if 0 <= part < len(self.items) else None

    def at(self, location: Sequence[str | int]) -> Node | None:
        """The node at a location below this one, or None."""
        node: Node | None = self
        for part in location:
            node = node.child(part) if node is not None else None
        return node


def plain(node: Node) -> Any:
    """The data of a node without its places."""
    match node.value:
        case dict():
            return {key: plain(child) for key, child in node.value.items()}
        case list():
            return [plain(child) for child in node.value]
        case scalar:
            return scalar


def copy_tree(node: Node) -> Node:
    """A tree that shares no container with the other, so that one can be changed."""
    value = node.value
    if isinstance(value, dict):
        value = {key: copy_tree(child) for key, child in value.items()}
    elif isinstance(value, list):
        value = [copy_tree(child) for child in value]
    return replace(node, value=value)


def kind_of(node: Node) -> str:
    """What a node is, in the words of a message; never its content."""
    match node.value:
        case None:
            return "nothing"
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
