"""Formulas: what they compute is what Python computes, and what they refuse is told where."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.language.formulas import Number, Path, compute, parse_formula, paths_in
from netbuild.yamltree.paths import PathError

VALUES = {"a": 3, "layers.hidden.size": 50, "layers[hidden].size": 50, "t": 0.5}


def value_of(text: str) -> Number:
    return compute(parse_formula(text), lambda path: VALUES[path.text])


SIGNS = st.sampled_from(["+", "-", "*", "/", "**"])
NUMBERS = st.sampled_from(["2", "3.5", "1e-3", ".5", "7.", "a", "t", "layers.hidden.size"])
FORMULAS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, SIGNS, inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=6,
)


@given(FORMULAS)
def test_a_formula_is_what_python_makes_of_it(text: str) -> None:
    in_python = re.sub(r"\b2\b", "2.0", text.replace("layers.hidden.size", "size"))
    try:  # floats, since powers of whole numbers have no end
        expected = eval(in_python, {"a": 3.0, "t": 0.5, "size": 50.0})
    except (ZeroDivisionError, OverflowError):
        expected = math.inf
    if isinstance(expected, complex) or not math.isfinite(expected):
        with pytest.raises(PathError):
            value_of(text)
        return
    if abs(expected) < 1e15:
        assert value_of(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100 / 2", 50), ("2 ** 3 ** 2", 512), ("-2 ** 2", -4), ("2 ** -1", 0.5), ("a*4", 12)],
)
def test_sizes_stay_whole_numbers(text: str, expected: Number) -> None:
    found = value_of(text)
    assert (found, type(found)) == (expected, type(expected))


def test_the_paths_that_a_formula_reads() -> None:
    formula = parse_formula("1e-3*layers[hidden].size / (training.steps - -x)")
    assert list(paths_in(formula)) == [
        Path("layers[hidden].size", 6),
        Path("training.steps", 29),
        Path("x", 47),
    ]


@pytest.mark.parametrize(
    ("text", "what", "column"),
    [
        ("", "the formula ends too early", 1),
        ("1 +", "the formula ends too early", 3),
        ("(1 + 2", "a parenthesis that is not closed", 1),
        ("1 + 2)", "`)` does not belong here", 6),
        ("1 2", "`2` does not belong here", 3),
        ("2 // 3", "`/` does not belong here", 4),
        ("f(2)", "`(` does not belong here", 2),
        ("a if a else 1", "`if` does not belong here", 3),
        ("'x'", "`'` does not belong here", 1),
        ("1 / (2 - 2)", "a division by zero", 3),
        ("(-8) ** 0.5", "a root of a negative number", 6),
        ("9 ** 9 ** 9", "the result is too large", 3),
        ("1e308 * 10", "the result is too large", 7),
        ("1e999", "a number that is too large", 1),
        ("9999999999999999", "a whole number of more than 15 digits", 1),
        ("(" * 40 + "1" + ")" * 40, "a formula of more than 32 levels", 33),
        ("-" * 40 + "1", "a formula of more than 32 levels", 33),
        ("1+" * 300 + "1", "a formula of 601 characters", 1),
    ],
)
def test_what_is_no_formula_is_told_where(text: str, what: str, column: int) -> None:
    with pytest.raises(PathError) as caught:
        value_of(text)
    assert (caught.value.what, caught.value.column) == (what, column)


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_a_located_error(text: str) -> None:
    try:
        parse_formula(text)
    except PathError as error:
        column = error.column
    else:
        column = 1
    assert 1 <= column <= max(len(text), 1)
