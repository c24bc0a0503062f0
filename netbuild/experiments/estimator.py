"""Combinations that a tree-structured Parzen estimator proposes, by the extra `optuna`.

Each trial is seeded by its number and what was found before it, so that a sweep that was killed
continues as it would have, as long as trials are trained one after another.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments import folder as folders
from netbuild.experiments.folder import PointInfo, info_of
from netbuild.experiments.rows import mean_of
from netbuild.language.experiment import TPE, IntUniform, LogUniform, Normal, Values
from netbuild.language.points import proposed
from netbuild.streams import seed_of

if TYPE_CHECKING:
    from netbuild.experiments.sweep import Sweep

WIDE = 4.0  # standard deviations of a normal distribution that are searched on each side


def estimate(sweep: Sweep, method: TPE) -> None:
    """Train one proposed combination after another; raises NetbuildError without optuna."""
    try:
        import optuna
    except ImportError:
        what = "`method: tpe` needs optuna"
        hint = "pip install 'netbuild[optuna]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    experiment = sweep.points.experiment
    space = {path: _distribution(p) for path, p in experiment.model.parameters.items()}
    direction = "minimize" if sweep.points.minimizes else "maximize"
    study = optuna.create_study(direction=direction)
    known = _known(sweep)
    infos: list[PointInfo] = []
    for number in range(method.trials):
        if number in known:
            chosen = _chosen(known[number], experiment.model.parameters)
        else:
            seed = seed_of(method.seed, "tpe", number) % 2**32
            study.sampler = optuna.samplers.TPESampler(seed=seed)
            chosen = dict(study.ask(space).params)
        points = proposed(experiment, _values(sweep, chosen))
        infos += (info_of(point, number) for point in points)
        sweep.about = folders.write(sweep.folder, sweep.points, infos)
        sweep.status = sweep.begun(infos, method.trials)
        sweep.train(points)
        if sweep.stop:
            return
        value = mean_of(sweep.rows.of(point.hash).score(sweep.about.score) for point in points)
        state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(params=chosen, distributions=space, value=value, state=state)
        )


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
