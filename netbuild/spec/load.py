"""From a path to a parsed spec: the file, what it extends, its overrides, its models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from netbuild.errors import Place, Problem, SpecError
from netbuild.spec.diagnose import fields_of, location_of, models, problems_of
from netbuild.spec.document import Document, Node, parse_value, plain, read, show
from netbuild.spec.layers import Layer
from netbuild.spec.paths import Location, PathError, assign, follow, path_problem, remove
from netbuild.spec.regularizers import RegularizerSpec
from netbuild.spec.shorthand import write_out
from netbuild.spec.spec import NetworkSpec
from netbuild.spec.task import Task
from netbuild.spec.training import Training

MAX_EXTENDS = 16


@dataclass(frozen=True)
class Parsed:
    """Whatever parsed of a spec, for the checks that look across fields.

    A part that has problems of its own is None; `problems` says what they are.
    """

    root: Node
    document: Document
    folders: dict[str, Path]  # of each source, which its relative paths start from
    problems: list[Problem]
    spec: NetworkSpec | None
    layers: list[BaseModel | None]
    regularizers: list[BaseModel | None]
    task: BaseModel | None
    training: BaseModel | None
    device: str = "auto"
    seed: int = 0
    sources: dict[str, str] = field(default_factory=dict)  # the text of each file read


def parse_file(
    path: Path, overrides: Sequence[str] = (), unset: Sequence[str] = (), source: str | None = None
) -> Parsed:
    """Read a spec with its overrides (`PATH=VALUE`, `PATH+=VALUE`) and unset paths.

    Raises SpecError where the YAML itself, a path of an override or an `extends` is wrong; what
    the models find wrong is in the result's `problems`.
    """
    return parse_document(read(path, source), overrides, unset)


def parse_document(
    document: Document, overrides: Sequence[str] = (), unset: Sequence[str] = ()
) -> Parsed:
    """As `parse_file`, for a document that is read already."""
    folders = {document.source: document.folder}
    sources = {document.source: document.text}
    root = _resolve(document, (document.source,), folders, sources)
    problems = _override(root, overrides, unset)
    if problems:
        raise SpecError(problems)
    for number in range(1, len(overrides) + 1):
        folders[f"--set #{number}"] = document.folder
    write_out(root)
    return _parse(root, document, folders, sources)


def _parse(
    root: Node, document: Document, folders: dict[str, Path], sources: dict[str, str]
) -> Parsed:
    data = plain(root)
    assert isinstance(data, dict)
    problems: list[Problem] = []
    spec: NetworkSpec | None = None
    bad: set[Location] = set()
    try:
        spec = NetworkSpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems = problems_of(error, root)
        bad = {location_of(item["loc"])[:2] for item in error.errors(include_input=False)}
        bad |= {
            location[:1] for location in bad if location[:1] not in (("layers",), ("regularizers",))
        }

    def part(key: str) -> BaseModel | None:
        if (key,) in bad or key not in data or data[key] is None:
            return None
        return _adapter(key).validate_json(json.dumps(data[key]))

    def items(key: str) -> list[BaseModel | None]:
        listed = data.get(key)
        if (key,) in bad or not isinstance(listed, list):
            return []
        return [
            None if (key, i) in bad else _adapter(key).validate_json(json.dumps(item))
            for i, item in enumerate(listed)
        ]

    if spec is not None:
        return Parsed(
            root,
            document,
            folders,
            problems,
            spec,
            list(spec.layers),
            list(spec.regularizers),
            spec.task,
            spec.training,
            spec.device,
            spec.seed,
            sources,
        )
    seed = data.get("seed")
    seed = seed if isinstance(seed, int) and ("seed",) not in bad else 0
    return Parsed(
        root,
        document,
        folders,
        problems,
        None,
        items("layers"),
        items("regularizers"),
        part("task"),
        part("training"),
        "auto",
        seed,
        sources,
    )


@cache
def _adapter(key: str) -> TypeAdapter[BaseModel]:
    kinds: dict[str, Any] = {
        "layers": Layer,
        "regularizers": RegularizerSpec,
        "task": Task,
        "training": Training,
    }
    return TypeAdapter(kinds[key])


def _resolve(
    document: Document, chain: tuple[str, ...], folders: dict[str, Path], sources: dict[str, str]
) -> Node:
    """The tree of a document: its bases merged under it, then its own `set:` applied."""
    assert isinstance(document.root.value, dict)
    own = dict(document.root.value)
    merged = Node({}, document.root.place)
    for base in _bases(own.pop("extends", None)):
        other = _base(base, document, chain, folders, sources)
        merged = merge(merged, _resolve(other, (*chain, other.source), folders, sources))
    changes = own.pop("set", None)
    root = copy_tree(merge(merged, Node(own, document.root.place)))
    if changes is not None:
        _apply_set(root, changes)
    return root


def _bases(node: Node | None) -> list[Node]:
    if node is None or node.value is None:
        return []
    items = node.value if isinstance(node.value, list) else [node]
    for item in items:
        if not isinstance(item.value, str) or not item.value:
            what = "`extends` takes a file, or a list of files"
            raise SpecError([Problem("NB103", what, "extends", item.place)])
    return items


def _base(
    node: Node,
    document: Document,
    chain: tuple[str, ...],
    folders: dict[str, Path],
    sources: dict[str, str],
) -> Document:
    path = document.folder / str(node.value)
    source = str(Path(document.source).parent / str(node.value))

    def refuse(what: str) -> SpecError:
        return SpecError([Problem("NB112", what, "extends", node.place)])

    if "://" in str(node.value) or str(node.value).startswith("~"):
        raise refuse("`extends` takes a file beside the spec, not a URL or `~`")
    if any(path.resolve() == Path(s).resolve() for s in chain) or source in chain:
        raise refuse(f"a circle: {' -> '.join((*chain, source))}")
    if len(chain) >= MAX_EXTENDS:
        raise refuse(f"more than {MAX_EXTENDS} files deep: {' -> '.join((*chain, source))}")
    if not path.exists():
        raise refuse(f"no file `{show(str(node.value))}` in {show(str(document.folder))}")
    other = read(path, source)
    folders[source] = other.folder
    sources[source] = other.text
    return other


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: mappings merge deeply, everything else is replaced.

    Where `type` changes, the fields that the new type lacks are dropped.
    """
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    below = dict(base.value)
    old, new = below.get("type"), over.value.get("type")
    if old is not None and new is not None and old.value != new.value:
        known = fields_of_type(new.value)
        below = {key: node for key, node in below.items() if key in known}
    merged = dict(below)
    for key, node in over.value.items():
        merged[key] = merge(below[key], node) if key in below else node
    return Node(merged, over.place, over.key_place)


