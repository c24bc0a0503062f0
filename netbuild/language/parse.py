"""From a document to a parsed spec: what it extends, its overrides, its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from netbuild.errors import Problem, joined
from netbuild.language.context import GivenStart, Parsed
from netbuild.language.dump import inline
from netbuild.language.extends import LISTS, Locate, Resolver
from netbuild.language.grammar import location_of
from netbuild.language.layers import Layer
from netbuild.language.override import complete, override
from netbuild.language.regularizers import RegularizerSpec
from netbuild.language.spec import NetworkSpec
from netbuild.language.stages import apply_stage
from netbuild.language.start import StartFrom
from netbuild.language.task import Task
from netbuild.language.training import Training
from netbuild.yamltree.document import Document
from netbuild.yamltree.nodes import plain, show
from netbuild.yamltree.paths import Tree

PARTS = (
    "task",
    "training",
    "start_from",
    "seed",
    "dt",
    *LISTS,
)  # of a spec, each judged on its own


def parse_document(
    document: Document,
    locate: Locate,
    overrides: Sequence[str] = (),
    unset: Sequence[str] = (),
    stage: int | None = None,
    start: GivenStart | None = None,
) -> Parsed:
    """A document with its overrides (`PATH=VALUE`, `PATH+=VALUE`) and unset paths.

    With `stage`, as that stage of its training has it. `start` is the run to start from, in place
    of what the document says of one. `locate` finds the files that it extends.
    Raises SpecError where the YAML itself or an `extends` is wrong; overrides that cannot be
    applied, and what the models find wrong in the rest, are in the result's `problems`.
    """
    resolver = Resolver(locate)
    root = resolver.resolve(document)
    if start is not None:
        root.entries["start_from"] = start.node(document.folder)
    problems = [*resolver.problems, *override(root, overrides, unset)]
    if stage is not None:
        problems += apply_stage(root, stage)
    complete(root)
    folders = resolver.folders
    folders |= {f"--set #{number}": document.folder for number in range(1, len(overrides) + 1)}
    tree = Tree(root)
    data = plain(root)
    try:
        spec = NetworkSpec.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        locations = {location_of(item["loc"]) for item in errors}
        from netbuild.language.diagnose import problems_of

        found = problems_of(errors, tree)
        problems += (_as_replaced(problem, tree, resolver.replaced) for problem in found)
        parts = {key: _part(key, data, locations) for key in PARTS}
        return Parsed(tree, document, folders, problems, None, given=start, **parts)
    parts = {key: getattr(spec, key) for key in PARTS}
    return Parsed(tree, document, folders, problems, spec, given=start, **parts)


def _as_replaced(problem: Problem, tree: Tree, replaced: Mapping[str, set[str]]) -> Problem:
    """A problem of an item that lacks a key, for somebody who took the base's item to stay."""
    from netbuild.language.diagnose import text_of

    for key, names in replaced.items():
        for item in tree.root.entries[key].items if problem.code == "NB102" else ():
            name = item.entries.get("name")
            if name is None or name.value not in names or item.place != problem.place:
                continue
            scalars = [k for k, node in item.entries.items() if k != "name" and text_of(node)]
            if scalars:
                value = inline(item.entries[scalars[0]].value)
                path = f"{key}[{show(str(name.value))}].{show(scalars[0])}"
                change = f'set: {{"{path}": {value}}}'
                hint = f"the list replaces the base's; to change an item of that, write `{change}`"
                return replace(problem, hint=joined(problem.hint, hint))
    return problem


def _part(key: str, data: Mapping[str, Any], bad: set[tuple[str | int, ...]]) -> Any:
    """One part of a spec that did not parse as a whole, as far as it did."""
    value = data.get(key)
    if key in LISTS:
        if not isinstance(value, list) or (key,) in bad:
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
    return value if key in ("seed", "dt") else _adapter(key).validate_python(value)


@cache
def _adapter(key: str) -> TypeAdapter[BaseModel]:
    kinds: dict[str, Any] = {
        "layers": Layer,
        "regularizers": RegularizerSpec,
        "task": Task,
        "training": Training,
        "start_from": StartFrom,
    }
    return TypeAdapter(kinds[key])
