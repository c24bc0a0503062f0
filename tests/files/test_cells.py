"""Cells of tables: numbers by their value, digit by digit, and text as it is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.files.cells import equal_cells, plain, written

SPELLINGS = [
    ("3", ["3", "3.0", "3.00", "3.", "+3", "+3.0"]),
    ("-3", ["-3", "-3.0"]),
    ("0", ["0", "0.0", "-0.0", "+0", ".0", "-0"]),
    ("0.5", ["0.5", ".5", "0.50", "+.5"]),
    ("-1.25", ["-1.25", "-1.250"]),
    ("720575940600000001", ["720575940600000001", "720575940600000001.0"]),
]


@pytest.mark.parametrize(("number", "cells"), SPELLINGS)
def test_spellings_of_a_number(number: str, cells: list[str]) -> None:
    assert {plain(cell) for cell in cells} == {number}


@pytest.mark.parametrize(
    "cell", ["", ".", "-", "007", "00", "-01.0", "3a", "3,0", "1e3", "0x3", "1_0", "nan", "٣", " 3"]
)
def test_other_text_stays_as_it_is(cell: str) -> None:
    assert plain(cell) == cell


NUMBERS = st.from_regex(r"[+-]?(0|[1-9][0-9]{0,20})(\.[0-9]{0,5})?", fullmatch=True)


@given(NUMBERS, NUMBERS)
def test_two_cells_are_alike_if_they_are_one_number(one: str, other: str) -> None:
    assert (plain(one) == plain(other)) == (Decimal(one) == Decimal(other))
    assert Decimal(plain(one)) == Decimal(one)


@given(st.integers() | st.floats(-(2.0**52), 2.0**52))
def test_a_value_is_found_in_cells_that_say_it(value: float) -> None:
    cells = [f"{Decimal(repr(value)):f}", repr(value + 1), "x", ""]
    assert equal_cells(cells, [value]) == {written(value), cells[0]} & set(cells)
    assert cells[0] in equal_cells(cells, [value, "y"])


def test_text_means_itself_alone() -> None:
    assert equal_cells(["3", "3.0", "x"], ["3"]) == {"3"}
    assert equal_cells(["3", "3.0", "x"], [3, "x"]) == {"3", "3.0", "x"}
    assert equal_cells(["007", "7"], [7]) == {"7"}


def test_ids_of_18_digits_are_exact() -> None:
    ids = [str(720_575_940_600_000_000 + i) for i in range(64)]  # as floats they are one
    assert equal_cells(ids, [int(ids[5])]) == {ids[5]}
