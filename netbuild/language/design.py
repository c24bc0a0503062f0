"""An experiment as it is read: its file, and the rules among its keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from netbuild.errors import DataFileError, Place, Problem, SpecError
from netbuild.language import formulas
from netbuild.language.compose import Composed
from netbuild.language.context import Locator
from netbuild.language.diagnose import problems_of, text_of
from netbuild.language.dump import dump_yaml, inline
from netbuild.language.experiment import (
    TELLER,
    ExperimentFile,
    Grid,
    Interval,
    IntUniform,
    LogUniform,
    Parameter,
    Values,
)
from netbuild.language.formulas import Formula
from netbuild.wording import near, show
from netbuild.yamltree.document import Document, parse, read
from netbuild.yamltree.nodes import Location, Node, plain
from netbuild.yamltree.paths import PathError, Tree, parse_path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
Steps = tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """An experiment without problems of its own; its points are still to be checked.

    `overrides` and `unset` are of the command line, and belong to every run.
    """

    model: ExperimentFile
    tree: Tree
    path: Path | None  # None: it was made from a spec and seeds
    text: str
    spec: Path
    formulas: Mapping[str, Formula]  # of `derive`, in an order in which they can be computed
    overrides: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    data_root: Path | None = None

    @property
    def name(self) -> str:
        """What the experiment is called."""
        return self.model.experiment

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each replicate."""
        seeds = self.model.seeds
        return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)

    def problem(
        self, code: str, location: Location, what: str, hint: str = "", *, key: bool = False
    ) -> Problem:
        """A problem at a location of the file."""
        return _problem(self.tree, code, location, what, hint, key=key)


def load_experiment(path: str | Path, data_root: str | Path | None = None) -> Experiment:
    """Read an experiment; raises SpecError with all problems of the file itself.

    The spec that it names is not read; `netbuild.language.points` does that.
    """
    document = read(Path(path), str(path))
    if TELLER not in document.root.entries:
        what = "this is no experiment: the key `experiment` is missing"
        hint = "`netbuild train` trains a spec; with `--seeds 5` it trains replicates"
        place = Place(document.source, 1, 1)
        raise SpecError([Problem("NB401", what, "", place, hint)])
    return _read(document, Path(path), Path(data_root).absolute() if data_root else None)


def replicates(
    spec: Path,
    name: str,
    seeds: int,
    overrides: Sequence[str] = (),
    unset: Sequence[str] = (),
    data_root: Path | None = None,
) -> Experiment:
    """The experiment that trains a spec with several seeds."""
    words = {"netbuild": 1, "experiment": name, "spec": spec.name, "seeds": seeds}
    text = dump_yaml(words)
    folder = spec.parent
    document = Document("--seeds", parse(text, "--seeds"), folder, text)
    found = _read(document, None, data_root)
    return replace(found, spec=spec, overrides=tuple(overrides), unset=tuple(unset))


def is_experiment(path: str | Path) -> bool:
    """Whether a file is an experiment and not a spec; raises SpecError where it is no YAML."""
    return TELLER in read(Path(path), str(path)).root.entries


def _read(document: Document, path: Path | None, data_root: Path | None) -> Experiment:
    locator = Locator(data_root)
    composed = Composed(replace(document, folder=document.folder.absolute()), locator)
    root, problems = composed.tree()
    tree = Tree(root)
    try:
        model = ExperimentFile.model_validate(plain(root))
    except ValidationError as error:
        problems += problems_of(error.errors(include_url=False, include_input=False), tree)
        raise SpecError(problems) from None
    problems += _paths(tree)
    trees, wrong = _formulas(model, tree)
    problems += [*wrong, *_spaces(model, tree), *_zips(model, tree), *_names(model, tree)]
    node = tree.at(("spec",))
    assert node is not None
    if path is not None:
        try:
            locator(model.spec, composed.folders.get(node.place.source, document.folder))
        except DataFileError as error:
            problems.append(_problem(tree, error.code, ("spec",), error.what, error.hint))
    if problems:
        raise SpecError(sorted(problems, key=_order))
    spec = _short(Path(node.place.source).parent / model.spec)
    return Experiment(model, tree, path, document.text, spec, trees, data_root=data_root)


