"""A checkpoint scored on the test trials, as the training that wrote it scored itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.runs.run import Run, Which, refuse_own_task
from netbuild.training.loop import check_batch
from netbuild.training.losses import answers, score
from netbuild.training.trials import trial_columns

_BESIDE = ("step", "kind", "stage")  # in a line of the log


@dataclass(frozen=True)
class Evaluation:
    """What a network with the weights of one step makes of the test trials."""

    step: int
    stage: str  # of the training, "" without stages
    trials: int  # how many were scored
    values: dict[str, Any]  # loss, accuracy, and that in each of several `environments`
    logged: dict[str, Any] | None  # the same as the training wrote it down, if it did
    columns: dict[str, NDArray[np.generic]] = field(repr=False)  # (trial,) each, as in trials()


def evaluate(
    run: Run, checkpoint: Which = None, *, trials: int | None = None, device: str = "cpu"
) -> Evaluation:
    """Score a checkpoint of a run: of a step, "best" or "last", on the trials of its own stage.

    They are the test trials of the training, the same every time, or the first `trials` of them.
    With the threads of the training, on its machine, the scores are those of its log, bit for bit.
    Raises NetbuildError for damaged files and for a checkpoint that there is not.
    """
    refuse_own_task(run)
    saved, files = run.saved(checkpoint)
    network = run.network_of(saved, files, device=device)
    name, part = run.part(saved)
    batch = run.batch(trials, part=part)
    check_batch(batch, network.input_dim)
    kind = part.model.training.loss
    placed = batch.to(device if device != "auto" else next(network.parameters()).device)
    outputs = answers(network, placed.inputs)
    step = saved.step
    return Evaluation(
        step=step,
        stage=name,
        trials=len(batch.inputs),
        values=score(outputs, placed, kind),
        logged=_logged(run, step, name) if trials is None else None,
        columns=trial_columns(outputs.cpu(), batch, kind),
    )


def _logged(run: Run, step: int, stage: str) -> dict[str, Any] | None:
    """The evaluation of a step in the run's log."""
    for line in run.records("evaluation", newest_first=True):
        if line["step"] == step and line.get("stage", "") == stage:
            return {key: value for key, value in line.items() if key not in _BESIDE}
    return None
