"""Training: steps as a stream of records, checkpoints, and the run directory."""

from netbuild.training.run import Run, open_run
from netbuild.training.session import train
from netbuild.training.trainer import Record, Trainer

__all__ = ["Record", "Run", "Trainer", "open_run", "train"]
