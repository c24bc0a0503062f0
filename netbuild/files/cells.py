"""Cells of a table: which of them equal a value, where `3` equals `3.0` too.

Numbers are compared digit by digit, as text: an id of 18 digits is not exact as a floating-point
number, and two neurons would become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = str | int | float
# Without an exponent, and without zeros before it: 007 is a name, as in an edge list.
NUMBER = re.compile(r"([+-]?)(?:(0|[1-9][0-9]*)(?:\.([0-9]*))?|\.([0-9]+))")


def plain(cell: str) -> str:
    """A number in one form for all of its spellings, `3` for `3.0`; other text as it is."""
    match = NUMBER.fullmatch(cell)
    if match is None:
        return cell
    sign, whole, behind, alone = match.groups("")
    part = (behind or alone).rstrip("0")
    number = f"{whole or '0'}.{part}" if part else whole or "0"
    return f"-{number}" if sign == "-" and number != "0" else number


def written(value: Value) -> str:
    """A value as `plain` cells have it, if they are of a number."""
    return plain(f"{Decimal(repr(value)):f}") if isinstance(value, float) else str(value)


def equal_cells(cells: Iterable[str], values: Sequence[Value]) -> set[str]:
    """The texts that equal one of the values: text as it is, a number in any of its spellings."""
    words = {value for value in values if isinstance(value, str)}
    numbers = {written(value) for value in values if not isinstance(value, str)}
    return words | {cell for cell in cells if plain(cell) in numbers} if numbers else words
