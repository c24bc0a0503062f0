"""From the tree of a spec to its models, or to as many parts of it as are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from netbuild.errors import Problem, joined
from netbuild.language.compose import LISTS, Composed, Locate
from netbuild.language.context import Parsed
from netbuild.language.dump import inline
from netbuild.language.grammar import location_of
from netbuild.language.spec import NetworkSpec
from netbuild.wording import show
from netbuild.yamltree.document import Document
from netbuild.yamltree.nodes import plain
from netbuild.yamltree.paths import Tree

# The keys whose values are judged each on its own: a part that is wrong does not hide the others.
PARTS = ("task", "training", "start_from", "seed", "dt", *LISTS)


def parse_document(
    document: Document, locate: Locate, overrides: Sequence[str] = (), unset: Sequence[str] = ()
) -> Parsed:
    """A document, what it extends and its overrides, parsed."""
    return parse(Composed(document, locate, overrides, unset))


def parse(composed: Composed, stage: int | None = None) -> Parsed:
    """A spec, as a stage of its training has it where one is given.

    Overrides that cannot be applied, and what the models find wrong in the rest, are in the
    result's `problems`.
    """
    root, problems = composed.tree(stage)
    tree, data = Tree(root), plain(root)
    spec: NetworkSpec | None = None
    try:
        spec = NetworkSpec.model_validate(data)
        parts = {key: getattr(spec, key) for key in PARTS}
    except ValidationError as error:
        from netbuild.language.diagnose import problems_of

        errors = error.errors(include_url=False, include_input=False)
        locations = {location_of(item["loc"]) for item in errors}
        found = problems_of(errors, tree)
        problems += (_as_replaced(problem, tree, composed.replaced) for problem in found)
        parts = {key: _part(key, data, locations) for key in PARTS}
    return Parsed(
        tree, composed.document, composed.folders, problems, spec, given=composed.start, **parts
    )


def _as_replaced(problem: Problem, tree: Tree, replaced: Mapping[str, set[str]]) -> Problem:
    """A problem of an item that lacks a key, for users who expect the base's item to be merged."""
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
    return _adapter(key).validate_python(value)


@cache
def _adapter(key: str) -> TypeAdapter[Any]:
    """What validates a part alone; of a list, one of its items."""
    annotation: Any = NetworkSpec.model_fields[key].annotation
    return TypeAdapter(get_args(annotation)[0] if key in LISTS else annotation)
