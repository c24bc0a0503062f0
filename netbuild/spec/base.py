"""What every model of the language shares: strictness, common types, unions told by a key."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Model(BaseModel):
    """A section of a spec: frozen, strict (`true` is not 1), and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=False
    )


class Shorthand:
    """Lists, for the JSON Schema alone, the short forms that the parser writes out in full."""

    def __init__(self, *schemas: JsonSchemaValue) -> None:
        self.schemas = schemas

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [*self.schemas, handler(schema)]}


def tag(model: type[BaseModel]) -> Tag:
    """A union tag that can never be mistaken for a key of the file in a Pydantic location."""
    return Tag(f"<{model.__name__}>")


def told_by(key: str, *models: type[BaseModel]) -> Discriminator:
    """Tell the branches of a union apart by the value of `key`, e.g. `type`.

    A branch that has no such key is told by the presence of its own first field, e.g. `file`.
    """
    by_value: dict[object, str] = {}
    by_presence: dict[str, str] = {}
    for model in models:
        label = f"<{model.__name__}>"
        if key in model.model_fields:
            by_value |= dict.fromkeys(get_args(model.model_fields[key].annotation), label)
        else:
            by_presence[next(iter(model.model_fields))] = label

    def choose(value: Any) -> str | None:
        if isinstance(value, BaseModel):
            return f"<{type(value).__name__}>"
        if not isinstance(value, dict):
            return None
        if key in value:
            found = value[key]
            return by_value.get(found) if isinstance(found, str) else None
        return next((label for name, label in by_presence.items() if name in value), None)

    return Discriminator(
        choose,
        custom_error_type="untold",
        # What the branches are told by, for the diagnostics to take apart again.
        custom_error_message="|".join([key, ",".join(map(str, by_value)), ",".join(by_presence)]),
    )


Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
        description="a name: lower-case letters, digits and `_`, beginning with a letter",
        examples=["hidden"],
    ),
]
Size = Annotated[int, Field(ge=1, le=10**12)]
Count = Annotated[int, Field(ge=1, le=10**15)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
