"""Layers: what `layers:` may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.spec.base import Model, Name, Size, tag, told_by
from netbuild.spec.ctrnn import CTRNN
from netbuild.spec.maps import Map
from netbuild.spec.units import LINEAR, Activation, Excitatory, From, InputDim


class Linear(Map):
    """y = f(W x + b)."""

    type: Literal["linear"]
    name: Name
    from_: From = Field(None, alias="from")
    input_dim: InputDim = None
    output_dim: Size = Field(description="units of this layer", examples=[128])
    excitatory: Excitatory = None
    activation: Activation = Field(LINEAR, description="f", examples=["relu"])


class Dropout(Model):
    """Each value is 0 with probability p in training, and the others are divided by 1 - p."""

    type: Literal["dropout"]
    name: Name
    from_: From = Field(None, alias="from")
    p: float = Field(ge=0, lt=1, description="probability of 0", examples=[0.1])


Layer = Annotated[
    Annotated[Linear, tag(Linear)]
    | Annotated[CTRNN, tag(CTRNN)]
    | Annotated[Dropout, tag(Dropout)],
    told_by("type", Linear, CTRNN, Dropout),
]
