"""Training: steps as a stream of records, checkpoints, and the run directory."""

from netbuild.training.replay import Comparison, reproduce
from netbuild.training.resuming import fork, resume
from netbuild.training.run import Run, open_run
from netbuild.training.session import train
from netbuild.training.trainer import Record, Trainer

__all__ = [
    "Comparison",
    "Record",
    "Run",
    "Trainer",
    "fork",
    "open_run",
    "reproduce",
    "resume",
    "train",
]
