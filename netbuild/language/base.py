"""What every model of the language shares: strictness, common types, unions told by a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Model(BaseModel):
    """A section of a spec: frozen, strict (`true` is not 1), and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        populate_by_name=False,
        defer_build=True,  # a spec builds the validators of all models once, not each model its own
    )


def label_of(model: type[BaseModel]) -> str:
    """A union tag that can never be mistaken for a key of the file in a Pydantic location."""
    return f"<{model.__name__}>"


def tag(model: type[BaseModel]) -> Tag:
    """The branch of a union that holds `model`."""
    return Tag(label_of(model))


class Choice:
    """The kinds of section that may stand at one place, and what tells them apart.

    The value of `key` (e.g. `type`) tells most; a kind that has no such key is told by the
    presence of its own first field, e.g. `file`, or of one of its `tellers`.
    """

    def __init__(self, key: str, models: tuple[type[BaseModel], ...]) -> None:
        self.key = key
        self.models = models
        self.default = ""  # the value of `key` in a section without it, where there is a default
        self.by_value: dict[str, type[BaseModel]] = {}
        self.by_presence: dict[str, type[BaseModel]] = {}
        for model in models:
            if key in model.model_fields:
                values = get_args(model.model_fields[key].annotation)
                self.by_value |= dict.fromkeys(values, model)
                if not model.model_fields[key].is_required():
                    self.default = model.model_fields[key].default
            else:
                first = next(iter(model.model_fields))
                self.by_presence |= dict.fromkeys(getattr(model, "tellers", (first,)), model)

    def model_of(self, value: object, keys: Iterable[str]) -> type[BaseModel] | None:
        """The kind of a section whose `key` has this value (None: it is not there)."""
        if self.key in keys:
            return self.by_value.get(value) if isinstance(value, str) else None
        return next((model for name, model in self.by_presence.items() if name in keys), None)

    def label(self, section: Any) -> str | None:
        """The union tag of a section's data, for Pydantic."""
        if isinstance(section, BaseModel):
            return label_of(type(section))
        if not isinstance(section, dict):
            return None
        model = self.model_of(section.get(self.key), section)
        return label_of(model) if model else None


def told_by(key: str, *models: type[BaseModel]) -> Discriminator:
    """Tell the branches of a union apart by the value of `key`, as `Choice` does."""
    choice = Choice(key, models)
    return Discriminator(choice.label, custom_error_type="untold", custom_error_message="untold")


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
