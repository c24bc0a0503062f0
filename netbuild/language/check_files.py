"""Files that a section names are looked for even where something else in the section is wrong.

Other checks skip a section that does not parse, so that one mistake is not reported several times.
A missing file is a separate mistake, and is still reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import BaseModel

from netbuild.language.compose import LISTS
from netbuild.language.context import Context, Here
from netbuild.language.grammar import Slot, fields_of, parts_of, slot_at
from netbuild.language.parse import PARTS
from netbuild.yamltree.nodes import Location, Node

FILE = "file"
TABLES = ("edges", "neurons")  # sections whose files are no arrays, or need not be


def check_files(context: Context) -> None:
    """Note each file that is missing or damaged, of the parts of a spec that did not parse."""
    tree = context.parsed.tree
    told = {problem.path for problem in context.parsed.problems}
    for part in _unparsed(context):
        node, slot = tree.at(part), slot_at(tree.root, part)
        for location, section, model in _naming_files(part, node, slot) if node and slot else ():
            if tree.spell((*location, FILE)) in told:
                continue  # that is no name of a file
            where = (*location, FILE) if location == part else location
            look = partial(_look_at, context.at(*location, FILE), section, model)
            context.at(*where).attempt(look)


def _unparsed(context: Context) -> Iterator[Location]:
    """The parts that have problems: a layer, a regularizer, the task ..."""
    for key in PARTS:
        found = getattr(context.parsed, key)
        if key in LISTS:
            yield from ((key, i) for i, item in enumerate(found) if item is None)
        elif found is None:
            yield (key,)


def _naming_files(
    location: Location, node: Node, slot: Slot
) -> Iterator[tuple[Location, Node, type[BaseModel]]]:
    """Every section at or below a node that names a file: its location, itself and its model."""
    model = slot.model_of(node)
    if model is not None and FILE in fields_of(model) and _text(node, FILE) is not None:
        yield location, node, model
    for part, child, below in parts_of(node, slot):
        yield from _naming_files((*location, part), child, below)


def _look_at(here: Here, node: Node, model: type[BaseModel]) -> None:
    """Read the array, or find the table, that a section names here; raises DataFileError."""
    reference, array = _text(node, FILE) or "", node.entries.get("array")
    named = array is None or array.value is None or isinstance(array.value, str)
    if here.location[-2] in TABLES or "array" not in fields_of(model) or not named:
        here.locate(reference)
    else:
        here.read(reference, _text(node, "array"))


def _text(node: Node, key: str) -> str | None:
    """The text under a key of a section; None where there is none."""
    value = node.entries[key].value if key in node.entries else None
    return value if isinstance(value, str) else None
