"""The points of an experiment: the spec with overrides, one for each combination and seed.

Every override of a point is a `PATH=VALUE`, so that a point can be trained, and trained again, by
the spec's file and its overrides alone. A problem of a point is told at the place in the experiment
where the override is written.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netbuild.errors import Place, Problem, SpecError
from netbuild.language.checked import Spec, load
from netbuild.language.compose import Composed
from netbuild.language.context import Locator
from netbuild.language.design import Experiment, Steps, formula_problem, key_place, steps_of
from netbuild.language.dump import inline
from netbuild.language.experiment import (
    TPE,
    Condition,
    Grid,
    IntUniform,
    LogUniform,
    Normal,
    Random,
    Uniform,
    Values,
)
from netbuild.language.formulas import Number, Path, compute, paths_in
from netbuild.language.grammar import slot_at
from netbuild.language.needs import files_of
from netbuild.language.training import has_accuracy
from netbuild.streams import rng_of
from netbuild.wording import show
from netbuild.yamltree.document import Document, read
from netbuild.yamltree.nodes import Location, Node, kind_of, plain
from netbuild.yamltree.paths import PathError, follow, parse_path

MOST_POINTS = 10_000  # without being asked for
MOST_TOLD = 50  # distinct problems, after which no more points are looked at
_SET = re.compile(r"--set #(\d+)")


@dataclass(frozen=True)
class Point:
    """One run: the overrides of its spec, and what tells it from the others."""

    condition: str  # "" without conditions
    draw: int | None  # of an ensemble of null models
    seed: int
    parameters: Mapping[str, Any]  # by path as the experiment writes it; derived ones too
    overrides: tuple[str, ...]
    hash: str  # of its resolved spec
    steps: int | None  # None where `epochs` or stages say how long
    files: tuple[str, ...]  # that its spec reads, as `files_of` has them

    @property
    def setting(self) -> tuple[Any, ...]:
        """What its replicates share."""
        return self.condition, self.draw, inline(dict(self.parameters))


@dataclass(frozen=True)
class Points:
    """All points of an experiment, and warnings about them."""

    experiment: Experiment
    points: tuple[Point, ...]
    warnings: tuple[Problem, ...]
    metric: str  # "accuracy" or "loss"
    first: Spec  # of the first point

    @property
    def minimizes(self) -> bool:
        """Whether a smaller score is better."""
        goal = self.experiment.model.metric.goal
        return goal == "minimize" or (goal is None and self.metric == "loss")


@dataclass(frozen=True)
class _Override:
    """A path, its value, and where both are written in the experiment."""

    path: str
    value: Any
    path_place: Place
    node: Node  # of the value

    @property
    def text(self) -> str:
        return f"{self.path}={inline(self.value)}"


Combination = Mapping[str, tuple[Any, Node]]  # a value for each parameter, and where it stands


def points_of(
    experiment: Experiment,
    *,
    many: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Points:
    """Every point, checked; raises SpecError with the problems of all of them.

    `told` is called with how many settings are checked, of how many. More than 10,000 points are
    refused unless `many`. Of `tpe`, whose points are not known before, the first ones are those at
    the bounds of the parameters, and none is returned.
    """
    model = experiment.model
    is_open = isinstance(model.method, TPE)
    combinations = list(_corners(experiment)) if is_open else list(_combinations(experiment))
    arms = list(_arms(experiment))
    count = len(arms) * len(combinations) * len(experiment.seeds)
    if count > MOST_POINTS and not many:
        what = f"{count:,} runs"
        hint = f"`--yes` starts more than {MOST_POINTS:,}"
        raise SpecError([experiment.problem("NB405", ("experiment",), what, hint)])
    checker = Checker(experiment)
    settings = [(*arm, each) for arm in arms for each in combinations]
    found: list[Point] = []
    for done, (condition, draw, combination) in enumerate(settings):
        told(done, len(settings))
        found += checker.check(condition, draw, combination)
        if len(checker.problems) > MOST_TOLD:
            break
    if checker.problems:
        raise SpecError(checker.counted(checker.problems), checker.counted(checker.warnings))
    assert checker.first is not None
    return Points(
        experiment,
        () if is_open else tuple(found),
        checker.counted(checker.warnings),
        checker.metric or "accuracy",
        checker.first,
    )


def proposed(experiment: Experiment, values: Mapping[str, Any]) -> list[Point]:
    """The points of one combination that an estimator proposes; raises SpecError."""
    nodes = {
        path: (value, experiment.tree.at(("parameters", path)) or Node(None, Place("")))
        for path, value in values.items()
    }
    checker = Checker(experiment)
    found = [point for arm in _arms(experiment) for point in checker.check(arm[0], arm[1], nodes)]
    if checker.problems:
        raise SpecError(checker.counted(checker.problems))
    return found


def _arms(experiment: Experiment) -> Iterator[tuple[str, int | None]]:
    """Each condition, and each draw of its ensemble."""
    conditions = experiment.model.conditions or {"": Condition()}
    for name, condition in conditions.items():
        yield from (
            (name, draw) for draw in (range(condition.draws) if condition.draws else [None])
        )


# Combinations


def _combinations(experiment: Experiment) -> Iterator[Combination]:
    """The values of the parameters, by a grid or at random."""
    method = experiment.model.method
    groups = _groups(experiment)
    if isinstance(method, Grid):
        lists = [_listed(experiment, group) for group in groups]
        for chosen in itertools.product(*lists):
            yield {path: each for part in chosen for path, each in part.items()}
        return
    assert isinstance(method, Random)
    for trial in range(method.trials):
        drawn: dict[str, tuple[Any, Node]] = {}
        for group in groups:
            rng = rng_of(method.seed, "experiment", trial, group[0])
            drawn |= _drawn(experiment, group, rng)
        yield drawn


def _groups(experiment: Experiment) -> list[tuple[str, ...]]:
    """The parameters that change together, in the order of the file."""
    model = experiment.model
    spelled = {steps_of(path): path for path in model.parameters}
    zipped = [tuple(spelled[steps_of(path)] for path in group) for group in model.zip]
    found: list[tuple[str, ...]] = []
    for path in model.parameters:
        group = next((group for group in zipped if path in group), (path,))
        if group not in found:
            found.append(group)
    return found


def _listed(experiment: Experiment, group: Sequence[str]) -> list[dict[str, tuple[Any, Node]]]:
    """The values of a group of lists, one after another."""
    lists = {path: _values(experiment, path) for path in group}
    return [
        {path: (values[i], _node(experiment, path, i)) for path, values in lists.items()}
        for i in range(len(lists[group[0]]))
    ]


def _values(experiment: Experiment, path: str) -> list[Any]:
    parameter = experiment.model.parameters[path]
    assert isinstance(parameter, Values)
    return parameter.values


def _node(experiment: Experiment, path: str, position: int | None = None) -> Node:
    """The node of a parameter, or of one of its values."""
    whole = experiment.tree.at(("parameters", path))
    node = experiment.tree.at(("parameters", path, "values", position or 0))
    return (node if position is not None else None) or whole or Node(None, Place(""))


def _drawn(experiment: Experiment, group: Sequence[str], rng: Any) -> dict[str, tuple[Any, Node]]:
    parameter = experiment.model.parameters[group[0]]
    if isinstance(parameter, Values):
        lists = _listed(experiment, group)
        return lists[int(rng.integers(len(lists)))]
    value: Number
    if isinstance(parameter, IntUniform):
        value = int(rng.integers(parameter.min, parameter.max, endpoint=True))
    elif isinstance(parameter, Normal):
        value = float(rng.normal(parameter.mean, parameter.std))
    elif isinstance(parameter, LogUniform):
        low, high = math.log(parameter.min), math.log(parameter.max)
        value = math.exp(rng.uniform(low, high))
    else:
        value = float(rng.uniform(parameter.min, parameter.max))
    return {group[0]: (value, _node(experiment, group[0]))}


def _corners(experiment: Experiment) -> Iterator[Combination]:
    """The combinations of all lowest, and of all highest values."""
    for end in (0, -1):
        chosen: dict[str, tuple[Any, Node]] = {}
        for path, parameter in experiment.model.parameters.items():
            if isinstance(parameter, Values):
                place = end % len(parameter.values)
                chosen[path] = parameter.values[place], _node(experiment, path, place)
            elif isinstance(parameter, (Uniform, LogUniform, IntUniform)):
                value = (parameter.min, parameter.max)[end]
                chosen[path] = value, _node(experiment, path)
            else:
                chosen[path] = parameter.mean, _node(experiment, path)
        yield chosen


# One setting


class Checker:
    """Checks settings one after another, and gathers their problems and how many share each."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problems: Counter[Problem] = Counter()
        self.warnings: Counter[Problem] = Counter()
        self.checked = 0
        self.metric = experiment.model.metric.name
        self.first: Spec | None = None
        self._document: Document | None = None

    def counted(self, found: Mapping[Problem, int]) -> tuple[Problem, ...]:
        """The problems, each with how many of the settings have it."""
        return tuple(
            problem
            if self.checked == 1
            else replace(problem, what=f"{problem.what} (in {_share(count, self.checked)})")
            for problem, count in found.items()
        )

    def check(self, condition: str, draw: int | None, combination: Combination) -> list[Point]:
        """The points of a setting, one for each seed; none where it has problems."""
        self.checked += 1
        overrides = self._overrides(condition, combination)
        try:
            overrides += self._draws(condition, draw, overrides)
            derived = self._derived(overrides)
        except SpecError as error:
            self.problems.update(dict.fromkeys(error.problems, 1))
            return []
        values = {path: value for path, (value, _) in combination.items()}
        values |= {each.path: each.value for each in derived}
        own = [*overrides, *derived]
        points: list[Point] = []
        spec: Spec | None = None
        files: tuple[str, ...] = ()
        for seed in self.experiment.seeds:
            texts = self._texts(own, seed)
            if spec is None or self._reads_seed:
                try:
                    spec = self._loaded(texts, own)
                    files = files_of(spec)
                except SpecError as error:
                    located = (self._located(each, own) for each in error.problems)
                    self.problems.update(dict.fromkeys(located, 1))
                    return []
            found = _with_seed(spec, seed, texts)
            steps = found.model.training.steps
            points.append(Point(condition, draw, seed, values, texts, found.hash, steps, files))
        return points

    @property
    def _reads_seed(self) -> bool:
        """Whether a formula reads the seed, so that replicates differ in more than it."""
        return any(
            steps_of(path.text)[-1] == "seed"
            for formula in self.experiment.formulas.values()
            for path in paths_in(formula)
        )

    def _texts(self, own: Sequence[_Override], seed: int) -> tuple[str, ...]:
        return (*(each.text for each in own), *self.experiment.overrides, f"seed={seed}")

    def _overrides(self, condition: str, combination: Combination) -> list[_Override]:
        """What the file, the condition and the parameters say, in this order."""
        tree = self.experiment.tree
        found: list[_Override] = []
        where: list[Location] = [("set",)]
        if condition:
            where.append(("conditions", condition, "set"))
        for location in where:
            section = tree.at(location)
            for path, node in section.entries.items() if section else ():
                found.append(_Override(path, plain(node), key_place(node), node))
        for path, (value, node) in combination.items():
            whole = tree.at(("parameters", path)) or node
            found.append(_Override(path, value, key_place(whole), node))
        return found

    def _tree(self, overrides: Sequence[_Override]) -> Node:
        """The spec's tree with these overrides, as far as they can be applied."""
        experiment = self.experiment
        if self._document is None:
            document = read(experiment.spec, str(experiment.spec))
            self._document = replace(document, folder=document.folder.absolute())
        texts = [*(each.text for each in overrides), *experiment.overrides]
        locator = Locator(experiment.data_root)
        return Composed(self._document, locator, texts, experiment.unset).tree()[0]

    def _draws(
        self, condition: str, draw: int | None, overrides: Sequence[_Override]
    ) -> list[_Override]:
        """The seed of each null model of a condition, in one of its draws."""
        if draw is None:
            return []
        where = ("conditions", condition, "draws")
        node = self.experiment.tree.at(where)
        assert node is not None
        found = []
        layers = self._tree(overrides).entries.get("layers")
        for i, layer in enumerate(layers.items if layers else ()):
            control = layer.at(("connectome", "control"))
            if control is None or not control.entries:
                continue
            first = control.entries.get("seed")
            base = first.value if first is not None and isinstance(first.value, int) else 0
            path = f"layers[{i}].connectome.control.seed"
            found.append(_Override(path, base + draw, key_place(node), node))
        if not found:
            what = "no layer of this condition has a null model, so each draw would be the same"
            hint = "write `connectome: {control: {rewire: degree_preserving}}` in its `set`"
            raise SpecError([self.experiment.problem("NB404", where, what, hint)])
        return found

    def _derived(self, overrides: Sequence[_Override]) -> list[_Override]:
        """The values of the formulas, each of which may read the ones before it."""
        experiment = self.experiment
        found: list[_Override] = []
        if not experiment.formulas:
            return found
        root = self._tree(overrides)
        known: dict[Steps, Number] = {}
        for path, formula in experiment.formulas.items():
            node = experiment.tree.at(("derive", path))
            assert node is not None
            try:
                value = compute(formula, lambda read_: _looked_up(root, known, read_))
            except PathError as error:
                raise SpecError([formula_problem(experiment.tree, path, error)]) from None
            known[steps_of(path)] = value
            found.append(_Override(path, value, key_place(node), node))
        return found

    def _loaded(self, texts: Sequence[str], own: Sequence[_Override]) -> Spec:
        """The spec of a setting, checked, and its warnings noted; raises SpecError."""
        experiment = self.experiment
        spec = load(experiment.spec, texts, unset=experiment.unset, data_root=experiment.data_root)
        problems = list(self._of_experiment(spec))
        if problems:
            raise SpecError(problems)
        located = (self._located(each, own) for each in spec.warnings)
        self.warnings.update(dict.fromkeys(located, 1))
        self.first = self.first or spec
        return spec

    def _of_experiment(self, spec: Spec) -> Iterator[Problem]:
        """What the experiment asks for and the spec does not have."""
        experiment, training = self.experiment, spec.model.training
        if spec.model.task is None:
            what = "the spec has no `task` to train on"
            yield experiment.problem("NB404", ("spec",), what, "write `task:` in the spec")
            return
        part = spec.stages[-1] if spec.stages else spec
        can_be_right = has_accuracy(part.model.task, part.model.training, part.plan.task)
        if self.metric is None:
            self.metric = "accuracy" if can_be_right else "loss"
        if self.metric == "accuracy" and not can_be_right:
            what = "this task has no accuracy, since its answers are values, not choices"
            yield experiment.problem("NB404", ("metric", "name"), what, "write `name: loss`")
        if experiment.model.metric.on == "validation" and not has_validation(spec):
            what = "this spec has no validation trials"
            hint = "write `split: {train: 0.7, validation: 0.15}` in its task"
            yield experiment.problem("NB404", ("metric", "on"), what, hint)
        halving = experiment.model.stop_early
        if halving is None:
            return
        where, every = ("stop_early", "min_steps"), training.evaluate.every
        if training.steps is None:
            what = "the steps are counted, and the spec does not say `training: {steps: ...}`"
            yield experiment.problem("NB404", ("stop_early",), what, key=True)
        elif halving.min_steps >= training.steps:
            what = f"every run would be whole: it has {training.steps:,} steps"
            yield experiment.problem("NB402", where, what)
        if every is None or every > halving.min_steps:
            when = (
                "there are none before the end" if every is None else f"the first is of {every:,}"
            )
            what = f"scores after {halving.min_steps:,} steps are compared, and {when}"
            hint = f"write `evaluate: {{every: {halving.min_steps}}}` in `training` of the spec"
            yield experiment.problem("NB402", where, what, hint)

    def _located(self, problem: Problem, own: Sequence[_Override]) -> Problem:
        """A problem of a spec, told where its override is written."""

        def named(match: re.Match[str]) -> str:
            number = int(match[1]) - 1
            return own[number].path if number < len(own) else match[0]

        problem = replace(
            problem, what=_SET.sub(named, problem.what), hint=_SET.sub(named, problem.hint)
        )
        match = _SET.fullmatch(problem.place.source) if problem.place else None
        if match is None or problem.place is None:
            return problem
        number = int(match[1]) - 1
        if number >= len(own):
            beyond = number - len(own) - len(self.experiment.overrides)
            place = self.experiment.tree.place(("seeds",)) if beyond == 0 else problem.place
            return replace(problem, place=place)
        override = own[number]
        column = problem.place.column - 1
        if column < len(override.path):
            first = override.path_place.column + column
            width = max(problem.place.end_column - problem.place.column, 1)
            place = replace(override.path_place, column=first, end_column=first + width)
        else:
            place = _below(override, problem.path).place
        return replace(problem, place=place)


