"""What every model of the language shares: strictness, keys, common types, unions told by a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, Tag
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema


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

    # Keys of other tools that this section has no counterpart of, and what to do instead.
    foreign: ClassVar[dict[str, str]] = {
        "sweep": "a spec is one network; vary it from outside: `--set 'PATH=VALUE'`",
        **dict.fromkeys(
            ("_target_", "class_path", "module", "__class__"),
            "kinds are told by `type`, from a closed list; nothing is imported",
        ),
    }


class Also(str):
    """What other tools call a key, as metadata of its field: words with spaces between."""


def key(
    default: Any, sentence: str, example: Any = None, *, also: str = "", **constraints: Any
) -> Any:
    """A key of a section, with everything that is known about it.

    The documentation, the JSON Schema, `netbuild config`, hints and the fuzzer read it off here.
    `default` is `...` for a key that must be written, and for one whose default stands where its
    type is used; `also` holds other tools' words for the key;
    `constraints` are those of a Pydantic field, such as `ge`.
    """
    if example is not None:
        constraints["examples"] = [example]
    info: FieldInfo = Field(default, description=sentence, **constraints)
    if also:
        info.metadata.append(Also(also))
    return info


def as_in(model: type[BaseModel], name: str) -> Any:
    """The key of another section, which may be left out here: what it means stands there alone."""
    of = model.model_fields[name]
    return key(None, of.description or "", *of.examples or ())


def label_of(model: type[BaseModel]) -> str:
    """A union tag that can never be mistaken for a key of the file in a Pydantic location."""
    return f"<{model.__name__}>"


class Choice:
    """The kinds of section that may stand at one place, and what tells them apart.

    Most kinds are identified by the value of `key` (e.g. `type`); a kind without such a key is
    identified by the presence of its first field, e.g. `file`, or of one of its `tellers`.
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


class OneOf:
    """Marks a union of sections, which are distinguished by the value of a key, as `Choice` does.

    `Annotated[Uniform | Normal | WeightFile, OneOf("init")]`
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def choice(self, union: Any) -> Choice:
        """The kinds of section in a union that is marked so."""
        return Choice(self.key, get_args(union))

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choice = self.choice(union)
        return core_schema.tagged_union_schema(
            {label_of(model): handler.generate_schema(model) for model in choice.models},
            choice.label,
            custom_error_type="untold",
            custom_error_message="untold",
        )


# `Annotated[Annotated[Literal["auto"], WORD] | Annotated[int, NUMBER], WORD_OR_NUMBER]`: a value of
# the wrong kind is one error, not one of each branch.
WORD, NUMBER = Tag("<word>"), Tag("<number>")
WORD_OR_NUMBER = Discriminator(lambda value: WORD.tag if isinstance(value, str) else NUMBER.tag)

Name = Annotated[
    str,
    key(
        ...,
        "a name: lower-case letters, digits and `_`, beginning with a letter",
        "hidden",
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=64,
    ),
]
Size = Annotated[int, Field(ge=1, le=10**12)]
Count = Annotated[int, Field(ge=1, le=10**15)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
