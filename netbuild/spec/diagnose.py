"""Pydantic's errors become problems: located, in the words of the language, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from netbuild.errors import Place, Problem
from netbuild.spec.document import Node, kind_of, show
from netbuild.spec.paths import Location, at, near, spell
from netbuild.spec.spec import LANGUAGE_VERSION, NetworkSpec

Say = Callable[..., Problem]  # (code, what, hint): a problem at the place in hand

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "a mapping of keys",
    "model": "a mapping of keys",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def problems_of(error: ValidationError, root: Node) -> list[Problem]:
    """One problem for each error of a validation of the tree's data."""
    return [_problem(item, root) for item in error.errors(include_url=False, include_input=False)]


def location_of(loc: Sequence[str | int]) -> Location:
    """A Pydantic location without the tags of unions: keys and positions of the file alone."""
    return tuple(part for part in loc if not (isinstance(part, str) and part.startswith("<")))


def place_of(root: Node, location: Sequence[str | int], *, key: bool = False) -> Place:
    """Where a location stands: its value, or its key; else the nearest thing around it."""
    node = at(root, location)
    if node is not None:
        return node.key_place if key and node.key_place else node.place
    return place_of(root, location[:-1], key=True) if location else root.place


def _problem(item: Any, root: Node) -> Problem:
    kind: str = item["type"]
    loc: tuple[str | int, ...] = item["loc"]
    location = location_of(loc)
    context: dict[str, Any] = item.get("ctx", {})
    node = at(root, location)
    path = spell(root, location)

    def problem(code: str, what: str, hint: str = "", *, key: bool = False) -> Problem:
        return Problem(code, what, path, place_of(root, location, key=key), hint)

    if kind == "extra_forbidden":
        word = str(location[-1])
        return problem("NB101", f"unknown key `{show(word)}`", _key_hint(word, loc), key=True)
    if kind == "missing":
        field = str(location[-1])
        place = place_of(root, location[:-1])
        where = spell(root, location[:-1])
        hint = _field_hint(model_at(loc[:-1]), field)
        return Problem("NB102", f"the key `{field}` is missing", where, place, hint)
    if node is not None and node.value is None and kind != "untold":
        hint = "give it a value, or indent the lines that belong to it"
        return problem("NB103", "this key has no value", hint, key=True)
    if kind == "untold":
        return _untold(item["msg"], node, problem)
    if kind == "literal_error":
        if location == ("netbuild",):
            return _version(node, problem)
        choices = [
            part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")
        ]
        found = _found(node)
        return problem("NB105", f"{found} is not a choice here", near(_text(node), choices))
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        bound = int(bound) if float(bound).is_integer() and abs(bound) < 1e16 else bound
        return problem("NB104", f"must be {words} {bound}, found {_found(node)}")
    if kind in ("too_short", "too_long", "string_too_long", "string_too_short"):
        short = kind.endswith("short")
        limit = context.get("min_length" if short else "max_length")
        unit = "characters" if kind.startswith("string") else "items"
        return problem("NB104", f"needs {'at least' if short else 'at most'} {limit} {unit}")
    if kind == "finite_number":
        return problem("NB104", "must be a finite number")
    if kind == "string_pattern_mismatch":
        return problem("NB106", f"{_found(node)} does not fit here", _description(loc))
    expected = _KINDS.get(kind.split("_")[0])
    if expected and node is not None:
        hint = "write true or false" if expected.startswith("true") else ""
        if isinstance(node.value, str) and expected.endswith("number"):
            hint = f"{_found(node)} is text in YAML 1.2"
        return problem("NB103", f"expected {expected}, found {kind_of(node)}", hint)
    return problem("NB103", str(item["msg"])[:200])


