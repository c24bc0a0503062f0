"""Combinations that a tree-structured Parzen estimator proposes, by the extra `optuna`.

Each trial is seeded by its number and what was found before it, so that a sweep that was killed
continues as it would have, as long as trials are trained one after another.
"""

from __future__ import annotations

import json
from typing import Any

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments import folder as folders
from netbuild.experiments.backend import Backend
from netbuild.experiments.folder import ExperimentFolder, PointInfo, info_of
from netbuild.experiments.rows import mean_of
from netbuild.experiments.sweep import Sweep
from netbuild.language.experiment import TPE, IntUniform, LogUniform, Normal, Values
from netbuild.language.points import Points, proposed
from netbuild.streams import seed_of

WIDE = 4.0  # standard deviations of a normal distribution that are searched on each side


class Search(Sweep):
    """A sweep whose combinations are proposed one after another, by what the earlier ones found."""

    def carry_out(self) -> None:
        """Train one proposed combination after another; raises NetbuildError without optuna."""
        optuna = _optuna()
        experiment = self.points.experiment
        method = experiment.model.method
        assert isinstance(method, TPE)
        space = {path: _distribution(p) for path, p in experiment.model.parameters.items()}
        study = optuna.create_study(direction="minimize" if self.points.minimizes else "maximize")
        known = _known(self)
        infos: list[PointInfo] = []
        for number in range(method.trials):
            if number in known:
                chosen = _chosen(known[number], experiment.model.parameters)
            else:
                seed = seed_of(method.seed, "tpe", number) % 2**32
                study.sampler = optuna.samplers.TPESampler(seed=seed)
                chosen = dict(study.ask(space).params)
            points = proposed(experiment, _values(self, chosen))
            infos += [info_of(point, number) for point in points]
            self.about = folders.write(self.folder, self.points, infos)
            self.status = self.begun(infos, method.trials)
            self.train(points)
            if self.stop:
                return
            value = mean_of(self.rows.of(point.hash).score(self.about.score) for point in points)
            states = optuna.trial.TrialState
            trial = optuna.trial.create_trial(
                params=chosen,
                distributions=space,
                value=value,
                state=states.FAIL if value is None else states.COMPLETE,
            )
            study.add_trial(trial)


def sweep_of(folder: ExperimentFolder, points: Points, backend: Backend, **options: Any) -> Sweep:
    """The sweep of an experiment, by its method; options are those of `Sweep`."""
    searches = isinstance(points.experiment.model.method, TPE)
    return (Search if searches else Sweep)(folder, points, backend, **options)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        what, hint = "`method: tpe` needs optuna", "pip install 'netbuild[optuna]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _known(sweep: Sweep) -> dict[int, list[PointInfo]]:
    """The points of trials that an earlier command has proposed, by their numbers."""
    try:
        about = sweep.folder.about()
    except NetbuildError:
        return {}
    found: dict[int, list[PointInfo]] = {}
    for point in about.points:
        if point.trial is not None:
            found.setdefault(point.trial, []).append(point)
    return found


def _distribution(parameter: Any) -> Any:
    """optuna's distribution of a parameter; values are chosen by their position in the list."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Values):
        return CategoricalDistribution(list(range(len(parameter.values))))
    if isinstance(parameter, IntUniform):
        return IntDistribution(parameter.min, parameter.max)
    if isinstance(parameter, Normal):
        wide = WIDE * parameter.std
        return FloatDistribution(parameter.mean - wide, parameter.mean + wide)
    return FloatDistribution(parameter.min, parameter.max, log=isinstance(parameter, LogUniform))


def _values(sweep: Sweep, chosen: dict[str, Any]) -> dict[str, Any]:
    """The values that were chosen, where those of lists are positions."""
    found = {}
    for path, value in chosen.items():
        parameter = sweep.points.experiment.model.parameters[path]
        found[path] = parameter.values[value] if isinstance(parameter, Values) else value
    return found


def _chosen(points: list[PointInfo], parameters: Any) -> dict[str, Any]:
    """What optuna had chosen for the points of a trial."""
    found = {}
    for path, parameter in parameters.items():
        value = points[0].parameters[path]
        if isinstance(parameter, Values):
            texts = [json.dumps(each) for each in parameter.values]
            value = texts.index(json.dumps(value))
        found[path] = value
    return found
