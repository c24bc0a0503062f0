"""Pydantic's errors become problems: located, in the words of the language, with what to do."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netbuild.errors import Problem
from netbuild.language import hints
from netbuild.language.base import Choice
from netbuild.language.dump import inline
from netbuild.language.grammar import Slot, fields_of, location_of, slot_at
from netbuild.language.spec import LANGUAGE_VERSION
from netbuild.wording import counted, show
from netbuild.yamltree.nodes import Location, Node, kind_of
from netbuild.yamltree.paths import Tree

MOST_ALIKE = 5  # more problems of one kind in one list are reported as one
MOST_EXPLAINED = 500  # unknown keys that get a hint; more would not be read


@dataclass(frozen=True)
class Fault:
    """One error of Pydantic's, at its place in the tree."""

    kind: str
    location: Location
    context: dict[str, Any]
    tree: Tree
    more: int = 0  # further values of the same list that have the same problem

    @property
    def node(self) -> Node:
        """What stands there; a node without a value where nothing does."""
        return self.tree.at(self.location) or Node(None, self.tree.place(self.location))

    @property
    def slot(self) -> Slot:
        """What may stand there."""
        return slot_at(self.tree.root, self.location) or Slot()

    @property
    def key(self) -> str:
        """The last key of the location."""
        return next((part for part in reversed(self.location) if isinstance(part, str)), "")

    @property
    def found(self) -> str:
        """What stands there, for a message: a value, or what kind of thing it is."""
        text = text_of(self.node)
        if not text:
            return kind_of(self.node)
        return f"the text `{show(text)}`" if isinstance(self.node.value, str) else f"`{text}`"

    def at(self, location: Location) -> Fault:
        """The same at another location."""
        return replace(self, location=location)

    def problem(self, code: str, what: str, hint: str = "", *, key: bool = False) -> Problem:
        """A problem at this location; `key` points at the key itself."""
        what += f" (and {self.more:,} more in this list)" if self.more else ""
        place = self.tree.place(self.location, key=key)
        return Problem(code, what, self.tree.spell(self.location), place, hint)


def problems_of(errors: Sequence[Any], tree: Tree) -> list[Problem]:
    """What a validation's errors mean, without those that only follow from others."""
    faults = [
        Fault(item["type"], location_of(item["loc"]), item.get("ctx", {}), tree, more)
        for item, more in _gathered(errors)
    ]
    for fault in faults:
        if fault.location == ("netbuild",) and fault.kind == "less_than_equal":
            return [_version(fault)]  # what a later language means cannot be judged
    problems, explained = _causes(faults, tree)
    unknown = 0
    for fault in faults:
        if fault.location not in explained:
            unknown += fault.kind == "extra_forbidden"
            problems.append(_explained(fault, with_hint=unknown <= MOST_EXPLAINED))
    return problems


