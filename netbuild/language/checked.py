"""A checked spec: what `load` returns, and what building, training and inspecting take."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netbuild.errors import Exit, NetbuildError, Place, Problem, SpecError
from netbuild.files.door import project_root
from netbuild.language.check_files import check_files
from netbuild.language.compose import Composed
from netbuild.language.context import Context, FileRecord, GivenStart, Locator
from netbuild.language.dump import dump_yaml, resolved
from netbuild.language.experiment import TELLER
from netbuild.language.improbable import check_connections
from netbuild.language.memory import check_memory
from netbuild.language.parse import parse
from netbuild.language.plan import LayerPlan, NeurogymPlan, Plan
from netbuild.language.sources import (
    check_learning,
    check_names,
    check_sequences,
    check_sources,
    network_input_of,
)
from netbuild.language.spec import NetworkSpec
from netbuild.language.start import START, check_start
from netbuild.language.targets import check_regularizers
from netbuild.language.training import (
    Training,
    check_same_files,
    check_selection,
    check_stage,
    check_training,
)
from netbuild.yamltree.document import Document, read
from netbuild.yamltree.document import parse as parse_text
from netbuild.yamltree.nodes import Location
from netbuild.yamltree.paths import Segment, Tree, parse_path

# What makes no other run of a spec: a run is the same whoever watches it.
NO_PART_OF_A_RUN = {"training": ("track",)}
MOST_TOLD = 50  # after so many problems, no more stages of a training are checked


@dataclass(frozen=True)
class Options:
    """How a spec was loaded, beside the document itself."""

    overrides: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    data_root: Path | None = None
    memory_limit: int | None = None  # bytes
    widths: NeurogymPlan | None = None  # of a run's environments, which are then not opened
    start: GivenStart | None = None  # in place of the document's own `start_from`


@dataclass(frozen=True)
class Found:
    """What checking a spec finds out beside its model."""

    composed: Composed
    tree: Tree
    plan: Plan
    stages: tuple[Spec, ...] = ()


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
    warnings: tuple[Problem, ...] = ()  # valid but probably unintended, in file order
    _found: Found | None = field(default=None, repr=False, compare=False)  # None: was pickled

    @property
    def found(self) -> Found:
        """What checking it finds out; raises NetbuildError if a file has changed since."""
        if self._found is None:
            source = str(self.path or "spec")
            document = Document(source, parse_text(self.text, source), self.folder, self.text)
            again = _checked(document, self.path, self.options)
            for where, record in self.files.items():
                if where in again.files and again.files[where].sha256 != record.sha256:
                    what = f"{record.reference} has changed since the spec was loaded"
                    raise NetbuildError(what, Exit.DATA)
            if again.hash != self.hash:
                what = "what the spec extends has changed since it was loaded"
                raise NetbuildError(what, Exit.SPEC)
            self._found = again._found
        assert self._found is not None
        return self._found

    @property
    def plan(self) -> Plan:
        """The arrays and sizes that building needs."""
        return self.found.plan

    @property
    def stages(self) -> tuple[Spec, ...]:
        """The spec as each stage of its training has it; none where it has no stages."""
        return self.found.stages

    @property
    def overrides(self) -> tuple[str, ...]:
        """The `PATH=VALUE` that it was loaded with."""
        return self.options.overrides

    @property
    def unset(self) -> tuple[str, ...]:
        """The paths that were removed when it was loaded."""
        return self.options.unset

    @property
    def data(self) -> dict[str, Any]:
        """The resolved spec as plain JSON data, every default written out."""
        return resolved(self.model)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the resolved spec and of the files that it names."""
        return self._hash({})

    def hash_from(self, sha256: str) -> str:
        """The same, had the run that it starts from these weights."""
        return self._hash({START: sha256})

    def _hash(self, others: dict[str, str]) -> str:
        digests = {where: record.sha256 for where, record in self.files.items()} | others
        data = self.data
        for section, keys in NO_PART_OF_A_RUN.items():
            data[section] = {k: v for k, v in data[section].items() if k not in keys}
        text = json.dumps([data, digests], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def problem(self, code: str, location: Location, what: str, hint: str = "") -> Problem:
        """A problem with its place, for what only building finds out."""
        tree = self.found.tree
        return Problem(code, what, tree.spell(location), tree.place(location), hint)

    def origins(self) -> Iterator[tuple[str, Any, str]]:
        """Every resolved value: its path, itself, and where it was written, or "default"."""
        tree = self.found.tree
        for location, value in _leaves(self.data, ()):
            node = tree.at(location)
            yield tree.spell(location), value, str(node.place) if node else "default"

    @property
    def root(self) -> Path:
        """The folder that files which it names lie in."""
        return self.options.data_root or project_root(self.folder)

    @property
    def texts(self) -> dict[Path, str]:
        """The text of its own file and of those that it extends, by their paths."""
        own = {} if self.path is None else {self.path: self.text}
        extended = self.found.composed.extended
        return own | {path: document.text for path, document in extended.items()}

    def to_yaml(self) -> str:
        """The resolved spec as YAML that loads again from the same folder."""
        return dump_yaml(self.data_with(self._from_here))

    def data_with(self, named: Callable[[FileRecord], str]) -> dict[str, Any]:
        """`data`, with each file named as `named` says."""
        data = self.data
        for where, record in self.files.items():
            *way, last = parse_path(where)
            section: Any = data
            for segment in way:
                section = _below(section, segment)
            section[last.text] = named(record)
        return data

    def _from_here(self, record: FileRecord) -> str:
        """A file as this spec's own folder sees it: a base elsewhere named it from there."""
        if Path(os.path.realpath(self.folder / record.reference)) == Path(record.path):
            return record.reference
        return Path(os.path.relpath(record.path, os.path.realpath(self.folder))).as_posix()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_found": None}


def load(
    spec: str | Path | Mapping[str, Any],
    set: Sequence[str] = (),
    *,
    unset: Sequence[str] = (),
    data_root: str | Path | None = None,
    memory_limit: int | None = None,
    widths: NeurogymPlan | None = None,
    start: GivenStart | None = None,
) -> Spec:
    """Read and check a spec: a path, or the same as a mapping.

    `set` holds overrides `PATH=VALUE`, `unset` paths to remove. Files that the spec names lie
    in its project, or in `data_root`. `memory_limit`, in bytes, replaces what the machine has.
    `widths` are those of the environments of a task that was checked before: such a spec builds
    without neurogym, and has no trials. `start` is a run to start from; it replaces the spec's own
    `start_from`.
    Raises SpecError, which carries all problems. What is valid but probably unintended, such as
    a unit without a connection, is in the result's `warnings`.
    """
    options = Options(
        _strings("set", set),
        _strings("unset", unset),
        Path(data_root).absolute() if data_root is not None else None,
        memory_limit,
        widths,
        start,
    )
    if isinstance(spec, Mapping):
        text = dump_yaml(spec)
        return _checked(Document("spec", parse_text(text, "spec"), Path.cwd(), text), None, options)
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


def _below(section: Any, segment: Segment) -> Any:
    """What a segment of a path leads to in resolved data."""
    if not segment.item:
        return section[segment.text]
    if segment.text.isdecimal():
        return section[int(segment.text)]
    return next(item for item in section if item.get("name") == segment.text)


def _strings(name: str, given: Sequence[str]) -> tuple[str, ...]:
    wanted = "PATH=VALUE" if name == "set" else "PATH"
    if isinstance(given, str):
        raise TypeError(f'{name} takes a list of "{wanted}": {name}=[{given!r}]')
    if isinstance(given, Mapping) or not all(isinstance(text, str) for text in given):
        raise TypeError(f'{name} takes a list of "{wanted}", not {type(given).__name__}')
    return tuple(given)


def _checked(document: Document, path: Path | None, options: Options) -> Spec:
    """The spec in a document; raises SpecError with all problems of the whole and of its stages."""
    if (teller := document.root.entries.get(TELLER)) is not None:
        what = "this is an experiment, not a spec"
        place = teller.key_place or teller.place
        hint = "`netbuild sweep` runs it"
        raise SpecError([Problem("NB401", what, TELLER, place, hint)])
    locator = Locator(options.data_root)
    composed = Composed(document, locator, options.overrides, options.unset, options.start)

    def spec(context: Context, plan: Plan, stages: Sequence[Spec] = ()) -> Spec:
        parsed = context.parsed
        warnings = tuple(_in_order(context.warnings, composed)) if context is whole else ()
        found = Found(composed, parsed.tree, plan, tuple(stages))
        return Spec(
            *(parsed.spec, path, document.text, options, context.files, document.folder),
            *(warnings, found),
        )

    whole = Context(parse(composed), locator)
    plan = run_checks(whole, options.memory_limit, options.widths)
    problems = _in_order((*whole.parsed.problems, *whole.problems), composed)
    stages: list[Spec] = []
    training = whole.parsed.training
    parts = training.stages if isinstance(training, Training) and not options.widths else None
    for number, stage in enumerate(parts or ()):
        if len(problems) >= MOST_TOLD:
            break
        context = whole.of_stage(parse(composed, number))
        own = run_checks(context, options.memory_limit)
        is_right = not (context.parsed.problems or context.problems)
        if is_right and whole.parsed.spec is not None:
            before = [
                (whole.parsed.spec.training, plan),
                *((s.model.training, s.plan) for s in stages),
            ]
            check_stage(context, before, (context.parsed.spec.training, own))
            check_same_files(context, {record.path for record in whole.files.values()})
            stages.append(spec(context, replace(own, layers=plan.layers)))
        problems += [
            replace(problem, what=f"in stage `{stage.name}`: {problem.what}")
            for problem in _in_order((*context.parsed.problems, *context.problems), composed)
            if problem not in problems
        ]
    if problems:
        raise SpecError(problems, _in_order(whole.warnings, composed))
    assert whole.parsed.spec is not None
    assert len(plan.layers) == len(whole.parsed.spec.layers)  # else building would fail
    alone = [(whole.parsed.spec.training, plan)]
    check_selection(whole, [(stage.model.training, stage.plan) for stage in stages] or alone)
    return spec(whole, plan, stages)


def run_checks(
    context: Context, memory_limit: int | None = None, widths: NeurogymPlan | None = None
) -> Plan:
    """Check everything that concerns several fields, among those that could be parsed."""
    check_files(context)
    check_names(context)
    task: Any = context.parsed.task
    training: Any = context.parsed.training
    inputs = widths or (task.given(context) if task is not None else None)
    if training is not None:
        check_training(context, training, inputs)
    width = inputs.inputs if inputs else None
    network_input = network_input_of(context, width, inputs.channels if inputs else {})
    sources = check_sources(context, network_input, width)
    if not check_memory(context, sources, memory_limit):
        return Plan()
    before = len(context.problems)
    plans = _check_layers(context, sources)
    if len(context.problems) == before:  # else what is wrong may be the part that learns
        check_learning(context, plans)
    check_connections(context, plans)
    last = sources.get(len(context.parsed.layers) - 1)
    regularizers = check_regularizers(context, plans)
    output = last.gives if last else None
    planned = task.check(context, inputs, output, training) if task is not None else None
    check_sequences(context, planned)
    split = getattr(planned, "split", None)
    in_stages = training is not None and training.stages is not None
    scored = None if in_stages else split  # else each stage is checked separately
    start, trained_on = check_start(context, plans, scored)
    layers = {plan.name: plan for plan in plans.values()}
    size = network_input.size if network_input else 0
    return Plan(layers, regularizers, planned, start, size, trained_on)


def _check_layers(context: Context, sources: Mapping[int, LayerPlan]) -> dict[int, LayerPlan]:
    """The plan of each layer, with its maps; those whose maps cannot be told are left out."""
    plans: dict[int, LayerPlan] = {}
    for i, plan in sources.items():
        layer: Any = context.parsed.layers[i]
        found = layer.check(context.at("layers", i), plan)
        if found is not None:
            wired = context.connectomes.get(i)
            plans[i] = replace(found, report=wired.facts) if wired is not None else found
    return plans


def _in_order(problems: Iterable[Problem], composed: Composed) -> list[Problem]:
    """Files in the order in which they were read, then lines and columns."""
    ranks = {source: rank for rank, source in enumerate(composed.folders)}

    def order(problem: Problem) -> tuple[int, int, int]:
        place = problem.place or Place("")
        return ranks.get(place.source, len(ranks)), place.line, place.column

    return sorted(problems, key=order)
