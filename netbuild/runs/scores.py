"""The final scores of a training: of its last and of its best weights, on each set of trials."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from netbuild import rundir
from netbuild.durable import reading
from netbuild.errors import NetbuildError
from netbuild.layers import Network
from netbuild.rundir import METRICS
from netbuild.runs.checkpoint import load_network, open_checkpoint
from netbuild.runs.log import records
from netbuild.runs.schema import Score, SetScores, without_nan
from netbuild.splits import TrialSet
from netbuild.training.loop import Trainer
from netbuild.training.progress import Best


def final_scores(trainer: Trainer, path: Path) -> dict[TrialSet, SetScores]:
    """The scores at the end of a training, whose run directory is `path`.

    Those of the trials that evaluations were of are in the trainer and in the log. Test trials are
    scored here if nothing has looked at them before; the best weights are then read from their
    checkpoint. If that is damaged, a RuntimeWarning says so, and their scores are left out.
    """
    progress, on = trainer.progress, trainer.evaluated
    if not progress.evaluations:
        return {}
    best = progress.best if progress.best and progress.best.stage == progress.stage else None
    last = _score(progress.step, progress.evaluations[-1])
    found: dict[TrialSet, SetScores] = {on: _set(last, _logged(path, best))}
    if on == "validation":
        last = _score(progress.step, trainer.scores("test"))
        chosen = last if best and best.step == progress.step else _of_best(trainer, path, best)
        found["test"] = _set(last, chosen)
    return found


def _of_best(trainer: Trainer, path: Path, best: Best | None) -> Score | None:
    """The score of the best weights on the test trials."""
    if best is None:
        return None
    folder = path / rundir.CHECKPOINTS / rundir.checkpoint_name(best.step)
    try:
        tensors = open_checkpoint(folder).tensors(rundir.NETWORK)
        with _weights(trainer.network, tensors, str(folder)):
            return _score(best.step, trainer.scores("test", trainer.answers("test")))
    except NetbuildError as error:
        what = str(error).partition("\n")[0]
        warnings.warn(f"the best weights are not scored: {what}", RuntimeWarning, stacklevel=2)
        return None


@contextmanager
def _weights(network: Network, tensors: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """A network with other weights, and with its own again after."""
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        load_network(network, tensors, where)
        yield
    finally:
        network.load_state_dict(own)


def _logged(path: Path, best: Best | None) -> Score | None:
    """The best evaluation, as the log has it."""
    if best is None:
        return None
    with reading(path / METRICS):
        for line in records(path / METRICS, "evaluation", newest_first=True):
            if line["step"] == best.step:
                return _score(best.step, line)
    return None


def _score(step: int, values: Mapping[str, Any]) -> Score:
    names = ("loss", "accuracy", "environments")
    known = {name: without_nan(values[name]) for name in names if name in values}
    return Score(step=step, **known)


def _set(last: Score, best: Score | None) -> SetScores:
    return SetScores(last=last) if best is None else SetScores(last=last, best=best)
