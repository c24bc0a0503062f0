"""Where a training stands: plain data, a part of the `state.json` of each checkpoint."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, model_validator
from typing_extensions import TypedDict

from netbuild.language.training import Training

Count = Annotated[NonNegativeInt, Field(strict=True)]


def _nan_for_null(value: object) -> object:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_nan_for_null), Field(strict=True)]  # JSON has no NaN


class Scores(TypedDict):
    """The scores of an evaluation; a number is NaN where nothing could be scored.

    The loss of a new evaluation is None where no step of the test trials counts.
    """

    loss: Number
    accuracy: NotRequired[Number]
    environments: NotRequired[dict[str, Number]]


class Best(BaseModel):
    """The best evaluation of a stage."""

    step: Count
    stage: Count
    metric: str
    value: Annotated[float, Field(strict=True)]
    loss: Annotated[float, Field(strict=True)] | None

    @property
    def merit(self) -> tuple[float, float]:
        """The number by which evaluations of the same metric are compared; larger is better."""
        loss = math.inf if self.loss is None else self.loss
        return (-loss if self.metric == "loss" else self.value), -loss


class Progress(BaseModel):
    """Where a training stands, without its weights and the state of its optimizer.

    Batches, random numbers and learning rates are functions of the step, and need not be saved.
    """

    model_config = ConfigDict(extra="ignore")

    step: Count = 0  # optimizer steps taken
    stage: Count = 0  # the number of the current stage
    start: Count = 0  # the step that this stage began at
    ended: Literal["", "finished", "stopped early"] = ""  # how the stage has ended, if it has
    evaluations: list[Scores] = []  # those of this stage that still count, oldest first
    best: Best | None = None

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if self.start > self.step:
            raise ValueError("a step before the stage began")
        return self

    def enter_next_stage(self) -> None:
        """Begin the next stage at the present step."""
        self.stage, self.start, self.ended, self.evaluations = self.stage + 1, self.step, "", []

    def score(self, scores: dict[str, Any], training: Training) -> bool:
        """Record an evaluation of the present step; returns whether it is the best of its stage.

        Of evaluations with the same accuracy the lower loss is better, and of equal ones the first.
        """
        rule = training.stop_when
        metric = rule.metric if rule is not None else "accuracy"
        value, loss = scores.get(metric), scores["loss"]
        if value is None or math.isnan(value):  # no trial has a right answer
            metric, value = "loss", loss
        if value is None:  # no step of the test trials counts
            return False
        found = Best(step=self.step, stage=self.stage, metric=metric, value=value, loss=loss)
        best = self.best
        comparable = best is not None and (best.stage, best.metric) == (self.stage, metric)
        if best is not None and comparable and not found.merit > best.merit:
            return False
        self.best = found
        return True
