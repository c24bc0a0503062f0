"""Score a checkpoint on test or validation trials, as the training that wrote it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.results.run import Run
from netbuild.runs.run import Which
from netbuild.splits import TrialSet
from netbuild.training.loop import check_batch
from netbuild.training.losses import answers, score
from netbuild.training.trials import trial_columns

_BESIDE = ("step", "kind", "stage", "on")  # in a line of the log


@dataclass(frozen=True)
class Evaluation:
    """The scores and the answers of a network in trials."""

    step: int  # of the weights
    stage: str  # of the training, "" without stages
    on: TrialSet
    trials: int  # how many were scored
    values: dict[str, Any]  # loss, accuracy, and the accuracy in each of several `environments`
    logged: dict[str, Any] | None  # the same values as the training wrote them, if it did
    columns: dict[str, NDArray[np.generic]] = field(repr=False)  # (trial,) each, as in trials()


def evaluate(
    run: Run,
    checkpoint: Which = None,
    *,
    trials: int | None = None,
    device: str = "cpu",
    on: TrialSet = "test",
) -> Evaluation:
    """Score a checkpoint of a run: of a step, "best" or "last", on the trials of its own stage.

    The trials are the test or the validation trials of the training, or the first `trials` of them.
    With as many threads as the training had, on its machine, the scores equal those that it wrote
    into its log and into `run.json`, bit for bit; with `evaluate: {noise: true}`, if all trials are
    scored. Raises NetbuildError for damaged files, for a missing checkpoint, and for validation
    trials of a run that has none.
    """
    run.refuse_missing_task()
    found = run.saved(checkpoint)
    network = run.network_of(found, device=device)
    name, part = run.part(found)
    batch = run.batch(trials, part=part, of=on)
    training = part.model.training
    kind, noise = training.loss, on if training.evaluate.noise else None
    check_batch(batch, network, kind)
    placed = batch.to(device if device != "auto" else next(network.parameters()).device)
    outputs = answers(network, placed.inputs, noise=noise)
    return Evaluation(
        step=found.step,
        stage=name,
        on=on,
        trials=len(batch.inputs),
        values=score(outputs, placed, kind),
        logged=_logged(run, found.step, name, on) if trials is None else None,
        columns=trial_columns(outputs.cpu(), batch, kind),
    )


def _logged(run: Run, step: int, stage: str, on: TrialSet) -> dict[str, Any] | None:
    """The scores that a run has of a step, in its log or at its end; None where it has none."""
    for line in run.records("evaluation", newest_first=True):
        is_same = line["step"] == step and line.get("stage", "") == stage
        if is_same and line.get("on", "test") == on:
            return {key: value for key, value in line.items() if key not in _BESIDE}
    for final in run.scores.get(on, {}).values():
        if final["step"] == step:
            return {key: value for key, value in final.items() if key not in _BESIDE}
    return None
