"""Files that a section names are looked for even where something else in the section is wrong.

Other checks skip a section that does not parse, so that one mistake is not reported several times.
A missing file is a mistake of its own and is still reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from netbuild.language.compose import LISTS
from netbuild.language.context import Context
from netbuild.language.grammar import fields_of, slot_at, slots_of
from netbuild.language.parse import PARTS
from netbuild.yamltree.nodes import Location, Node

FILE = "file"
TABLES = ("edges", "neurons")  # sections whose files are no arrays, or need not be


def check_files(context: Context) -> None:
    """Note each file that is missing or damaged, of the parts of a spec that did not parse."""
    told = {problem.path for problem in context.parsed.problems}
    for part in _unparsed(context):
        for location in _naming_files(context, part):
            if context.parsed.tree.spell((*location, FILE)) in told:
                continue  # that is no name of a file
            where = (*location, FILE) if location == part else location
            context.attempt(where, partial(_look_at, context, location))


def _unparsed(context: Context) -> Iterator[Location]:
    """The parts that have problems of their own: a layer, a regularizer, the task ..."""
    for key in PARTS:
        found = getattr(context.parsed, key)
        if key in LISTS:
            yield from ((key, i) for i, item in enumerate(found) if item is None)
        elif found is None:
            yield (key,)


def _naming_files(context: Context, location: Location) -> Iterator[Location]:
    """Every section at or below a location that names a file."""
    root = context.parsed.tree.root
    node, slot = root.at(location), slot_at(root, location)
    if node is None or slot is None:
        return
    if slot.items is not None:
        # Lists of numbers may be long, and hold no section.
        parts: list[str | int] = [*range(len(node.items))] if slot.models else []
    elif slot.values is not None:
        parts = [*node.entries]
    else:
        model = slot.model_of(node)
        parts = [key for key in (slots_of(model) if model else ()) if key in node.entries]
        if model is not None and FILE in parts and _text(node, FILE) is not None:
            yield location
    for part in parts:
        yield from _naming_files(context, (*location, part))


def _look_at(context: Context, location: Location) -> None:
    """Read the array, or find the table, that a section names; raises DataFileError."""
    root = context.parsed.tree.root
    node, slot = root.at(location), slot_at(root, location)
    assert node is not None
    assert slot is not None
    model = slot.model_of(node)
    assert model is not None
    reference, array = _text(node, FILE) or "", node.entries.get("array")
    named = array is None or array.value is None or isinstance(array.value, str)
    if location[-1] in TABLES or "array" not in fields_of(model) or not named:
        context.locate((*location, FILE), reference)
    else:
        context.read((*location, FILE), reference, _text(node, "array"))


def _text(node: Node, key: str) -> str | None:
    """The text under a key of a section; None where there is none."""
    value = node.entries[key].value if key in node.entries else None
    return value if isinstance(value, str) else None
