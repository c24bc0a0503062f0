"""Tasks: where the trials of training and evaluation come from."""

from netbuild.tasks.arrays import ArraysTask
from netbuild.tasks.neurogym import NeurogymTask, Prefetch
from netbuild.tasks.task import (
    Batch,
    Task,
    choices,
    correct,
    has_validation,
    right_choices,
    unseen_trials,
    validation_trials,
)

__all__ = [
    "ArraysTask",
    "Batch",
    "NeurogymTask",
    "Prefetch",
    "Task",
    "choices",
    "correct",
    "has_validation",
    "right_choices",
    "unseen_trials",
    "validation_trials",
]
