"""What may stand where in a spec, read off the models: for hints, merges and overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from netbuild.language import backends
from netbuild.language.base import Also, Choice, OneOf
from netbuild.language.experiment import TELLER, ExperimentFile
from netbuild.language.shorthand import Shorthand, Writer
from netbuild.language.spec import SpecFile
from netbuild.yamltree.nodes import Location, Node


@dataclass(frozen=True)
class Slot:
    """What may stand at one place: a section, or one of several kinds of it; a list or a mapping
    of names, whose parts are all of one form; or a value."""

    model: type[BaseModel] | None = None
    choice: Choice | None = None
    each: Slot | None = None  # each item of a list, or what stands under each name of a mapping
    is_named: bool = False  # a mapping whose names are the user's own
    info: FieldInfo | None = None  # of the key that leads here
    write: Writer | None = None  # of its short forms

    def model_of(self, node: Node | None) -> type[BaseModel] | None:
        """The model of the section that a node is, if its keys tell which one."""
        if self.choice is None or node is None:
            return self.model
        kind = node.entries.get(self.choice.key)
        return self.choice.model_of(kind.value if kind else None, node.entries)

    @property
    def is_list(self) -> bool:
        """Whether a list stands here."""
        return self.each is not None and not self.is_named

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """Every model that a section here may have; of a list, that its items may have."""
        if self.each is not None and self.is_list:
            return self.each.models
        return self.choice.models if self.choice else (self.model,) if self.model else ()


ROOT = Slot(model=SpecFile)
EXPERIMENT = Slot(model=ExperimentFile)
BACKEND = Slot(choice=OneOf(backends.TELLER).choice(backends.Options))
VERSION = "netbuild"  # a key that every spec has, and the options of a back end do not


def start_of(root: Node) -> Slot:
    """What a file is, by its own key: an experiment, the options of a back end, or else a spec."""
    if TELLER in root.entries:
        return EXPERIMENT
    if backends.TELLER in root.entries and VERSION not in root.entries:
        return BACKEND
    return ROOT


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
    slot = Slot(info=info, write=write)
    kinds = get_args(annotation)
    if one_of is not None:
        return replace(slot, choice=one_of.choice(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return replace(slot, model=annotation)
    if get_origin(annotation) is list:
        return replace(slot, each=_slot(kinds[0], info))
    if get_origin(annotation) is dict and (below := _slot(kinds[1], info)).models:
        return replace(slot, each=below, is_named=True)
    if len(kinds) == 2 and NoneType in kinds:
        return _slot(next(kind for kind in kinds if kind is not NoneType), info, metadata)
    return Slot(info=info)


def slot_at(root: Node, location: Location) -> Slot | None:
    """What may stand at a location of a spec or an experiment, or None where nothing may."""
    slot: Slot | None = start_of(root)
    node: Node | None = root
    for part in location:
        if slot is None:
            return None
        if slot.each is not None:
            slot = slot.each if slot.is_named is isinstance(part, str) else None
        else:
            model = slot.model_of(node)
            slot = slots_of(model).get(str(part)) if model else None
        node = node.child(part) if node is not None else None
    return slot


def parts_of(node: Node, slot: Slot) -> Iterator[tuple[str | int, Node, Slot]]:
    """Each part of a node below which a section may stand, with what may stand at the part."""
    entries = node.entries
    if slot.each is None:
        model = slot.model_of(node)
        slots = slots_of(model) if model else {}
        yield from ((key, entries[key], below) for key, below in slots.items() if key in entries)
    elif slot.is_named:
        yield from ((name, child, slot.each) for name, child in entries.items())
    elif slot.models:  # lists of numbers may be long
        yield from ((i, child, slot.each) for i, child in enumerate(node.items))


def location_of(loc: Sequence[str | int]) -> Location:
    """A Pydantic location without the tags of unions: keys and positions of the file alone."""
    return tuple(part for part in loc if isinstance(part, str) or part >= 0)


@dataclass(frozen=True)
class Home:
    """A place of the language where a section may stand: `layers[]`, where `type: linear` says
    which kind of section it is."""

    path: str  # "" is the whole spec
    told: str  # what tells the kind; "" where there is only one
    model: type[BaseModel]

    def __str__(self) -> str:
        where = f"`{self.path}`" if self.path else "the spec itself"
        return f"{where} with `{self.told}`" if self.told else where


@cache
def homes() -> tuple[Home, ...]:
    """Every place of a spec where a section may stand, outermost first."""
    return tuple(sorted(_homes(ROOT, ""), key=lambda home: home.path.count(".")))


@cache
def homes_in_experiments() -> tuple[Home, ...]:
    """Every place of an experiment where a section may stand."""
    return tuple(_homes(EXPERIMENT, ""))


@cache
def meanings() -> dict[str, list[str]]:
    """The keys that each word of another tool may mean: which of them depends on the section."""
    found: dict[str, list[str]] = {}
    for home in (*homes(), *homes_in_experiments()):
        for key, info in fields_of(home.model).items():
            for also in info.metadata:
                for word in also.split() if isinstance(also, Also) else ():
                    if key not in found.setdefault(word, []):
                        found[word].append(key)
    return found


def _homes(slot: Slot, path: str) -> Iterator[Home]:
    if slot.each is not None:
        yield from _homes(slot.each, path + (".NAME" if slot.is_named else "[]"))
        return
    for model in slot.models:
        yield Home(path, _told(slot.choice, model), model)
        for key, below in slots_of(model).items():
            yield from _homes(below, f"{path}.{key}" if path else key)


def path_of(root: Node, location: Location) -> str:
    """The path of the language at a location, as homes have it: `layers[].areas.NAME`."""
    path = ""
    for i, part in enumerate(location):
        around = slot_at(root, location[:i])
        key = "NAME" if around and around.is_named else part
        path += "[]" if isinstance(part, int) else f".{key}" if path else str(key)
    return path


def _told(choice: Choice | None, model: type[BaseModel]) -> str:
    """What tells a model apart from the others at its place: `type: linear`, or `file`."""
    if choice is None or len(choice.models) == 1:
        return ""
    for value, found in choice.by_value.items():
        if found is model:
            return f"{choice.key}: {value}"
    return next(key for key, found in choice.by_presence.items() if found is model)
