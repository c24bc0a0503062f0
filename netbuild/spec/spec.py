"""The whole spec: its sections, parsed one by one so that every problem is found at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.spec.base import Model, Seed, Shorthand
from netbuild.spec.layers import Layer
from netbuild.spec.regularizers import RegularizerSpec
from netbuild.spec.task import Task
from netbuild.spec.training import Training

LANGUAGE_VERSION = 1


class NetworkSpec(Model):
    """A network and its training, in one file."""

    netbuild: Literal[1] = Field(description="version of this language", examples=[1])
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=64)] = Field(
        "network", description="names the folder of its runs", examples=["ei-decision"]
    )
    seed: Seed = Field(0, description="every random draw follows from it", examples=[7])
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        description="`auto` takes CUDA where there is one",
        examples=["cpu"],
    )
    task: Task | None = Field(None, description="inputs and targets")
    layers: Annotated[list[Layer], Field(min_length=1, max_length=10_000)] = Field(
        description="the layers, in order", examples=[[{"name": "out", "type": "linear"}]]
    )
    regularizers: list[RegularizerSpec] = Field(
        [], max_length=10_000, description="terms added to the loss", examples=[[]]
    )
    training: Training = Field(Training(), description="the training loop", examples=[{}])


class SpecFile(NetworkSpec):
    """What a file may hold: a network, and the two keys that are resolved away."""

    extends: Annotated[list[str], Shorthand({"type": "string"})] = Field(
        [], description="files that this one builds on", examples=[["base.yaml"]]
    )
    set: dict[str, object] = Field(
        {}, description="overrides, by path", examples=[{"layers[hidden].output_dim": 64}]
    )
