"""Short forms are written out in full on the parsed tree, before the models see it.

A union of short and long forms in the models would turn one typo into four errors. The nodes that
are made here keep the place of what was written.
"""

from __future__ import annotations

from netbuild.spec.document import Node
from netbuild.spec.weights import WEIGHT_INITS


def write_out(root: Node) -> None:
    """Replace the short forms in a whole spec's tree by the long ones, in place."""
    for layer in _items(root, "layers"):
        _key(layer, "weight", _parameter)
        _key(layer, "bias", _parameter)
        _key(layer, "sparsity_mask", _matrix)
        _key(layer, "plasticity_mask", _matrix)
        _key(layer, "ei_mask", _signs)
        _key(layer, "activation", _typed)
    for regularizer in _items(root, "regularizers"):
        _key(regularizer, "params", _listed)
        _key(regularizer, "reference", _matrix)
    if task := _entries(root).get("task"):
        _key(task, "inputs", _array)
        _key(task, "targets", _array)
    if training := _entries(root).get("training"):
        _key(training, "optimizer", _typed)
        if optimizer := _entries(training).get("optimizer"):
            _key(optimizer, "schedule", _typed)


def _parameter(node: Node) -> Node:
    match node.value:
        case str() as text if text in WEIGHT_INITS or not _is_file(text):
            return _wrap(node, "init")
        case str():
            return _wrap(node, "file")
        case bool():
            return node
        case int() | float():
            init = Node("constant", node.place)
            return Node({"init": init, "value": node}, node.place, node.key_place)
        case list():
            return _wrap(node, "values")
    return node


def _matrix(node: Node) -> Node:
    match node.value:
        case str():
            return _wrap(node, "file")
        case list():
            return _wrap(node, "values")
    return node


def _signs(node: Node) -> Node:
    if isinstance(node.value, list) and not any(isinstance(v.value, list) for v in node.value):
        return _wrap(node, "units")
    return _matrix(node)


def _typed(node: Node) -> Node:
    return _wrap(node, "type") if isinstance(node.value, str) else node


def _listed(node: Node) -> Node:
    return Node([node], node.place, node.key_place) if isinstance(node.value, str) else node


def _array(node: Node) -> Node:
    if isinstance(node.value, str):
        return _wrap(node, "file" if _is_file(node.value) else "array")
    return node


def _is_file(text: str) -> bool:
    return "." in text or "/" in text


def _wrap(node: Node, key: str) -> Node:
    return Node({key: node}, node.place, node.key_place)


def _key(node: Node, key: str, write: object) -> None:
    entries = _entries(node)
    if key in entries:
        entries[key] = write(entries[key])  # type: ignore[operator]


def _entries(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _items(root: Node, key: str) -> list[Node]:
    section = _entries(root).get(key)
    return section.value if section and isinstance(section.value, list) else []
