"""Training: steps and stages as a stream of records."""

from netbuild.training.loop import Record, Trainer

__all__ = ["Record", "Trainer"]
