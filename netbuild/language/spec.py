"""The whole spec: its sections, and the two keys of a file that are resolved away."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from netbuild.language.arrays_task import Arrays
from netbuild.language.base import Model, OneOf, Positive, Seed, key
from netbuild.language.layers import Layer
from netbuild.language.neurogym_task import Neurogym
from netbuild.language.regularizers import RegularizerSpec
from netbuild.language.shorthand import Shorthand, listed
from netbuild.language.start import StartFrom
from netbuild.language.training import Training
from netbuild.wording import near

LANGUAGE_VERSION = 1
Task = Annotated[Arrays | Neurogym, OneOf("type")]


def _device_hint(word: str) -> str:
    """The device that a misspelt word, or another tool's word, means."""
    if match := re.fullmatch(r"(?:gpu|nvidia|cuda)(:[0-9]{1,3})?", word, re.IGNORECASE):
        return f"did you mean `cuda{match[1] or ''}`?"
    return near(word, ("auto", "cpu", "cuda", "cuda:0"))


class NetworkSpec(Model):
    """A network and its training, in one file."""

    # Not `Literal[1]`, to which `true` and `1.0` are equal.
    netbuild: int = key(
        ...,
        "version of this language",
        LANGUAGE_VERSION,
        also="version",
        ge=LANGUAGE_VERSION,
        le=LANGUAGE_VERSION,
        json_schema_extra={"const": LANGUAGE_VERSION},
    )
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=64)] = key(
        "network", "letters, digits, `_`, `.` and `-`; names the folder of its runs", "ei-decision"
    )
    seed: Seed = key(0, "every random draw follows from it", 7)
    device: str = key(
        "auto",
        "`auto` takes CUDA where there is one",
        "cpu",
        hint=_device_hint,
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
    )
    dt: Positive | None = key(
        None, "one time step, in ms: the task's and the layers', whose alpha is dt / tau", 20
    )
    task: Task | None = key(
        None,
        "inputs and targets",
        {"type": "arrays", "file": "digits.npz", "inputs": "x", "targets": "y"},
        also="data dataset",
    )
    layers: Annotated[list[Layer], Field(min_length=1, max_length=10_000)] = key(
        ...,
        "the layers, in order",
        [{"name": "out", "type": "linear", "output_dim": 10}],
        also="model network",
    )
    regularizers: list[RegularizerSpec] = key([], "terms added to the loss", [], max_length=10_000)
    start_from: StartFrom | None = key(
        None,
        "parameters that begin as another run has them",
        {"run": "runs/ei-decision/latest", "params": "hidden.*"},
    )
    training: Training = key(Training.model_construct(), "the training loop", {})


class SpecFile(NetworkSpec):
    """What a file may hold: a network, and the two keys that are resolved away."""

    extends: Annotated[list[str], Shorthand(listed, {"type": "string"})] = key(
        [], "files that this one builds on", ["base.yaml"], also="base defaults include inherits"
    )
    set: dict[str, object] = key(
        {}, "overrides, by path", {"layers[hidden].output_dim": 64}, max_length=200
    )
