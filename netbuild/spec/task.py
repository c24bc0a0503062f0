"""The task: where inputs and targets come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.spec.base import Model, Seed, tag, told_by
from netbuild.spec.shorthand import Shorthand, array
from netbuild.spec.weights import Array, FileName


class TaskArray(Model):
    """One array of a data file, and how it is scaled."""

    file: FileName | None = Field(None, description="a file of its own", examples=["x.npy"])
    array: Array = None
    subtract: float = Field(0.0, description="subtracted first", examples=[0])
    divide: float = Field(1.0, description="then divided by", examples=[16])


class TargetArray(Model):
    """The targets: class numbers for cross_entropy, values for mse."""

    file: FileName | None = Field(None, description="a file of its own", examples=["y.npy"])
    array: Array = None


class Split(Model):
    """Which samples are trained on; the rest is the test set."""

    train: float = Field(0.8, gt=0, le=1, description="fraction trained on", examples=[0.8])
    seed: Seed | None = Field(
        None, description="a seed of its own; the spec's `seed` when left out", examples=[0]
    )


class Arrays(Model):
    """Samples from a file: inputs (sample, input) and targets (sample) or (sample, output)."""

    type: Literal["arrays"]
    file: FileName | None = Field(None, description="the data file", examples=["digits.npz"])
    inputs: Annotated[
        TaskArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = Field(description="what the network reads", examples=[{"array": "x", "divide": 16}])
    targets: Annotated[
        TargetArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = Field(description="what it should answer", examples=["y"])
    split: Split = Field(
        Split(), description="training and test samples", examples=[{"train": 0.8, "seed": 0}]
    )


Task = Annotated[Annotated[Arrays, tag(Arrays)], told_by("type", Arrays)]
