"""What differs, by meaning: values by path, and the first step at which two logs part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netbuild
from netbuild.compare import (
    differences,
    first_divergence,
    flat,
    inputs_of,
    overrides_of,
    values_of,
)


def log(*steps: int, **values: float) -> list[dict[str, Any]]:
    """Records of training, of which the clock is all that differs between two."""
    return [
        {"step": step, "kind": "train", "loss": 1 / step, "steps_per_second": 7.0, **values}
        for step in steps
    ]


def test_values_and_inputs_are_apart(small: Path) -> None:
    spec = netbuild.load(small)
    values, inputs = values_of(spec), inputs_of(spec)
    assert values["training.optimizer.lr"] == 0.01
    assert inputs == {"task.file": f"sha256 {spec.files['task.file'].sha256[:16]}"}
    assert not values.keys() & inputs.keys()


def test_a_file_of_another_name_that_holds_the_same_is_no_difference(small: Path) -> None:
    one = netbuild.load(small)
    (small.parent / "copy.npz").write_bytes((small.parent / "data.npz").read_bytes())
    other = netbuild.load(small, ["task.file=copy.npz"])
    assert differences(values_of(one), values_of(other)) == []
    assert differences(inputs_of(one), inputs_of(other)) == []


def test_overrides_are_listed_as_they_were_given() -> None:
    about = {"overrides": ["a=1", "b+=2"], "unset": []}
    assert overrides_of(about) == {"--set": ["a=1", "b+=2"]}
    assert overrides_of({}) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (math.nan, math.nan, True),
        (math.nan, 0.0, False),
        ("1", 1, False),
        ([1, 2], [1, 2], True),
    ],
)
def test_what_counts_as_the_same(one: Any, other: Any, same: bool) -> None:
    assert (differences({"a": one}, {"a": other}) == []) is same
    assert (differences({"a": other}, {"a": one}) == []) is same


def test_what_only_one_has_differs_even_from_none() -> None:
    assert differences({"a": None, "b": 1}, {"c": 2}) == [
        ("a", None, None),
        ("b", 1, None),
        ("c", None, 2),
    ]


def test_flat_data_has_a_path_for_each_value() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": {}}) == {"a.b.c": 1, "a.d": [2]}


def test_logs_part_at_the_first_value_that_differs() -> None:
    one = [*log(10, 20, 30), {"step": 30, "kind": "evaluation", "loss": 1.0}]
    other = [*log(10, 20, 30), {"step": 30, "kind": "evaluation", "loss": 2.0}]
    assert first_divergence(one, one) is None
    found = first_divergence(one, other)
    assert found is not None
    assert (found.step, found.kind, found.agreed) == (30, "evaluation", 30)
    assert found.differences == [("loss", 1.0, 2.0)]
    first = first_divergence(log(10, 20), log(10, 20, loss=0.5))
    assert first is not None
    assert (first.step, first.agreed) == (10, None)


def test_the_clock_tells_no_two_logs_apart() -> None:
    assert first_divergence(log(1, 2), log(1, 2, steps_per_second=9.0)) is None
    assert first_divergence(log(1), log(1, accuracy=0.5)) is not None


def test_nested_values_are_told_by_their_paths() -> None:
    one, other = ({"step": 1, "kind": "train", "regularizers": {"l1": {"raw": r}}} for r in (1, 2))
    found = first_divergence([one], [other])
    assert found is not None
    assert found.differences == [("regularizers.l1.raw", 1, 2)]


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(1, 31))
def test_only_steps_that_both_have_are_compared(
    one: set[int], other: set[int], parting: int
) -> None:
    left = log(*sorted(one))
    right = [
        record | ({"loss": 9.0} if record["step"] >= parting else {})
        for record in log(*sorted(other))
    ]
    common = sorted(one & other)
    later = [step for step in common if step >= parting]
    found = first_divergence(left, right)
    if not later:
        assert found is None
        return
    assert found is not None
    assert found.step == later[0]
    assert found.agreed == max((step for step in common if step < parting), default=None)


def test_records_of_no_step_are_left_out() -> None:
    odd: list[Any] = [{"kind": "train"}, {"step": 1}, 3, {"step": "x", "kind": "train"}]
    assert first_divergence([*odd, *log(2)], [*log(2), {"kind": "diverged", "step": 2}]) is None