def _share(count: int, total: int) -> str:
    if count == total:
        return "both settings" if total == 2 else f"all {total:,} settings"
    return f"{count:,} of {total:,} settings"


def _below(override: _Override, path: str) -> Node:
    """The node of an override's value that a path of the spec leads to, or the nearest above."""
    node = override.node
    try:
        rest = steps_of(path)[len(steps_of(override.path)) :]
    except PathError:
        return node
    for step in rest:
        part: str | int = int(step) if step.isdecimal() and node.items else step
        child = node.child(part)
        if child is None:
            break
        node = child
    return node


def _looked_up(root: Node, known: Mapping[Steps, Number], read_: Path) -> Number:
    """The number at a path of a spec, or its default; raises PathError."""
    steps = steps_of(read_.text)
    if steps in known:
        return known[steps]
    segments = parse_path(read_.text)
    try:
        location = follow(root, read_.text)
        node = root.at(location)
        value = None if node is None else _unwrapped(node)
        found = kind_of(node) if node is not None else "nothing"
    except PathError as error:
        default = _default(root, [segment.text for segment in segments])
        if default is None:
            raise PathError(error.what, read_.column + error.column - 1, error.hint) from None
        value, found = default, "no number"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        what = f"`{show(read_.text)}` is {found}, and a formula computes with numbers"
        raise PathError(what, read_.column)
    return value


