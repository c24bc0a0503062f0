"""What may stand where in a spec, read off the models: for hints, merges and overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from netbuild.language.base import Also, Choice, OneOf, label_of
from netbuild.language.shorthand import Shorthand, Writer
from netbuild.language.spec import SpecFile
from netbuild.yamltree.nodes import Location, Node


@dataclass(frozen=True)
class Slot:
    """What may stand at one place: a section or one of several kinds of it, a list or a mapping of
    names to such, or a value."""

    model: type[BaseModel] | None = None
    choice: Choice | None = None
    items: Slot | None = None
    values: Slot | None = None  # under each name of a mapping whose keys are the user's own
    info: FieldInfo | None = None  # of the key that leads here
    write: Writer | None = None  # of its short forms

    def model_of(self, node: Node | None) -> type[BaseModel] | None:
        """The model of the section that a node is, as far as it can be told."""
        if self.choice is None or node is None:
            return self.model
        told = node.entries.get(self.choice.key)
        return self.choice.model_of(told.value if told else None, node.entries)

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """Every model that a section here may have; of a list, that its items may have."""
        if self.items is not None:
            return self.items.models
        return self.choice.models if self.choice else (self.model,) if self.model else ()


ROOT = Slot(model=SpecFile)


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a section as the file spells them, with their declarations."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


@cache
def slots_of(model: type[BaseModel]) -> dict[str, Slot]:
    """What may stand under each key of a section."""
    return {
        key: _slot(info.annotation, info, info.metadata) for key, info in fields_of(model).items()
    }


def _slot(annotation: Any, info: FieldInfo, metadata: Sequence[Any] = ()) -> Slot:
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    write = next((found.write for found in metadata if isinstance(found, Shorthand)), None)
    one_of = next((found for found in metadata if isinstance(found, OneOf)), None)
    if one_of is not None:
        return Slot(choice=one_of.choice(annotation), info=info, write=write)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Slot(model=annotation, info=info, write=write)
    if get_origin(annotation) is list:
        return Slot(items=_slot(get_args(annotation)[0], info), info=info, write=write)
    if get_origin(annotation) is dict and (below := _slot(get_args(annotation)[1], info)).models:
        return Slot(values=below, info=info, write=write)
    others = [a for a in get_args(annotation) if a is not NoneType]
    if len(others) == 1 and NoneType in get_args(annotation):
        return _slot(others[0], info, metadata)
    return Slot(info=info)


def slot_at(root: Node, location: Location) -> Slot | None:
    """What may stand at a location of a spec's tree, or None where nothing may."""
    slot: Slot | None = ROOT
    node: Node | None = root
    for part in location:
        if slot is None:
            return None
        if isinstance(part, int):
            slot = slot.items
        elif slot.values is not None:
            slot = slot.values
        else:
            model = slot.model_of(node)
            slot = slots_of(model).get(part) if model else None
        node = node.child(part) if node is not None else None
    return slot


def parts_of(node: Node, slot: Slot) -> Iterator[tuple[str | int, Slot]]:
    """Each part of a node below which a section may stand, with what may stand at the part."""
    if slot.items is not None:
        if slot.models:  # lists of numbers may be long
            yield from ((i, slot.items) for i in range(len(node.items)))
    elif slot.values is not None:
        yield from ((name, slot.values) for name in list(node.entries))
    elif (model := slot.model_of(node)) is not None:
        entries = node.entries
        yield from ((key, below) for key, below in slots_of(model).items() if key in entries)


def location_of(loc: Sequence[str | int]) -> Location:
    """A Pydantic location without the tags of unions: keys and positions of the file alone."""
    location: list[str | int] = []
    slot: Slot | None = ROOT
    for part in loc:
        if isinstance(part, int):
            location.append(part)
            slot = slot.items if slot else None
        elif slot is not None and slot.values is not None:
            location.append(part)
            slot = slot.values
        elif slot is not None and slot.choice is not None:
            slot = next((Slot(m) for m in slot.choice.models if label_of(m) == part), None)
        elif slot is not None and slot.model is not None:
            location.append(part)
            slot = slots_of(slot.model).get(part)
        elif slot is not None and slot.info is not None and _is_mapping(slot.info.annotation):
            location.append(part)  # of names to plain values
            slot = Slot()
    return tuple(location)


def _is_mapping(annotation: Any) -> bool:
    """Whether a field holds a mapping of names, or nothing."""
    kinds = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    return any(get_origin(kind) is dict for kind in kinds)


@dataclass(frozen=True)
class Home:
    """A place of the language where a section may stand: `layers[]`, told by `type: linear`."""

    path: str  # "" is the whole spec
    told: str
    model: type[BaseModel]

    def __str__(self) -> str:
        where = f"`{self.path}`" if self.path else "the spec itself"
        return f"{where} with `{self.told}`" if self.told else where


@cache
def homes() -> tuple[Home, ...]:
    """Every place where a section may stand, outermost first."""
    return tuple(sorted(_homes(ROOT, ""), key=lambda home: home.path.count(".")))


@cache
def meanings() -> dict[str, list[str]]:
    """The keys that each word of another tool may mean: which of them depends on the section."""
    found: dict[str, list[str]] = {}
    for home in homes():
        for key, info in fields_of(home.model).items():
            for also in info.metadata:
                for word in also.split() if isinstance(also, Also) else ():
                    if key not in found.setdefault(word, []):
                        found[word].append(key)
    return found


def _homes(slot: Slot, path: str) -> Iterator[Home]:
    if slot.items is not None:
        yield from _homes(slot.items, f"{path}[]")
        return
    if slot.values is not None:
        yield from _homes(slot.values, f"{path}.NAME")
        return
    for model in slot.models:
        yield Home(path, _told(slot.choice, model), model)
        for key, below in slots_of(model).items():
            yield from _homes(below, f"{path}.{key}" if path else key)


def _told(choice: Choice | None, model: type[BaseModel]) -> str:
    """What tells a model apart from the others at its place: `type: linear`, or `file`."""
    if choice is None or len(choice.models) == 1:
        return ""
    for value, found in choice.by_value.items():
        if found is model:
            return f"{choice.key}: {value}"
    return next(key for key, found in choice.by_presence.items() if found is model)