def _gathered(errors: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """The errors, many of one kind in one list as the first of them and how many more there are.

    Problems of sections are never collapsed: each section differs from the next.
    """
    groups: dict[tuple[object, ...], list[Any]] = {}
    for item in errors:
        loc, kind = item["loc"], item["type"]
        end = len(loc)
        while end and isinstance(loc[end - 1], int):
            end -= 1
        alone = end == len(loc) or kind == "untold"
        groups.setdefault((kind, loc, len(groups)) if alone else (kind, loc[:end]), []).append(item)
    for group in groups.values():
        if len(group) > MOST_ALIKE:
            yield group[0], len(group) - 1
        else:
            yield from ((item, 0) for item in group)


def text_of(node: Node) -> str:
    """A scalar as the file may have it; "" for anything else."""
    value = node.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return inline(value)
    return str(value) if isinstance(value, (str, int, float)) else ""


# What follows from what


def _causes(faults: Sequence[Fault], tree: Tree) -> tuple[list[Problem], set[Location]]:
    """Problems that explain several faults, and the locations of all faults that are explained."""
    unknown: dict[Location, list[str]] = defaultdict(list)
    missing: dict[Location, list[str]] = defaultdict(list)
    for fault in faults:
        if fault.kind in ("extra_forbidden", "missing"):
            group = missing if fault.kind == "missing" else unknown
            group[fault.location[:-1]].append(str(fault.location[-1]))
    problems: list[Problem] = []
    explained: set[Location] = set()
    for section, words in unknown.items():
        for key, outside in _dedented(tree, section, set(words)):
            problems.append(_empty(tree, (*section, key), outside))
            explained |= {(*section, word) for word in (key, *outside)}
        for word in words[:MOST_EXPLAINED]:
            if missing[section] and (meant := hints.meant_key(word, missing[section])):
                explained.add((*section, meant))
    return problems, explained


def _dedented(tree: Tree, section: Location, unknown: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Keys without a value, each with the unknown keys after it that its section would have."""
    node = tree.at(section)
    entries = list(node.entries.items()) if node else []
    for i, (key, empty) in enumerate(entries):
        if empty.value is not None:
            continue
        slot = slot_at(tree.root, (*section, key))
        known = {word for model in slot.models for word in fields_of(model)} if slot else set()
        outside = []
        for j in range(i + 1, len(entries)):  # a slice of them for each would be quadratic
            word, child = entries[j]
            if word not in known or child.place.source != empty.place.source:
                break
            if word in unknown:
                outside.append(word)
        if outside:
            yield key, outside


def _empty(tree: Tree, location: Location, outside: Sequence[str]) -> Problem:
    first = tree.place((*location[:-1], outside[0]), key=True).line
    nodes = [tree.at((*location[:-1], word)) for word in outside]
    last = max(_last_line(node) for node in nodes if node is not None)
    slot = slot_at(tree.root, location)
    item = ", and begin the first with `- `" if slot and slot.is_list else ""
    lines = f"line {first} looks" if first == last else f"lines {first}-{last} look"
    fields = "its field; indent it" if first == last else "its fields; indent them"
    hint = f"{lines} like {fields}{item}"
    place = tree.place(location, key=True)
    return Problem("NB103", "this section is empty", tree.spell(location), place, hint)


def _last_line(node: Node) -> int:
    children = [*node.items, *node.entries.values()]
    return max([node.place.line, *map(_last_line, children)])


# One fault


def _explained(fault: Fault, *, with_hint: bool) -> Problem:
    slot = fault.slot
    if fault.location == ("netbuild",) and fault.kind != "missing":
        return _version(fault)
    if fault.kind == "extra_forbidden":
        return _unknown_key(fault, with_hint=with_hint)
    if fault.tree.at(fault.location) is None:  # its kind is "missing"
        what = f"the key `{fault.key}` is missing"
        hint = hints.field_hint(fault.key, slot.info)
        return fault.at(fault.location[:-1]).problem("NB102", what, hint)
    if fault.node.value is None:
        return _no_value(fault)
    if slot.choice is not None and fault.kind == "untold":
        return _untold(fault, slot.choice)
    if fault.kind == "finite_number":
        return fault.problem("NB104", f"must be a finite number, found {fault.found}")
    for kinds, explain in _EXPLAIN.items():
        if fault.kind.startswith(kinds):
            return explain(fault)
    return fault.problem("NB103", f"{fault.found} does not fit here")


def _unknown_key(fault: Fault, *, with_hint: bool) -> Problem:
    *section, word = fault.location
    around = fault.tree.at(section)
    slot = slot_at(fault.tree.root, tuple(section))
    model = slot.model_of(around) if slot else None
    said = ""
    choice = slot.choice if slot else None
    tellers = (choice.key, *choice.by_presence) if choice else ()
    told = next((key for key in tellers if around and key in around.entries), "")
    if told and choice and word in choice.by_presence:
        said = f"`{told}` and `{word}` cannot stand together; remove one of them"
    elif with_hint and model is not None:
        said = hints.unknown_key_hint(str(word), model, fault.tree.root, tuple(section))
    return fault.problem("NB101", f"unknown key `{show(str(word))}`", said, key=True)


def _no_value(fault: Fault) -> Problem:
    if not isinstance(fault.location[-1], str):
        return fault.problem("NB103", "this item is empty", "write it, or remove it")
    slot = fault.slot
    if (slot.models or slot.each) and not (slot.info and slot.info.is_required()):
        hint = "indent the lines that belong to it, or remove it"
    else:
        hint = hints.field_hint(fault.key, slot.info)
    place = fault.node.place
    written = re.match(r"~|null", place.text[place.column - 1 :], re.IGNORECASE)
    what = "this key must have a value" if written else "this key has no value"
    return fault.problem("NB103", what, hint, key=not written)


def _version(fault: Fault) -> Problem:
    what, hint = f"{fault.found} is not a version", f"write `netbuild: {LANGUAGE_VERSION}`"
    if fault.kind == "less_than_equal":
        what = f"version {text_of(fault.node)} of the language is newer than this program"
        hint = f"it reads version {LANGUAGE_VERSION}; upgrade netbuild"
    return fault.problem("NB107", what, hint)


def _untold(fault: Fault, choice: Choice) -> Problem:
    """A section whose keys do not say what kind it is."""
    entries = fault.node.entries
    if not isinstance(fault.node.value, dict):
        return _not_a_section(fault)
    key, told = choice.key, entries.get(choice.key)
    if told is not None:
        return _unknown_kind(fault, told, choice)
    tellers = [*([key] if choice.by_value else []), *choice.by_presence]
    for word in entries:
        if meant := hints.meant_key(word, tellers):
            what = f"unknown key `{show(word)}`"
            hint = f"did you mean `{meant}`?"
            return fault.at((*fault.location, word)).problem("NB101", what, hint, key=True)
    hint = hints.teller_hint(choice, entries)
    if not choice.by_presence:
        hint = hint or hints.teller_hint(choice, ())
        return fault.problem("NB102", f"the key `{key}` is missing", hint)
    wanted = ", ".join(f"`{teller}`" for teller in tellers)
    return fault.problem("NB102", f"one of the keys {wanted} is missing", hint)


def _unknown_kind(fault: Fault, told: Node, choice: Choice) -> Problem:
    hint = hints.kind_hint(text_of(told), choice)
    shown = f"`{show(text_of(told))}`" if text_of(told) else kind_of(told)
    if fault.node.short:  # the file has the bare word
        hint = hints.number_hint(told, whole=False) or hint
        kinds = f"not a known {fault.key}"
        if "file" in choice.by_presence:
            kinds = f"neither a known {choice.key} nor a file"
        return fault.problem("NB105", f"{shown} is {kinds}", hint)
    teller = fault.at((*fault.location, choice.key))
    if told.value is None:
        return teller.problem("NB103", "this key has no value", hint, key=True)
    return teller.problem("NB105", f"{shown} is not a known `{choice.key}`", hint)


def _not_a_section(fault: Fault) -> Problem:
    what = f"expected a mapping of keys, found {fault.found}"
    if fault.node.value is False and hints.may_be_null(fault.slot.info):
        return fault.problem("NB103", what, f"write `{fault.key}: null`")
    hint = hints.section_hint(fault.slot.choice, fault.node)
    if not hint and isinstance(fault.location[-1], str):
        hint = hints.field_hint(fault.key, fault.slot.info)
    return fault.problem("NB103", what, hint)


def _choice(fault: Fault) -> Problem:
    shown = f"`{show(text_of(fault.node))}`" if text_of(fault.node) else fault.found
    hint = hints.choice_hint(text_of(fault.node), fault.slot.info)
    return fault.problem("NB105", f"{shown} is not a choice here", hint)


def _bound(fault: Fault) -> Problem:
    key, words = {
        "greater_than": ("gt", "more than"),
        "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "less than"),
        "less_than_equal": ("le", "at most"),
    }[fault.kind]
    bound = fault.context[key]
    bound = int(bound) if float(bound).is_integer() else bound
    value, hint = fault.node.value, ""
    if bound == 1 and isinstance(value, (int, float)) and 2 <= value <= 100:
        hint = f"if it is a percentage, write {value / 100:g}"
    return fault.problem("NB104", f"must be {words} {bound}, found {fault.found}", hint)


def _length(fault: Fault) -> Problem:
    short = fault.kind.endswith("short")
    limit: int = fault.context["min_length" if short else "max_length"]
    actual = fault.context.get("actual_length")
    unit = "character" if fault.kind.startswith("string") else "item"
    wanted = counted(limit, unit)
    has = "" if actual is None else f", has {actual:,}" if actual else ", has none"
    return fault.problem("NB104", f"needs {'at least' if short else 'at most'} {wanted}{has}")


def _pattern(fault: Fault) -> Problem:
    text = text_of(fault.node)
    hint = hints.pattern_hint(text, fault.context["pattern"], fault.slot.info)
    return fault.problem("NB106", f"`{show(text)}` does not fit here", hint)


def _number(fault: Fault) -> Problem:
    whole = fault.kind.startswith("int")
    wanted = "a whole number" if whole else "a number"
    hint = hints.number_hint(fault.node, whole=whole)
    return fault.problem("NB103", f"expected {wanted}, found {fault.found}", hint)


def _truth(fault: Fault) -> Problem:
    hint = hints.truth_hint(fault.node)
    return fault.problem("NB103", f"expected true or false, found {fault.found}", hint)


def _words(fault: Fault) -> Problem:
    hint = "quote it to make it text" if isinstance(fault.node.value, (int, float)) else ""
    return fault.problem("NB103", f"expected text, found {fault.found}", hint)


def _list(fault: Fault) -> Problem:
    hint = "begin each item with `- `" if fault.slot.models else ""
    entries = fault.node.entries
    if hint and entries and all(isinstance(child.value, dict) for child in entries.values()):
        hint += f", and its name in it: `- {{name: {show(next(iter(entries)))}, ...}}`"
    return fault.problem("NB103", f"expected a list, found {fault.found}", hint)


def _selection(fault: Fault) -> Problem:
    columns = "columns of the table and their values, `{kind: sensory}`"
    if fault.kind.endswith("columns"):
        what, hint = "expected columns and their values", f"write {columns}"
    else:
        what, hint = "expected a selection of units", f"write a name, `V1.excitatory`, or {columns}"
    if fault.node.entries:
        hint = 'values are text or numbers, or lists of such; quote others: `{kind: "true"}`'
    return fault.problem("NB103", f"{what}, found {fault.found}", hint)


_EXPLAIN: dict[tuple[str, ...], Callable[[Fault], Problem]] = {
    ("literal",): _choice,
    ("greater_than", "less_than"): _bound,
    ("too_", "string_too_"): _length,
    ("string_pattern",): _pattern,
    ("int", "float"): _number,
    ("bool",): _truth,
    ("string",): _words,
    ("list",): _list,
    ("model", "dict"): _not_a_section,
    ("selection",): _selection,
}