def _short(path: Path) -> Path:
    """The path without `..`, where that is the same file."""
    short = Path(os.path.normpath(path))
    return short if os.path.realpath(short) == os.path.realpath(path) else path


def steps_of(path: str) -> Steps:
    """The steps of a path, the same for `layers.hidden` and `layers[hidden]`."""
    return tuple(segment.text for segment in parse_path(path))


# Rules


def _problem(
    tree: Tree, code: str, location: Location, what: str, hint: str = "", *, key: bool = False
) -> Problem:
    place = tree.place(location, key=key)
    return Problem(code, show(what, 500), tree.spell(location), place, show(hint, 500))


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.place or Place("")
    return place.source, place.line, place.column


def key_place(node: Node) -> Place:
    """The place of a key's first character, within its quotes if it has any."""
    place = node.key_place or node.place
    is_quoted = place.text[place.column - 1 : place.column] in ("'", '"')
    return replace(place, column=place.column + is_quoted)


def _paths(tree: Tree) -> Iterator[Problem]:
    """Paths that cannot be read, that are written twice, or that belong to another key."""
    known: dict[Steps, Location] = {}
    for section in ("parameters", "derive"):
        node = tree.at((section,))
        for path, value in node.entries.items() if node else ():
            try:
                steps = steps_of(path)
            except PathError as error:
                place = key_place(value)
                column = place.column + error.column - 1
                place = replace(place, column=column, end_column=column + 1)
                yield Problem("NB110", error.what, section, place, error.hint)
                continue
            where = (section, path)
            if steps == ("seed",):
                hint = "write the seeds under `seeds`"
                yield _problem(tree, "NB308", where, "`seeds` has the seeds", hint, key=True)
            elif steps == ("training", "track"):
                what, hint = "runs with other trackers are the same runs", "write it under `set`"
                yield _problem(tree, "NB308", where, what, hint, key=True)
            elif steps in known:
                what = f"the same path stands in `{tree.spell(known[steps])}`"
                yield _problem(tree, "NB308", where, what, "remove one of them", key=True)
            known.setdefault(steps, where)


def _spaces(model: ExperimentFile, tree: Tree) -> Iterator[Problem]:
    """Values of which there are none, or one twice; bounds that leave nothing between them."""
    if isinstance(model.seeds, list):
        for place in _twice(model.seeds):
            what = f"the seed {model.seeds[place]} is listed twice"
            yield _problem(tree, "NB402", ("seeds", place), what, "each replicate has its own")
    for path, parameter in model.parameters.items():
        where: Location = ("parameters", path)
        if isinstance(parameter, Values):
            if not parameter.values:
                yield _problem(tree, "NB402", where, "there is no value to try", key=True)
            for place in _twice([inline(value) for value in parameter.values]):
                shown = show(inline(parameter.values[place]), 40)
                what = f"the value `{shown}` is listed twice"
                yield _problem(tree, "NB402", (*where, "values", place), what, "remove one of them")
        else:
            yield from _bounds(parameter, tree, where)
            if isinstance(model.method, Grid):
                what = "a grid combines lists of values, and this is a distribution"
                hint = "write a list, or `method: {type: random, trials: 40}`"
                yield _problem(tree, "NB402", where, what, hint, key=True)
    if not isinstance(model.method, Grid) and not model.parameters:
        what = f"`{model.method.type}` combines parameters, and there are none"
        yield _problem(tree, "NB402", ("method",), what, "write `parameters`", key=True)
    if model.stop_early is not None and model.method.type == "tpe":
        what = "`tpe` proposes points from whole runs, and `stop_early` ends runs early"
        yield _problem(tree, "NB308", ("stop_early",), what, "remove one of them", key=True)


def _twice(values: Sequence[Any]) -> Iterator[int]:
    seen = set()
    for place, value in enumerate(values):
        if value in seen:
            yield place
        seen.add(value)


def _bounds(parameter: Any, tree: Tree, where: Location) -> Iterator[Problem]:
    if not isinstance(parameter, (Interval, IntUniform)):
        return
    if parameter.min >= parameter.max:
        what = f"`min` is not below `max`: {parameter.min:g} and {parameter.max:g}"
        yield _problem(tree, "NB402", (*where, "max"), what)
    if isinstance(parameter, LogUniform) and parameter.min <= 0:
        what = f"a logarithm needs `min` above 0, found {parameter.min:g}"
        yield _problem(tree, "NB402", (*where, "min"), what)


