"""Files that are named by the options that they were made with."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from netbuild.cli.outputs import MOST, file_name

OPTIONS = st.lists(st.tuples(st.sampled_from(["layer", "units", "condition"]), st.text()))


def test_plain_options_stand_in_the_name_as_they_are() -> None:
    assert file_name("weights", []) == "weights"
    options = [("condition", "v1-v2"), ("units", "kind=motor&V1")]
    assert file_name("rates", options) == "rates-condition=v1-v2-units=kind=motor&V1"


def test_other_values_are_replaced_and_told_apart_by_a_digest() -> None:
    one, two = (file_name("rates", [("units", value)]) for value in ("a/b", "a b"))
    assert one != two
    assert re.fullmatch(r"rates-units=a_b-[0-9a-f]{8}", one)
    # A value that reads like another option.
    assert file_name("rates", [("layer", "a-units=b")]) != file_name(
        "rates", [("layer", "a"), ("units", "b")]
    )
    assert len(file_name("rates", [("units", "x" * 500)])) == MOST


@given(OPTIONS, OPTIONS)
def test_names_are_safe_and_differ_where_options_differ(
    one: list[tuple[str, str]], two: list[tuple[str, str]]
) -> None:
    names = [file_name("rates", options) for options in (one, two)]
    assert (names[0] == names[1]) == (one == two)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.,&+=-]+", name)
        assert len(name) <= MOST
