"""From a document to a parsed spec: what it extends, its overrides, its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from netbuild.errors import Problem
from netbuild.spec.diagnose import problems_of
from netbuild.spec.document import Document
from netbuild.spec.extends import Locate, Resolver
from netbuild.spec.grammar import location_of
from netbuild.spec.layers import Layer
from netbuild.spec.nodes import plain
from netbuild.spec.override import override
from netbuild.spec.paths import Tree
from netbuild.spec.regularizers import RegularizerSpec
from netbuild.spec.spec import NetworkSpec
from netbuild.spec.task import Task
from netbuild.spec.training import Training

_LISTS = ("layers", "regularizers")


@dataclass(frozen=True)
class Parsed:
    """Whatever parsed of a spec, for the checks that look across fields.

    A part that has problems of its own is None; `problems` says what they are.
    """

    tree: Tree
    document: Document
    folders: Mapping[str, Path]  # of each source, which its relative paths start from
    problems: Sequence[Problem]
    spec: NetworkSpec | None
    layers: Sequence[BaseModel | None]
    regularizers: Sequence[BaseModel | None]
    task: BaseModel | None
    training: BaseModel | None
    seed: int = 0


def parse_document(
    document: Document, locate: Locate, overrides: Sequence[str] = (), unset: Sequence[str] = ()
) -> Parsed:
    """A document with its overrides (`PATH=VALUE`, `PATH+=VALUE`) and unset paths.

    `locate` finds the files that it extends. Raises SpecError where the YAML itself, a path of an
    override or an `extends` is wrong; what the models find wrong is in the result's `problems`.
    """
    resolver = Resolver(locate)
    root = resolver.resolve(document)
    override(root, overrides, unset)
    folders = resolver.folders
    folders |= {f"--set #{number}": document.folder for number in range(1, len(overrides) + 1)}
    tree = Tree(root)
    data = plain(root)
    try:
        spec = NetworkSpec.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        locations = {location_of(item["loc"]) for item in errors}
        problems = problems_of(errors, tree)
        parts = {key: _part(key, data, locations) for key in ("task", "training", "seed", *_LISTS)}
        return Parsed(tree, document, folders, problems, None, **parts)
    parts = {key: getattr(spec, key) for key in ("task", "training", "seed", *_LISTS)}
    return Parsed(tree, document, folders, [], spec, **parts)


def _part(key: str, data: Mapping[str, Any], bad: set[tuple[str | int, ...]]) -> Any:
    """One part of a spec that did not parse as a whole, as far as it did."""
    value = data.get(key)
    if key in _LISTS:
        if not isinstance(value, list):
            return []
        wrong = {location[:2] for location in bad}
        return [
            None if (key, i) in wrong else _adapter(key).validate_python(item)
            for i, item in enumerate(value)
        ]
    if key not in data and key != "task":
        return NetworkSpec.model_fields[key].get_default()
    if value is None or any(location[:1] == (key,) for location in bad):
        return 0 if key == "seed" else None
    return value if key == "seed" else _adapter(key).validate_python(value)


@cache
def _adapter(key: str) -> TypeAdapter[BaseModel]:
    kinds: dict[str, Any] = {
        "layers": Layer,
        "regularizers": RegularizerSpec,
        "task": Task,
        "training": Training,
    }
    return TypeAdapter(kinds[key])
