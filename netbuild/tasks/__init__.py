"""Tasks: where the trials of training and evaluation come from."""

from netbuild.tasks.arrays import ArraysTask
from netbuild.tasks.task import Batch, Task, evaluation_batch

__all__ = ["ArraysTask", "Batch", "Task", "evaluation_batch"]