def fields_of_type(name: object) -> set[str]:
    """The keys that a section may have when its `type` is `name`."""
    for model in models().values():
        info = model.model_fields.get("type")
        if info is not None and name in getattr(info.annotation, "__args__", ()):
            return fields_of(model)
    return set()


def copy_tree(node: Node) -> Node:
    """A tree that shares no container with the other, so that one can be changed."""
    match node.value:
        case dict():
            value: object = {key: copy_tree(child) for key, child in node.value.items()}
        case list():
            value = [copy_tree(child) for child in node.value]
        case scalar:
            value = scalar
    return Node(value, node.place, node.key_place, node.size)  # type: ignore[arg-type]


def _apply_set(root: Node, changes: Node) -> None:
    if not isinstance(changes.value, dict):
        what = "`set` takes a mapping from paths to values"
        raise SpecError([Problem("NB103", what, "set", changes.place)])
    problems = []
    for path, value in changes.value.items():
        try:
            _set(root, path, value)
        except PathError as error:
            problems.append(
                Problem("NB110", error.what, f"set[{show(path)}]", value.key_place, error.hint)
            )
    if problems:
        raise SpecError(problems)


def _set(root: Node, path: str, value: Node, *, append: bool = False) -> None:
    assign(root, path, value, append=append)
    if path.endswith(".type") and not append:
        _drop_foreign(root, path.removesuffix(".type"), value.value)


def _drop_foreign(root: Node, path: str, name: object) -> None:
    """After a change of `type`, the fields that the new type lacks go."""
    known = fields_of_type(name)
    if not known:
        return
    node = follow(root, path)
    if node is not None and isinstance(node.value, dict):
        node.value = {key: child for key, child in node.value.items() if key in known}


def _override(root: Node, overrides: Sequence[str], unset: Iterable[str]) -> list[Problem]:
    problems: list[Problem] = []
    for number, text in enumerate(overrides, 1):
        source = f"--set #{number}"
        try:
            path, operator, value, offset = split_override(text)
            node = parse_value(value, source, offset)
            node.key_place = Place(source, 1, 1, len(path) + 1, text)
            _set(root, path, _with_text(node, text), append=operator == "+=")
        except PathError as error:
            problems.append(path_problem(error, source, text, 0))
        except SpecError as error:
            problems += [
                Problem(p.code, p.what, p.path, p.place and _place_with_text(p.place, text), p.hint)
                for p in error.problems
            ]
    for number, text in enumerate(unset, 1):
        try:
            remove(root, text)
        except PathError as error:
            problems.append(path_problem(error, f"--unset #{number}", text, 0))
    return problems


def _with_text(node: Node, text: str) -> Node:
    """The node, its places showing the whole override rather than the value alone."""
    match node.value:
        case dict():
            value: object = {key: _with_text(child, text) for key, child in node.value.items()}
        case list():
            value = [_with_text(child, text) for child in node.value]
        case scalar:
            value = scalar
    key_place = _place_with_text(node.key_place, text) if node.key_place else None
    return Node(value, _place_with_text(node.place, text), key_place, node.size)  # type: ignore[arg-type]


def _place_with_text(place: Place, text: str) -> Place:
    return Place(place.source, place.line, place.column, place.end_column, text)


def split_override(text: str) -> tuple[str, str, str, int]:
    """`PATH=VALUE` as (path, operator, value, where the value starts); the first `=` outside
    brackets splits. Raises PathError."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "=" and depth <= 0:
            append = position > 0 and text[position - 1] == "+"
            path = text[: position - append].strip()
            return path, "+=" if append else "=", text[position + 1 :], position + 1
    raise PathError("an override is PATH=VALUE", 1, "for example `training.steps=100`")