def _zips(model: ExperimentFile, tree: Tree) -> Iterator[Problem]:
    """Parameters that change together: they are lists of one length, and in one group only."""
    lists = {_steps(path): (path, parameter) for path, parameter in model.parameters.items()}
    grouped: set[Steps] = set()
    for i, group in enumerate(model.zip):
        lengths = {}
        for j, path in enumerate(group):
            where, steps = ("zip", i, j), _steps(path)
            if steps not in lists:
                what = f"`{show(path)}` is not one of the `parameters`"
                yield _problem(tree, "NB404", where, what, near(path, model.parameters))
                continue
            if steps in grouped:
                what = f"`{show(path)}` is zipped twice"
                yield _problem(tree, "NB402", where, what, "remove one of them")
            grouped.add(steps)
            parameter: Parameter = lists[steps][1]
            if isinstance(parameter, Values):
                lengths[path] = len(parameter.values)
            else:
                what = f"`{show(path)}` is a distribution, and only lists can be zipped"
                yield _problem(tree, "NB402", where, what)
        if len(set(lengths.values())) > 1:
            each = ", ".join(f"`{show(path)}` {count:,}" for path, count in lengths.items())
            what = f"lists that change together have one length; these have {each}"
            yield _problem(tree, "NB402", ("zip", i), what)


def _steps(path: str) -> Steps:
    try:
        return steps_of(path)
    except PathError:
        return (path,)


def _names(model: ExperimentFile, tree: Tree) -> Iterator[Problem]:
    for name in model.conditions:
        if not _NAME.fullmatch(name):
            what = f"`{show(name)}` cannot name a condition"
            hint = "letters, digits, `_`, `.` and `-`, at most 64"
            yield _problem(tree, "NB106", ("conditions", name), what, hint, key=True)
    if model.baseline is not None and model.baseline not in model.conditions:
        what = f"no condition is named `{show(model.baseline)}`"
        hint = near(model.baseline, model.conditions) or "write `conditions`"
        yield _problem(tree, "NB404", ("baseline",), what, hint)


# Formulas


def _formulas(model: ExperimentFile, tree: Tree) -> tuple[dict[str, Formula], list[Problem]]:
    """The formulas of `derive`, each after those that it reads, and what is wrong with them."""
    found: dict[str, Formula] = {}
    problems = []
    for path, written in model.derive.items():
        if not isinstance(written, str):
            found[path] = formulas.Constant(written)
            continue
        try:
            found[path] = formulas.parse_formula(written)
            for read_ in formulas.paths_in(found[path]):
                parse_path(read_.text)
        except PathError as error:
            problems.append(formula_problem(tree, path, error))
    ordered: dict[str, Formula] = {}
    for path in found:
        circle = _visit(path, found, ordered, ())
        if circle:
            names = " -> ".join(f"`{show(name)}`" for name in circle)
            where: Location = ("derive", path)
            problems.append(_problem(tree, "NB403", where, f"a circle: {names}", key=True))
            break
    return ordered, problems


def _visit(
    path: str, found: Mapping[str, Formula], ordered: dict[str, Formula], way: tuple[str, ...]
) -> tuple[str, ...]:
    """Add a formula after all that it reads; the circle that it is in, if it is in one."""
    if path in way:
        return (*way[way.index(path) :], path)
    if path in ordered:
        return ()
    others = {_steps(other): other for other in found}
    for read_ in formulas.paths_in(found[path]):
        other = others.get(_steps(read_.text))
        if other is not None and (circle := _visit(other, found, ordered, (*way, path))):
            return circle
    ordered[path] = found[path]
    return ()


def formula_problem(tree: Tree, path: str, error: PathError) -> Problem:
    """What is wrong with a formula, at the character of it where that is."""
    node = tree.at(("derive", path))
    assert node is not None
    place = node.place
    is_quoted = place.text[place.column - 1 : place.column] in ("'", '"')
    if place.text[place.column - 1 + is_quoted :].startswith(text_of(node)):  # on one line
        column = place.column + is_quoted + error.column - 1
        place = replace(place, column=column, end_column=column + 1)
    return Problem("NB403", show(error.what, 500), f"derive.{show(path)}", place, error.hint)
