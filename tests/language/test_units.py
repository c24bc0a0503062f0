"""Units of a layer: runs of units that are alike, node tables, and what parts of them are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.connectomes import NodeTable
from netbuild.language.units import (
    MOST_AREAS,
    Units,
    units_of_areas,
    units_of_input,
    units_of_table,
)
from netbuild.splits import round_half_up

FRACTIONS = st.none() | st.floats(0, 1)
PARTS = st.lists(st.tuples(st.integers(1, 6), FRACTIONS), min_size=1, max_size=5)
Parts = list[tuple[int, float | None]]


def layer_of(parts: Parts) -> Units:
    return units_of_areas(
        "h", [(f"A{k}", size, fraction) for k, (size, fraction) in enumerate(parts)]
    )


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
    many = units_of_areas("h", [("A", 10**15, 0.25), ("B", 1, None)])
    assert many.size == 10**15 + 1
    assert many.part(area="A", sign=-1).spans == ((25 * 10**13, 10**15),)


def test_units_with_and_without_signs_stand_together() -> None:
    found = units_of_areas("h", [("A", 2, 1), ("B", 3, None)])
    assert found.signed
    assert found.signs is not None
    assert found.signs.tolist() == [1, 1, 0, 0, 0]
    assert not found.part(area="B").signed


ROW = st.tuples(st.sampled_from(["V1", "M1", ""]), st.sampled_from([1, -1, 0]))
ROWS = st.lists(ROW, min_size=1, max_size=9)


def table(rows: list[tuple[str, int]], *, signs: bool = True, areas: bool = True) -> Units:
    n = len(rows)
    names = np.array([f"n{k}" for k in range(n)], object)
    columns = {"area": np.array([area for area, _ in rows], object)} if areas else {}
    values = np.array([sign for _, sign in rows], np.int8) if signs else None
    return units_of_table("brain", NodeTable(names, columns, values))


@given(ROWS)
def test_all_units_are_those_of_the_table(rows: list[tuple[str, int]]) -> None:
    found = table(rows)
    assert (found.size, found.layer, found.whole) == (len(rows), "brain", True)
    assert found.spans == ((0, len(rows)),)
    assert found.indices.tolist() == list(range(len(rows)))
    assert found.signed
    assert found.signs is not None
    assert found.signs.tolist() == [sign for _, sign in rows]
    assert found.names.tolist() == [f"n{k}" for k in range(len(rows))]
    assert found.areas == tuple(dict.fromkeys(area for area, _ in rows if area))


@given(ROWS, st.sampled_from([None, "V1", "M1", "X"]), st.sampled_from([None, 1, -1]))
def test_a_part_is_what_a_loop_finds(
    rows: list[tuple[str, int]], area: str | None, sign: int | None
) -> None:
    part = table(rows).part(area=area, sign=sign)
    wanted = [k for k, (own, its) in enumerate(rows) if area in (None, own) and sign in (None, its)]
    assert part.indices.tolist() == wanted
    assert part.size == len(wanted)
    assert not part.whole
    assert [unit for start, stop in part.spans for unit in range(start, stop)] == wanted
    gaps = zip(part.spans, part.spans[1:], strict=False)
    assert all(first[1] < second[0] for first, second in gaps)
    assert part.names.tolist() == [f"n{k}" for k in wanted]


@given(ROWS, st.sampled_from([1, -1, 0]))
def test_units_that_are_passed_on_count_from_0_and_keep_their_rows(
    rows: list[tuple[str, int]], sign: int
) -> None:
    part = table(rows).part(sign=sign)
    passed = part.passed_on("drop")
    assert (passed.layer, passed.whole) == ("drop", True)
    assert passed.indices.tolist() == list(range(part.size))
    assert passed.table is not None
    np.testing.assert_array_equal(passed.names, part.names)
    np.testing.assert_array_equal(passed.signs, part.signs)
    np.testing.assert_array_equal(passed.table.columns["area"], part.area)
    again = passed.part(area="V1").passed_on("second")
    wanted = [k for k, row in enumerate(rows) if row == ("V1", sign)]
    assert again.names.tolist() == [f"n{k}" for k in wanted]


def test_nothing_is_known_without_columns() -> None:
    found = table([("V1", 1)] * 3, signs=False, areas=False)
    assert not found.signed
    assert found.signs is None
    assert found.area.tolist() == [""] * 3
    assert found.areas == ()
    assert found.part(area="V1").size == found.part(sign=1).size == 0
    assert found.part(sign=1).spans == ()
    assert found.passed_on("d").signs is None


@pytest.mark.parametrize("count", [MOST_AREAS, MOST_AREAS + 1])
def test_a_column_of_very_many_words_names_no_areas(count: int) -> None:
    found = table([(f"A{k}", 0) for k in range(count)])
    assert len(found.areas) == (count if count <= MOST_AREAS else 0)
    assert found.part(area="A7").size == 1


def test_inputs_with_names_are_areas_of_the_input() -> None:
    found = units_of_input(5, {"light": (1, 3), "sound": (0,)})
    assert found.areas == ("sound", "light")
    assert found.part(area="light").indices.tolist() == [1, 3]
    assert found.part(area="light").numbered(found).tolist() == ["light_0", "light_2"]
    assert units_of_input(3, {}).numbered(units_of_input(3, {})).tolist() == [
        *("input_0", "input_1", "input_2")
    ]


def test_units_know_where_they_come_from() -> None:
    hidden = units_of_areas("hidden", [("A", 3, None), ("B", 2, None)])
    first = hidden.part(area="B").passed_on("drop")
    second = first.chosen(np.array([False, True])).passed_on("again")
    assert second.indices.tolist() == [0]
    layer, indices = second.origin
    assert (layer, indices.tolist()) == ("hidden", [4])
