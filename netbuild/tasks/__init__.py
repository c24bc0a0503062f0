"""Tasks: where the trials of training and evaluation come from."""

from netbuild.tasks.arrays import ArraysTask
from netbuild.tasks.neurogym import NeurogymTask, Prefetch
from netbuild.tasks.task import Batch, Task, choices, correct, evaluation_batch, right_choices

__all__ = [
    "ArraysTask",
    "Batch",
    "NeurogymTask",
    "Prefetch",
    "Task",
    "choices",
    "correct",
    "evaluation_batch",
    "right_choices",
]
