"""What every model of the language shares: strictness, keys, common types, unions told by a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
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

    # Keys of other tools that this section, and those inside it, have no counterpart of, with what
    # to do instead. A section has those of the models that it derives from too.
    foreign: ClassVar[dict[str, str]] = {}


class Also(str):
    """What other tools call a key, as metadata of its field: words with spaces between."""


class Hint:
    """What to write in place of text that a field does not accept, as metadata of the field."""

    def __init__(self, hint: Callable[[str], str]) -> None:
        self.of = hint


def key(
    default: Any,
    sentence: str,
    example: Any = None,
    *,
    also: str = "",
    hint: Callable[[str], str] | None = None,
    **constraints: Any,
) -> Any:
    """A key of a section, with everything that is known about it.

    The documentation, the JSON Schema, `netbuild config`, hints and the fuzzer read it from here.
    `default` is `...` for a key that must be written, and for a type whose default stands where
    the type is used; `also` holds other tools' words for the key; `hint` gives the hint for text
    of the wrong form; `constraints` are those of a Pydantic field, such as `ge`.
    """
    if example is not None:
        constraints["examples"] = [example]
    info: FieldInfo = Field(default, description=sentence, **constraints)
    info.metadata += [Also(also)] if also else []
    info.metadata += [Hint(hint)] if hint else []
    return info


def as_in(model: type[BaseModel], name: str) -> Any:
    """The key of another section, which may be left out here: what it means stands there alone."""
    of = model.model_fields[name]
    return key(None, of.description or "", *of.examples or ())


class Choice:
    """The kinds of section that may stand at one place, and what tells them apart.

    Most kinds are identified by the value of `key` (e.g. `type`); a kind without such a key is
    identified by the presence of its first field, e.g. `file`, or of one of its `tellers`.
    """

    def __init__(
        self, key: str, models: tuple[type[BaseModel], ...], *, guess: bool = True
    ) -> None:
        self.key = key
        self.models = models
        self.guess = guess
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

    def tag(self, section: Any) -> int | None:
        """The union tag of a section's data, for Pydantic."""
        model: type[BaseModel] | None = None
        if isinstance(section, BaseModel):
            model = type(section)
        elif isinstance(section, dict):
            model = self.model_of(section.get(self.key), section)
        return self.models.index(model) + FIRST_TAG if model else None


# Union tags are negative numbers, which no key and no position in Pydantic's location of an error
# can be mistaken for.
FIRST_TAG = -1000


class OneOf:
    """Marks a union of sections, which are distinguished by the value of a key, as `Choice` does.

    `Annotated[Uniform | Normal | WeightFile, OneOf("init")]`. Without `guess`, no hint says
    which kind of section a single value in the place of a section could mean.
    """

    def __init__(self, key: str, *, guess: bool = True) -> None:
        self.key = key
        self.guess = guess

    def choice(self, union: Any) -> Choice:
        """The kinds of section in a union that is marked so."""
        return Choice(self.key, get_args(union), guess=self.guess)

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choice = self.choice(union)
        schemas = {i: handler.generate_schema(m) for i, m in enumerate(choice.models, FIRST_TAG)}
        return core_schema.tagged_union_schema(
            schemas, choice.tag, custom_error_type="untold", custom_error_message="untold"
        )


class Either:
    """Marks a union of two plain types, so that a wrong value is one error, not one of each type.

    Each kind of union says by `is_second` which of the two a value is meant to be.
    """

    def is_second(self, value: object) -> bool:
        """Whether a value is meant to be of the second type."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        first, second = (handler.generate_schema(kind) for kind in get_args(union))
        return core_schema.tagged_union_schema(
            {FIRST_TAG: first, FIRST_TAG + 1: second},
            lambda value: FIRST_TAG + self.is_second(value),
        )


class WordOrNumber(Either):
    """`Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], WordOrNumber()]`."""

    def is_second(self, value: object) -> bool:
        """Whether it is no text, and so should be a number."""
        return not isinstance(value, str)


class NumberOrText(Either):
    """`Annotated[float | str, NumberOrText()]`."""

    def is_second(self, value: object) -> bool:
        """Whether it is text."""
        return isinstance(value, str)


class NumberOrList(Either):
    """`Annotated[Annotated[int, Field(ge=1)] | list[Seed], NumberOrList()]`."""

    def is_second(self, value: object) -> bool:
        """Whether it is a list."""
        return isinstance(value, list)


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
