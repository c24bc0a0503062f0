"""Sections are strict and frozen, and a wrong value is one error at its place."""

from __future__ import annotations

import copy
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError
from whole_spec import WHOLE, problems_of

from netbuild.language.base import FIRST_TAG, Model, OneOf, WordOrNumber, as_in, key
from netbuild.language.grammar import location_of
from netbuild.language.spec import NetworkSpec


class Square(Model):
    """A kind that its `type` tells."""

    type: Literal["square"]
    side: float = key(..., "its side", 2.0, gt=0)


class FromFile(Model):
    """A kind that its first key tells."""

    file: str = key(..., "where it is", "x.npy")


class Drawing(Model):
    """A section with a union of each kind."""

    shape: Annotated[Square | FromFile, OneOf("type")]
    times: Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], WordOrNumber()] = "auto"


@pytest.mark.parametrize(
    ("data", "kind", "location"),
    [
        ({"shape": {"type": "square", "side": 0}}, "greater_than", ("shape", "side")),
        ({"shape": {"type": "square", "file": "x"}}, "missing", ("shape", "side")),
        ({"shape": {"file": 3}}, "string_type", ("shape", "file")),
        ({"shape": {"type": "circle"}}, "untold", ("shape",)),
        ({"shape": 3}, "untold", ("shape",)),
        ({"shape": {"file": "x"}, "times": "often"}, "literal_error", ("times",)),
        ({"shape": {"file": "x"}, "times": 0}, "greater_than_equal", ("times",)),
        ({"shape": {"file": "x"}, "times": True}, "int_type", ("times",)),
        ({"shape": {"file": "x"}, "<x>": 1}, "extra_forbidden", ("<x>",)),
    ],
)
def test_a_wrong_value_is_found_at_its_place(
    data: object, kind: str, location: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(data)
    error = caught.value.errors()[0]
    assert (error["type"], location_of(error["loc"])) == (kind, location)


def test_every_tag_of_a_union_is_negative() -> None:
    assert FIRST_TAG + 900 < 0  # as many kinds as a union may have


def test_a_key_of_another_section_may_be_left_out() -> None:
    info = as_in(Square, "side")
    assert (info.default, info.description, info.examples) == (None, "its side", [2.0])


def test_models_are_strict() -> None:
    for wrong in (True, 1.0, "1"):
        data = copy.deepcopy(WHOLE) | {"netbuild": wrong}
        assert [problem.code for problem in problems_of(data)] == ["NB107"]
    with pytest.raises(ValueError, match="frozen"):
        NetworkSpec.model_validate(WHOLE).seed = 3
