"""Short forms: how each is written out in full on the parsed tree, before the models see it.

A union of short and long forms in the models would turn one typo into four errors. The nodes that
are made here keep the place of what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from netbuild.yamltree.nodes import Node

Writer = Callable[[Node], Node]

NUMBERS: JsonSchemaValue = {"type": "array", "items": {"type": "number"}}
ROWS: JsonSchemaValue = {"type": "array", "items": NUMBERS}


class Shorthand:
    """Marks a field that has short forms: what writes them out, and their JSON Schemas."""

    def __init__(self, write: Writer, *schemas: JsonSchemaValue) -> None:
        self.write = write
        self.schemas = schemas

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [*self.schemas, handler(schema)]}


def parameter(node: Node) -> Node:
    """`normal`, `w.npy`, `0.1` or `[0.1, 0.2]` for a weight or a bias."""
    if isinstance(node.value, str):
        return file_or(node, "init")
    if _is_number(node):
        init = Node("constant", node.place)
        entries = {"init": init, "value": _value(node)}
        return Node(entries, node.place, node.key_place, 5, 2, short=True)
    return matrix(node)


def matrix(node: Node) -> Node:
    """`m.npy`, or the rows themselves."""
    match node.value:
        case str():
            return _wrap(node, "file")
        case list():
            return _wrap(node, "values")
    return node


def signs(node: Node) -> Node:
    """As `matrix`, or one sign for each unit."""
    if isinstance(node.value, list) and not any(isinstance(v.value, list) for v in node.value):
        return _wrap(node, "units")
    return matrix(node)


def per_unit(node: Node) -> Node:
    """`100`, `[20, 100]`, `tau.npy` or `zero` for a value of each unit."""
    if isinstance(node.value, str):
        return file_or(node, "init")
    return _wrap(node, "value") if _is_number(node) else matrix(node)


def number(key: str) -> Writer:
    """A bare number for a section of which it is that key."""
    return lambda node: _wrap(node, key) if _is_number(node) else node


def listed(node: Node) -> Node:
    """One item in place of a list of one."""
    if not isinstance(node.value, str):
        return node
    return Node([_value(node)], node.place, node.key_place, 2, 2, short=True)


Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256)]], Shorthand(listed, {"type": "string"})
]


def values(node: Node) -> Node:
    """A list of values, or a single value, for a section of `values`."""
    if isinstance(node.value, dict):
        return node
    return _wrap(node if isinstance(node.value, list) else _listed(node), "values")


def _listed(node: Node) -> Node:
    return Node([_value(node)], node.place, node.key_place, node.size + 1, node.depth + 1)


def text(key: str) -> Writer:
    """Bare text for a section of which it is that key: `type`, `file`."""
    return lambda node: _wrap(node, key) if isinstance(node.value, str) else node


def array(node: Node) -> Node:
    """An array's name, or a file's."""
    return file_or(node, "array")


def file_or(node: Node, key: str) -> Node:
    """Text for a section of which it is the `file`, if it looks like one, or else that key."""
    if not isinstance(node.value, str):
        return node
    return _wrap(node, "file" if "." in node.value or "/" in node.value else key)


def _is_number(node: Node) -> bool:
    return isinstance(node.value, (int, float)) and not isinstance(node.value, bool)


def _wrap(node: Node, key: str) -> Node:
    inner = _value(node)
    return Node({key: inner}, node.place, node.key_place, node.size + 2, node.depth + 1, short=True)


def _value(node: Node) -> Node:
    """The node as a value under a key that is written nowhere."""
    return Node(node.value, node.place, None, node.size, node.depth)
