"""Plain scalars by YAML 1.2."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.yamltree.document import parse_value
from netbuild.yamltree.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("~", "null", "Null", "NULL", "")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        *[("0", 0), ("-0", 0), ("+12", 12), ("0o17", 15), ("0xfF", 255), ("-7", -7)],
        *[("1e-3", 1e-3), ("1E5", 1e5), ("1.5e3", 1500.0), (".5", 0.5), ("5.", 5.0), ("-0.0", 0.0)],
        *[(".inf", float("inf")), ("-.INF", -float("inf")), ("+.Inf", float("inf"))],
        *[(text, text) for text in ("yes", "no", "on", "off", "y", "nULL", "tRue", "none", "None")],
        *[(text, text) for text in ("1_000", "1:30", "2024-01-01", "0b1", "0O17", "-0x1", "nan")],
        *[(text, text) for text in ("inf", "e3", "1e", ".", "-", "+", "1.2.3", "=", "0x", "--1")],
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    for text in (".nan", ".NaN", ".NAN"):
        assert resolve(text) != resolve(text)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_whole_numbers_come_back(number: int) -> None:
    assert resolve(str(number)) == number
    assert resolve(f"{number:e}") == pytest.approx(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(number: float) -> None:
    assert resolve(repr(number)) == number


@pytest.mark.parametrize("text", ["014", "-00", "1" * 19, "9" * 10_000, "1e309", "0." + "1" * 99])
def test_numbers_that_mean_two_things_or_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zero|digits|large|characters"):
        resolve(text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_quoted_scalars_are_text(text: str) -> None:
    single = "'" + text.replace("'", "''") + "'"
    double = json.dumps(text, ensure_ascii=False)
    for quoted in (single, double):
        assert parse_value(quoted, "--set #1", 0).value == text
