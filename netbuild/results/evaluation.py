"""Score a checkpoint on the test trials, as the training that wrote it has scored itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.results.run import Run
from netbuild.runs.run import Which
from netbuild.training.loop import check_batch
from netbuild.training.losses import answers, score
from netbuild.training.trials import trial_columns

_BESIDE = ("step", "kind", "stage")  # in a line of the log


@dataclass(frozen=True)
class Evaluation:
    """The scores and the answers of a network in the test trials."""

    step: int  # of the weights
    stage: str  # of the training, "" without stages
    trials: int  # how many were scored
    values: dict[str, Any]  # loss, accuracy, and the accuracy in each of several `environments`
    logged: dict[str, Any] | None  # the same values in the log of the training, if it has them
    columns: dict[str, NDArray[np.generic]] = field(repr=False)  # (trial,) each, as in trials()


def evaluate(
    run: Run, checkpoint: Which = None, *, trials: int | None = None, device: str = "cpu"
) -> Evaluation:
    """Score a checkpoint of a run: of a step, "best" or "last", on the trials of its own stage.

    The trials are those that the training was scored on, or the first `trials` of them. With as
    many threads as the training had, on its machine, the scores equal those of its log bit for bit.
    Raises NetbuildError for damaged files and for a missing checkpoint.
    """
    run.refuse_missing_task()
    found = run.saved(checkpoint)
    network = run.network_of(found, device=device)
    name, part = run.part(found)
    batch = run.batch(trials, part=part)
    kind = part.model.training.loss
    check_batch(batch, network, kind)
    placed = batch.to(device if device != "auto" else next(network.parameters()).device)
    outputs = answers(network, placed.inputs)
    return Evaluation(
        step=found.step,
        stage=name,
        trials=len(batch.inputs),
        values=score(outputs, placed, kind),
        logged=_logged(run, found.step, name) if trials is None else None,
        columns=trial_columns(outputs.cpu(), batch, kind),
    )


def _logged(run: Run, step: int, stage: str) -> dict[str, Any] | None:
    """The values of an evaluation in the run's log; None where the log does not have it."""
    for line in run.records("evaluation", newest_first=True):
        if line["step"] == step and line.get("stage", "") == stage:
            return {key: value for key, value in line.items() if key not in _BESIDE}
    return None
