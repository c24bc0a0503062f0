"""Layers: what `layers:` may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from netbuild.language.base import OneOf, Size, key
from netbuild.language.ctrnn import CTRNN
from netbuild.language.maps import Map
from netbuild.language.units import LINEAR, Activation, AnyLayer, LayerOfUnits


def _said_once(value: int | None, info: ValidationInfo) -> int | None:
    """The number of units is missing where no connectome says it."""
    if value is None and info.data.get("connectome", True) is None:
        raise PydanticKnownError("missing")
    return value


class Linear(LayerOfUnits, Map):
    """y = f(W x + b)."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in ("output_dim", "connectome")]}
    )

    type: Literal["linear"]
    output_dim: Annotated[
        Size | None,
        AfterValidator(_said_once),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10**12}),
    ] = key(
        None,
        "units of this layer",
        128,
        also="dim n_units neurons num_units out_features size units width",
        validate_default=True,
    )
    activation: Activation = key(LINEAR, "f", "relu")


class Dropout(AnyLayer):
    """Each value is 0 with probability p in training, and the others are divided by 1 - p."""

    type: Literal["dropout"]
    p: float = key(..., "probability of 0", 0.1, also="dropout prob probability rate", ge=0, lt=1)


Layer = Annotated[
    Linear | CTRNN | Dropout,
    OneOf("type"),
]
