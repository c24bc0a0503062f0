"""Formulas of `derive:`, read into a small tree and computed; nothing is evaluated as code.

A formula has numbers, paths of a spec, `+ - * / **` and parentheses, with the precedence that they
have in Python: `2 ** 3 ** 2` is 2 ** 9, and `-2 ** 2` is -4.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from netbuild.wording import show
from netbuild.yamltree.paths import PathError

LONGEST = 500  # characters of a formula
DEEPEST = 32  # levels of parentheses and signs
LARGEST = 10**15  # of a whole number
Number: TypeAlias = int | float
Lookup: TypeAlias = Callable[["Path"], Number]  # the value at a path; raises PathError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<path>[A-Za-z_]\w*(?:\[[^\[\]]+\]|\.\w+)*)"
    r"|(?P<sign>\*\*|[-+*/()]))"
)


@dataclass(frozen=True)
class Constant:
    """A number that is written."""

    value: Number


@dataclass(frozen=True)
class Path:
    """A path whose value is looked up."""

    text: str
    column: int  # from 1, in the formula


@dataclass(frozen=True)
class Operation:
    """An operation on one or two operands."""

    sign: str
    operands: tuple[Formula, ...]
    column: int


Formula: TypeAlias = Constant | Path | Operation


def parse_formula(text: str) -> Formula:
    """The tree of a formula; raises PathError, whose column counts from 1 within the text."""
    if len(text) > LONGEST:
        raise PathError(f"a formula of {len(text):,} characters", 1, f"at most {LONGEST}")
    reader = _Reader(text, list(_tokens(text)))
    found = reader.sum(0)
    if reader.at < len(reader.tokens):
        _, word, column = reader.tokens[reader.at]
        raise PathError(f"`{show(word)}` does not belong here", column, _HINT)
    return found


def paths_in(formula: Formula) -> Iterator[Path]:
    """The paths that a formula reads, in the order in which they stand."""
    if isinstance(formula, Path):
        yield formula
    elif isinstance(formula, Operation):
        for operand in formula.operands:
            yield from paths_in(operand)


def compute(formula: Formula, lookup: Lookup) -> Number:
    """The value of a formula; raises PathError where it is not a finite number.

    The quotient of whole numbers is a whole number where it is exact, so that it may be a size.
    """
    if isinstance(formula, Constant):
        return formula.value
    if isinstance(formula, Path):
        return lookup(formula)
    operands = [compute(operand, lookup) for operand in formula.operands]
    try:
        value = _negated_or(formula.sign, operands)
    except ZeroDivisionError:
        raise PathError("a division by zero", formula.column) from None
    except OverflowError:
        value = math.inf
    if isinstance(value, complex):
        raise PathError("a root of a negative number", formula.column)
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST):
        raise PathError("the result is too large", formula.column)
    return value


def _negated_or(sign: str, operands: list[Number]) -> Number | complex:
    if len(operands) == 1:
        return -operands[0] if sign == "-" else operands[0]
    one, other = operands
    if sign == "/" and isinstance(one, int) and isinstance(other, int) and other:
        return one // other if one % other == 0 else one / other
    if sign == "**":
        return _power(one, other)
    return _OPERATIONS[sign](one, other)


def _power(base: Number, exponent: Number) -> Number | complex:
    """A power; one of whole numbers stays whole where it is below LARGEST."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * math.log2(abs(base)) > 64:
            return math.inf
        return int(base**exponent)
    power: Number | complex = float(base) ** exponent
    return power


_OPERATIONS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_HINT = "a formula has numbers, paths such as `layers.hidden.size`, `+ - * / **` and parentheses"


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Each token: its kind, its text, and its column from 1."""
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise PathError(f"`{show(text[at])}` does not belong here", at + 1, _HINT)
        kind = match.lastgroup
        yield kind, match[kind], match.start(kind) + 1
        at = match.end()


@dataclass
class _Reader:
    """Reads tokens from left to right; each method reads what binds at least as tightly."""

    text: str
    tokens: list[tuple[str, str, int]]
    at: int = field(default=0)

    def sign(self, *signs: str) -> tuple[str, int] | None:
        """The next token, taken, where it is one of these signs."""
        if self.at < len(self.tokens):
            _, word, column = self.tokens[self.at]
            if word in signs:
                self.at += 1
                return word, column
        return None

    def sum(self, depth: int) -> Formula:
        found = self.product(depth)
        while taken := self.sign("+", "-"):
            found = Operation(taken[0], (found, self.product(depth)), taken[1])
        return found

    def product(self, depth: int) -> Formula:
        found = self.signed(depth)
        while taken := self.sign("*", "/"):
            found = Operation(taken[0], (found, self.signed(depth)), taken[1])
        return found

    def signed(self, depth: int) -> Formula:
        if taken := self.sign("+", "-"):
            return Operation(taken[0], (self.signed(self.deeper(depth, taken[1])),), taken[1])
        base = self.operand(depth)
        if taken := self.sign("**"):
            exponent = self.signed(self.deeper(depth, taken[1]))
            return Operation("**", (base, exponent), taken[1])
        return base

    def operand(self, depth: int) -> Formula:
        if opened := self.sign("("):
            found = self.sum(self.deeper(depth, opened[1]))
            if not self.sign(")"):
                raise PathError("a parenthesis that is not closed", opened[1], "write `)`")
            return found
        if self.at >= len(self.tokens):
            raise PathError("the formula ends too early", max(len(self.text.rstrip()), 1), _HINT)
        kind, word, column = self.tokens[self.at]
        if kind == "sign":
            raise PathError(f"`{word}` does not belong here", column, _HINT)
        self.at += 1
        if kind == "path":
            return Path(word, column)
        if word.isdecimal():
            if len(word) > 15:
                raise PathError("a whole number of more than 15 digits", column)
            return Constant(int(word))
        if not math.isfinite(float(word)):
            raise PathError("a number that is too large", column)
        return Constant(float(word))

    def deeper(self, depth: int, column: int) -> int:
        if depth >= DEEPEST:
            raise PathError(f"a formula of more than {DEEPEST} levels", column)
        return depth + 1
