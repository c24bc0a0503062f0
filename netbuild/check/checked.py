"""A checked spec: what `load` returns, and what building, training and inspecting take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netbuild.check.context import Context, FileRecord, Locator
from netbuild.check.data import check_task, check_training, task_width
from netbuild.check.maps import check_map
from netbuild.check.memory import check_memory
from netbuild.check.plan import Plan
from netbuild.check.targets import check_regularizers
from netbuild.check.wiring import check_learning, check_names, check_wiring
from netbuild.errors import Exit, NetbuildError, Place, Problem, SpecError
from netbuild.spec.document import Document, parse, read
from netbuild.spec.dump import dump_yaml, resolved
from netbuild.spec.layers import Linear
from netbuild.spec.load import Parsed, parse_document
from netbuild.spec.nodes import Location
from netbuild.spec.spec import NetworkSpec


@dataclass(frozen=True)
class Options:
    """How a spec was loaded, beside the document itself."""

    overrides: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    data_root: Path | None = None
    memory_limit: int | None = None  # bytes


@dataclass
class Spec:
    """A spec without problems: its model, where it came from, and the files that it names.

    It is plain data and can be pickled; the arrays that its files hold are not part of what is
    pickled, and are read again, against their digests, when they are needed.
    """

    model: NetworkSpec
    path: Path | None
    text: str  # the file's own
    options: Options
    files: dict[str, FileRecord]  # by path in the spec
    folder: Path  # absolute; what the paths in it are relative to
    _plan: Plan | None = field(default=None, repr=False, compare=False)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The `PATH=VALUE` that it was loaded with."""
        return self.options.overrides

    @property
    def unset(self) -> tuple[str, ...]:
        """The paths that were taken away when it was loaded."""
        return self.options.unset

    @property
    def plan(self) -> Plan:
        """The arrays and sizes that building needs; raises NetbuildError if a file has changed."""
        if self._plan is None:
            again = _checked(self._document(), self.path, self.options)
            for where, record in self.files.items():
                if where in again.files and again.files[where].sha256 != record.sha256:
                    what = f"{record.reference} has changed since the spec was loaded"
                    raise NetbuildError(what, Exit.DATA)
            if again.hash != self.hash:
                what = "what the spec extends has changed since it was loaded"
                raise NetbuildError(what, Exit.SPEC)
            self._plan = again._plan
        assert self._plan is not None
        return self._plan

    @property
    def data(self) -> dict[str, Any]:
        """The resolved spec as plain JSON data, every default written out."""
        return resolved(self.model)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the resolved spec and of the files that it names."""
        digests = {where: record.sha256 for where, record in sorted(self.files.items())}
        text = json.dumps([self.data, digests], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def origins(self) -> Iterator[tuple[str, Any, str]]:
        """Every resolved value: its path, itself, and where it was written, or "default"."""
        tree = parse_document(
            self._document(), Locator(self.options.data_root), *self._changes
        ).tree
        for location, value in _leaves(self.data, ()):
            node = tree.at(location)
            yield tree.spell(location), value, str(node.place) if node else "default"

    @property
    def _changes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.options.overrides, self.options.unset

    def _document(self) -> Document:
        source = str(self.path or "spec")
        return Document(source, parse(self.text, source), self.folder, self.text)

    def to_yaml(self) -> str:
        """The resolved spec as YAML that loads again."""
        return dump_yaml(self.data)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plan": None}


def load(
    spec: str | Path | Mapping[str, Any],
    set: Sequence[str] = (),
    *,
    unset: Sequence[str] = (),
    data_root: str | Path | None = None,
    memory_limit: int | None = None,
) -> Spec:
    """Read and check a spec: a path, or the same as a mapping.

    `set` holds overrides `PATH=VALUE`, `unset` paths to take away. Files that the spec names lie
    in its project, or in `data_root`. `memory_limit`, in bytes, replaces what the machine has.
    Raises SpecError, which carries all problems.
    """
    options = Options(
        _strings("set", set),
        _strings("unset", unset),
        Path(data_root).absolute() if data_root is not None else None,
        memory_limit,
    )
    if isinstance(spec, Mapping):
        text = dump_yaml(spec)
        return _checked(Document("spec", parse(text, "spec"), Path.cwd(), text), None, options)
    document = read(Path(spec), str(spec))
    return _checked(replace(document, folder=document.folder.absolute()), Path(spec), options)


def _leaves(value: Any, location: Location) -> Iterator[tuple[Location, Any]]:
    """What is no section, nor a list of sections, with its location."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, (*location, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for position, item in enumerate(value):
            yield from _leaves(item, (*location, position))
    else:
        yield location, value


def _strings(name: str, given: Sequence[str]) -> tuple[str, ...]:
    wanted = "PATH=VALUE" if name == "set" else "PATH"
    if isinstance(given, str):
        raise TypeError(f'{name} takes a list of "{wanted}": {name}=[{given!r}]')
    if isinstance(given, Mapping) or not all(isinstance(text, str) for text in given):
        raise TypeError(f'{name} takes a list of "{wanted}", not {type(given).__name__}')
    return tuple(given)


def _checked(document: Document, path: Path | None, options: Options) -> Spec:
    locator = Locator(options.data_root)
    parsed = parse_document(document, locator, options.overrides, options.unset)
    context = Context(parsed, locator)
    plan = run_checks(context, options.memory_limit)
    problems = [*parsed.problems, *context.problems]
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: _order(problem, parsed)))
    assert parsed.spec is not None
    assert len(plan.layers) == len(parsed.spec.layers)  # else building would fail
    return Spec(parsed.spec, path, document.text, options, context.files, document.folder, plan)


def run_checks(context: Context, memory_limit: int | None = None) -> Plan:
    """Everything that one field alone cannot tell, over whatever parsed."""
    check_names(context)
    check_training(context)
    width = task_width(context)
    plans = check_wiring(context, width)
    if not check_memory(context, plans, memory_limit):
        return Plan()
    check_learning(context, plans)
    for i, plan in plans.items():
        layer = context.parsed.layers[i]
        if isinstance(layer, Linear):
            plans[i] = replace(plan, map=check_map(context, i, layer, plan))
    last = plans.get(len(context.parsed.layers) - 1)
    return Plan(
        {plan.name: plan for plan in plans.values()},
        check_regularizers(context, plans),
        check_task(context, width, last.gives if last else None),
    )


def _order(problem: Problem, parsed: Parsed) -> tuple[int, int, int]:
    """Files in the order in which they were read, then lines and columns."""
    place = problem.place or Place("")
    known = list(parsed.folders)
    rank = known.index(place.source) if place.source in known else len(known)
    return rank, place.line, place.column
