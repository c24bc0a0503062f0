"""Problems and errors as data: their exit codes, their text, and their way through pickle."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from netbuild.errors import DataFileError, Exit, Place, Problem, SpecError, joined
from netbuild.explanations import EXPLANATIONS


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("NB003", Exit.SPEC),
        ("NB101", Exit.SPEC),
        ("NB201", Exit.DATA),
        ("NB301", Exit.SPEC),
        ("NB601", Exit.DONE),
        ("NB901", Exit.RESOURCES),
        ("NB1001", Exit.MISSING),
    ],
)
def test_the_number_of_a_code_says_its_exit_code(code: str, exit_code: Exit) -> None:
    assert Problem(code, "what").exit_code is exit_code
    assert Problem(code, "what").severity == ("error" if exit_code else "warning")


def test_only_warnings_have_no_exit_code() -> None:
    warnings = [code for code in EXPLANATIONS if not Problem(code, "what").exit_code]
    assert warnings == [code for code in EXPLANATIONS if code.startswith("NB6")]


def test_several_problems_have_the_lowest_exit_code() -> None:
    problems = [Problem(code, "what") for code in ("NB901", "NB201", "NB101")]
    codes = [SpecError(problems[:count]).exit_code for count in (1, 2, 3)]
    assert all(later < earlier for earlier, later in pairwise(codes))


def test_errors_travel_between_processes() -> None:
    place = Place("spec.yaml", 3, 5, 9, "  x: 1")
    error = SpecError(
        [Problem("NB101", "unknown key `x`", "x", place, "no")], [Problem("NB601", "")]
    )
    again = pickle.loads(pickle.dumps(error))
    assert (again.problems, again.warnings) == (error.problems, error.warnings)
    assert str(again) == str(error) == "spec.yaml:3:5: error[NB101] x: unknown key `x`"
    data = DataFileError("NB202", "no file", "look", ("edges", "weight"))
    found = pickle.loads(pickle.dumps(data))
    assert (found.code, found.what, found.hint, found.key) == ("NB202", "no file", "look", data.key)
    assert found.exit_code is Exit.DATA


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("a.yaml"), "a.yaml"),
        (Place("a.yaml", 2, 7), "a.yaml:2:7"),
        (Place("--set #2", 1, 4), "--set #2, column 4"),
    ],
)
def test_places(place: Place, text: str) -> None:
    assert str(place) == text


def test_hints_are_joined() -> None:
    assert joined("a", "", "b") == "a; b"
    assert joined("", "") == ""
