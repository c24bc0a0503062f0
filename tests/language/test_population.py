"""Populations: runs of units that are alike, and what parts of them are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.language.population import Population, Run, area_meant, units
from netbuild.splits import round_half_up

FRACTIONS = st.none() | st.floats(0, 1)
PARTS = st.lists(st.tuples(st.integers(1, 6), FRACTIONS), min_size=1, max_size=5)
Parts = list[tuple[int, float | None]]


def layer_of(parts: Parts) -> Population:
    return units("h", [(f"A{k}", size, fraction) for k, (size, fraction) in enumerate(parts)])


def signs_of(parts: Parts) -> list[int]:
    """Unit by unit, without runs."""
    signs: list[int] = []
    for size, fraction in parts:
        first = 0 if fraction is None else round_half_up(fraction, size)
        signs += [0] * size if fraction is None else [1] * first + [-1] * (size - first)
    return signs


@given(PARTS)
def test_units_are_in_the_order_of_their_areas_each_with_its_sign(parts: Parts) -> None:
    found, expected = layer_of(parts), signs_of(parts)
    assert found.size == len(expected)
    assert found.areas == tuple(f"A{k}" for k in range(len(parts)))
    assert found.spans == ((0, len(expected)),)
    assert found.indices.tolist() == list(range(len(expected)))
    assert found.whole
    if any(fraction is not None for _, fraction in parts):
        assert found.signs is not None
        assert found.signs.tolist() == expected
    else:
        assert found.signs is None
        assert not found.signed


@given(PARTS, st.sampled_from([None, 1, -1]), st.booleans())
def test_a_part_has_the_units_that_it_names(
    parts: Parts, sign: int | None, of_one_area: bool
) -> None:
    area = f"A{len(parts) - 1}" if of_one_area else None
    part = layer_of(parts).part(area=area, sign=sign)
    start = sum(size for size, _ in parts[:-1]) if of_one_area else 0
    wanted = [i for i, own in enumerate(signs_of(parts)) if i >= start and sign in (None, own)]
    assert part.size == len(wanted)
    assert not part.whole
    if wanted:
        assert part.indices.tolist() == wanted
        assert [i for begin, end in part.spans for i in range(begin, end)] == wanted
    assert all(
        first[1] < second[0] for first, second in zip(part.spans, part.spans[1:], strict=False)
    )


@given(PARTS, st.sampled_from([1, -1]))
def test_what_passes_units_on_counts_them_from_zero(parts: Parts, sign: int) -> None:
    part = layer_of(parts).part(sign=sign)
    passed = part.passed_on("drop")
    assert (passed.layer, passed.size, passed.areas) == ("drop", part.size, part.areas)
    assert passed.whole
    if part.size:
        assert passed.indices.tolist() == list(range(part.size))
        np.testing.assert_array_equal(passed.signs, part.signs)


def test_units_beyond_any_memory_are_counted() -> None:
    many = units("h", [("A", 10**15, 0.25), ("B", 1, None)])
    assert many.size == 10**15 + 1
    assert many.part(area="A", sign=-1).spans == ((25 * 10**13, 10**15),)


def test_units_with_and_without_signs_stand_together() -> None:
    found = Population("h", (Run(0, 2, 1, "A"), Run(2, 5, None, "B")))
    assert found.signed
    assert found.signs is not None
    assert found.signs.tolist() == [1, 1, 0, 0, 0]
    assert not found.part(area="B").signed


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hidden.V1", "an area is named alone: write `V1`"),
        ("hidden.V1.excitatory", "an area is named alone: write `V1.excitatory`"),
        ("hidden.V2", ""),
        ("V1", ""),
        ("V1.", ""),
    ],
)
def test_an_area_that_is_named_with_its_layer(text: str, hint: str) -> None:
    assert area_meant(text, ["V1", "PFC"]) == hint
