"""`start_from`: a training that begins with the weights of another one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import NUMBER, WORD, WORD_OR_NUMBER, Model, key
from netbuild.language.context import LONGEST_RUN
from netbuild.language.shorthand import Shorthand, listed


class StartFrom(Model):
    """Parameters that begin as another run has them, in place of their inits.

    The masks of the maps whose weights are taken must be those of the run. What is frozen is frozen
    at the value that was taken.
    """

    run: Annotated[
        str,
        key(
            ...,
            "a run's folder, relative to this file and in its project; `NAME/latest` is"
            " the newest run in the folder NAME; or the file `network.safetensors` of a checkpoint",
            "runs/ei-decision/latest",
            min_length=1,
            max_length=LONGEST_RUN,
        ),
    ]
    checkpoint: Annotated[
        Annotated[Literal["last", "best"], WORD] | Annotated[int, Field(ge=0, le=10**15), NUMBER],
        WORD_OR_NUMBER,
    ] = key(
        "last", "which of its checkpoints: the last one, the best one, or that of a step", "best"
    )
    params: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        key(
            ["*"],
            "the parameters that are taken, as `<layer>.weight`; `*` matches anything, dots too",
            "hidden.*",
            min_length=1,
            max_length=100,
        ),
        Shorthand(listed, {"type": "string"}),
    ]
