"""Tasks: where the trials of training and evaluation come from."""

from netbuild.tasks.arrays import ArraysTask
from netbuild.tasks.choice import choices, correct, right_choices
from netbuild.tasks.neurogym import NeurogymTask
from netbuild.tasks.prefetch import Prefetch
from netbuild.tasks.task import Batch, Task, evaluation_batch

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
