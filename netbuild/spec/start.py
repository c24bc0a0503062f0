"""`start_from`: a training that begins with the weights of another one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from netbuild.spec.base import Model
from netbuild.spec.shorthand import Shorthand, listed


class StartFrom(Model):
    """Parameters that begin as another run has them, in place of their inits.

    The masks of the maps whose weights are taken must be those of the run. What is frozen is frozen
    at the value that was taken.
    """

    run: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description="a run's folder, relative to this file and in its project; `NAME/latest` is"
            " the newest run in the folder NAME; or the file `network.safetensors` of a checkpoint",
            examples=["runs/ei-decision/latest"],
        ),
    ]
    checkpoint: Annotated[
        Annotated[Literal["last", "best"], Tag("<auto>")]
        | Annotated[int, Field(ge=0, le=10**15), Tag("<number>")],
        Discriminator(lambda value: "<auto>" if isinstance(value, str) else "<number>"),
    ] = Field(
        "last",
        description="which of its checkpoints: the last one, the best one, or that of a step",
        examples=["best"],
    )
    params: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(
            min_length=1,
            max_length=100,
            description="the parameters that are taken, as `<layer>.weight`; `*` matches anything,"
            " dots too",
            examples=["hidden.*"],
        ),
        Shorthand(listed, {"type": "string"}),
    ] = Field(default=["*"])
