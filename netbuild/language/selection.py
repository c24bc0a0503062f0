"""Selections: which units are meant, by name or by what the node table says of them."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

WORD = r"^[A-Za-z][A-Za-z0-9_]*(\.(excitatory|inhibitory))?$"
MOST = 1000  # values of a column
EXACT = 2**53  # from here on a floating-point number may stand for several whole ones
Value: TypeAlias = str | int | float
Columns: TypeAlias = dict[str, Value | list[Value]]


def is_columns(value: Any) -> bool:
    """Whether a value is `{kind: sensory}`: columns, each with its value or a list of such."""
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(key, str) and _is_value(one) for key, one in value.items())


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= MOST and all(map(_is_one, value))
    return _is_one(value)


def _is_one(value: Any) -> bool:
    """Text or a number, which a cell can be compared with."""
    if type(value) is float:
        return abs(value) < EXACT
    return type(value) in (str, int)


def _selection(value: Any) -> Any:
    if isinstance(value, str) or is_columns(value):
        return value
    raise PydanticCustomError("selection", "no selection")


def _columns(value: Any) -> Any:
    if is_columns(value):
        return value
    raise PydanticCustomError("selection_columns", "no columns")


_VALUE = {"type": ["string", "number"]}
COLUMNS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]},
}
# Its form is checked with the layers at hand, which tell more of what was meant than a pattern.
Selection = Annotated[
    str | Columns,
    PlainValidator(_selection, json_schema_input_type=Any),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": WORD}, COLUMNS_SCHEMA]}),
]
ByColumns = Annotated[
    Columns,
    PlainValidator(_columns, json_schema_input_type=Any),
    WithJsonSchema(COLUMNS_SCHEMA),
]
