"""Arguments of regularizers: bounds, words, signatures, and what a misspelling gets to hear."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.regularization.arguments import (
    BOUNDS,
    NEEDED,
    WORDS,
    arguments,
    bounded,
    checked,
    did_you_mean,
    refuse_unknown,
)


@given(st.floats(0, 1))
def test_a_number_within_its_bounds_is_that_float(value: float) -> None:
    assert bounded("alpha", value) == value
    assert isinstance(bounded("alpha", np.float32(value)), float)


@pytest.mark.parametrize("value", [-1e-9, 1.1, math.nan, math.inf])
def test_numbers_out_of_bounds_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], not"):
        bounded("alpha", value)


@pytest.mark.parametrize("value", [True, "1", None, [1.0]])
def test_only_numbers_are_numbers(value: object) -> None:
    with pytest.raises(TypeError, match=f"Lambda must be a number, not {type(value).__name__}"):
        checked("Lambda", value)


def test_every_name_of_the_tables_is_checked() -> None:
    for name, (low, high) in BOUNDS.items():
        assert checked(name, low) == low
        assert high == math.inf or checked(name, high) == high
        with pytest.raises(ValueError, match=name):
            checked(name, low - 1)
    for name, words in WORDS.items():
        assert [checked(name, word) for word in words] == list(words)
        with pytest.raises(ValueError, match=f"{name} must be one of {', '.join(words)}, not ''"):
            checked(name, "")
    assert checked("of_another_name", "anything") == "anything"


def test_a_signature_has_the_arguments_in_order() -> None:
    found = arguments(params=NEEDED, alpha=0.8, draws=True)
    assert list(found.parameters) == ["params", "alpha", "draw_options"]
    assert found.bind([1], 0.5, seed=3).arguments["draw_options"] == {"seed": 3}
    assert found.parameters["alpha"].default == 0.8
    with pytest.raises(TypeError, match="params"):
        found.bind()
    assert "draw_options" not in arguments(params=NEEDED).parameters
    assert found.parameters["params"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def test_a_misspelt_word_is_shown_the_nearest_one() -> None:
    assert did_you_mean("alhpa", ["alpha", "beta"]) == "; did you mean 'alpha'?"
    assert did_you_mean("lambda", ["Lambda"]) == "; did you mean 'Lambda'?"
    assert did_you_mean("zzz", ["alpha"]) == ""
    refuse_unknown(["alpha"], ("alpha", "p"), "L1")
    with pytest.raises(ValueError, match=r"L1 does not know 'alhpa'; did .*'q' \(it knows: alpha"):
        refuse_unknown(["alhpa", "q"], ("alpha", "p"), "L1")