def _unwrapped(node: Node) -> Any:
    """A value, out of the section that its short form means: `tau: 100`."""
    if node.short and "value" in node.entries:
        return node.entries["value"].value
    return node.value


def _default(root: Node, steps: Sequence[str]) -> Any:
    """The default of a key that is not written; None where there is none."""
    for length in range(len(steps) - 1, 0, -1):
        try:
            location = follow(root, ".".join(steps[:length]))
        except PathError:
            continue
        slot = slot_at(root, (*location, *steps[length:]))
        info = slot.info if slot is not None else None
        return None if info is None or info.is_required() else info.default
    slot = slot_at(root, tuple(steps))
    info = slot.info if slot is not None else None
    return None if info is None or info.is_required() else info.default


def has_validation(spec: Spec) -> bool:
    """Whether a spec keeps validation trials, which are neither trained on nor test trials."""
    task: Any = spec.model.task
    return not hasattr(task, "split") or getattr(task.split, "validation", None) is not None


def _with_seed(spec: Spec, seed: int, texts: tuple[str, ...]) -> Spec:
    """The spec of another replicate, which is checked again where it is built."""
    if spec.model.seed == seed:
        return spec
    return replace(
        spec,
        model=spec.model.model_copy(update={"seed": seed}),
        options=replace(spec.options, overrides=texts),
        _found=None,
    )
