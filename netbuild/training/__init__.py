"""Training: steps and stages as a stream of records."""

from netbuild.training.trainer import Record, Trainer

__all__ = ["Record", "Trainer"]