def _untold(message: str, node: Node | None, problem: Say) -> Problem:
    key, values, keys = message.split("|")
    choices, presence = [v for v in values.split(",") if v], [k for k in keys.split(",") if k]
    entries = node.value if node is not None and isinstance(node.value, dict) else None
    if entries is None:
        found = kind_of(node) if node is not None else "nothing"
        hint = f"write `{{{key}: {choices[0]}, ...}}`" if choices else ""
        return problem("NB103", f"expected a mapping of keys, found {found}", hint)
    if key in entries:
        found = _found(entries[key])
        place = entries[key].place
        given = problem("NB105", f"unknown {key} {found}", near(_text(entries[key]), choices))
        return Problem(given.code, given.what, f"{given.path}.{key}", place, given.hint)
    wanted = ([f"`{key}`"] if choices else []) + [f"`{k}`" for k in presence]
    if not presence:
        hint = near("", choices)
        return problem("NB102", f"the key `{key}` is missing", hint)
    for word in entries:
        if (hint := near(word, [*([key] if choices else []), *presence])).startswith("did"):
            given = problem("NB101", f"unknown key `{show(word)}`", hint)
            return Problem(given.code, given.what, given.path, entries[word].key_place, hint)
    return problem("NB102", f"one of the keys {', '.join(wanted)} is needed")


def _version(node: Node | None, problem: Say) -> Problem:
    if node is not None and isinstance(node.value, int) and node.value > LANGUAGE_VERSION:
        what = f"version {node.value} of the language is newer than this program"
        return problem("NB107", what, f"it reads version {LANGUAGE_VERSION}; upgrade netbuild")
    return problem("NB107", f"{_found(node)} is not a version", f"write {LANGUAGE_VERSION}")


def _found(node: Node | None) -> str:
    if node is None:
        return "nothing"
    return f"`{show(_text(node))}`" if isinstance(node.value, (str, int, float)) else kind_of(node)


def _text(node: Node | None) -> str:
    value = node.value if node is not None else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else ""


def _key_hint(word: str, loc: Sequence[str | int]) -> str:
    model = model_at(loc[:-1])
    here = fields_of(model) if model else set()
    hint = near(word, here)
    if hint.startswith("did"):
        return hint
    homes = [home for home, fields in sections() if word in fields]
    if homes:
        label = _home(loc[:-1])
        return f"`{show(word)}` is a key of {homes[0]}, not of {label or 'a spec'}"
    return hint


def _home(loc: Sequence[str | int]) -> str:
    text = ""
    for part in location_of(loc):
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _field_hint(model: type[BaseModel] | None, field: str) -> str:
    if model is None:
        return ""
    info = next((f for n, f in model.model_fields.items() if (f.alias or n) == field), None)
    if info is None:
        return ""
    example = f"; for example `{field}: {info.examples[0]}`" if info.examples else ""
    return f"{info.description or ''}{example}".lstrip("; ")


def _description(loc: Sequence[str | int]) -> str:
    model = model_at(loc[:-1])
    if model is None or not isinstance(loc[-1], str):
        return ""
    info = next((f for n, f in model.model_fields.items() if (f.alias or n) == loc[-1]), None)
    return (info.description or "") if info else ""


def fields_of(model: type[BaseModel]) -> set[str]:
    """The keys of a section, as the file spells them."""
    return {info.alias or name for name, info in model.model_fields.items()}


def model_at(loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that a Pydantic location leads to, or None."""
    model: type[BaseModel] | None = NetworkSpec
    for part in loc:
        if isinstance(part, int):
            continue
        if part.startswith("<"):
            model = models().get(part)
        elif model is not None:
            fields = model.model_fields.items()
            info = next((f for name, f in fields if (f.alias or name) == part), None)
            found = list(_models_in(info.annotation)) if info else []
            model = found[0] if len(found) == 1 else None
    return model


@cache
def models() -> dict[str, type[BaseModel]]:
    """Every model of the language by its tag in a Pydantic location."""
    return {f"<{model.__name__}>": model for _, model in _walk(NetworkSpec, "")}


@cache
def sections() -> list[tuple[str, set[str]]]:
    """Where each key may stand: ("layers[]", its keys), one entry for each model."""
    return [(home, fields_of(model)) for home, model in _walk(NetworkSpec, "")]


def _walk(model: type[BaseModel], home: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield home or "a spec", model
    for name, info in model.model_fields.items():
        key = info.alias or name
        below = f"{home}.{key}" if home else key
        if _is_list(info.annotation):
            below += "[]"
        for found in _models_in(info.annotation):
            yield from _walk(found, below)


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_list(get_args(annotation)[0])
    return get_origin(annotation) is list


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        if not isinstance(argument, (str, int, float)):
            yield from _models_in(argument)
