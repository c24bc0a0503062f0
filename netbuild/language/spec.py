"""The whole spec: its sections, and the two keys of a file that are resolved away."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from netbuild.language.base import Model, Positive, Seed
from netbuild.language.layers import Layer
from netbuild.language.regularizers import RegularizerSpec
from netbuild.language.shorthand import Shorthand, listed
from netbuild.language.start import StartFrom
from netbuild.language.task import Task
from netbuild.language.training import Training

LANGUAGE_VERSION = 1


class NetworkSpec(Model):
    """A network and its training, in one file."""

    # Not `Literal[1]`, to which `true` and `1.0` are equal.
    netbuild: int = Field(
        ge=LANGUAGE_VERSION,
        le=LANGUAGE_VERSION,
        description="version of this language",
        examples=[LANGUAGE_VERSION],
        json_schema_extra={"const": LANGUAGE_VERSION},
    )
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=64)] = Field(
        "network",
        description="letters, digits, `_`, `.` and `-`; names the folder of its runs",
        examples=["ei-decision"],
    )
    seed: Seed = Field(0, description="every random draw follows from it", examples=[7])
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        description="`auto` takes CUDA where there is one",
        examples=["cpu"],
    )
    dt: Positive | None = Field(
        None,
        description="one time step, in ms: the task's and the layers', whose alpha is dt / tau",
        examples=[20],
    )
    task: Task | None = Field(
        None,
        description="inputs and targets",
        examples=[{"type": "arrays", "file": "digits.npz", "inputs": "x", "targets": "y"}],
    )
    layers: Annotated[list[Layer], Field(min_length=1, max_length=10_000)] = Field(
        description="the layers, in order",
        examples=[[{"name": "out", "type": "linear", "output_dim": 10}]],
    )
    regularizers: list[RegularizerSpec] = Field(
        [], max_length=10_000, description="terms added to the loss", examples=[[]]
    )
    start_from: StartFrom | None = Field(
        None,
        description="parameters that begin as another run has them",
        examples=[{"run": "runs/ei-decision/latest", "params": "hidden.*"}],
    )
    training: Training = Field(
        Training.model_construct(), description="the training loop", examples=[{}]
    )


class SpecFile(NetworkSpec):
    """What a file may hold: a network, and the two keys that are resolved away."""

    extends: Annotated[list[str], Shorthand(listed, {"type": "string"})] = Field(
        [], description="files that this one builds on", examples=[["base.yaml"]]
    )
    set: dict[str, object] = Field(
        {},
        max_length=200,
        description="overrides, by path",
        examples=[{"layers[hidden].output_dim": 64}],
    )
