"""Populations with names: parts of them by area and sign, as loops over the table find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.language.named import MOST_AREAS, Named, Rows, named

ROW = st.tuples(st.sampled_from(["V1", "M1", ""]), st.sampled_from([1, -1, 0]))
ROWS = st.lists(ROW, min_size=1, max_size=9)


@dataclass(frozen=True)
class Nodes:
    names: Any
    columns: Any
    signs: Any


def units(rows: list[tuple[str, int]], *, signs: bool = True, areas: bool = True) -> Named:
    n = len(rows)
    names = np.array([f"n{k}" for k in range(n)], object)
    columns = {"area": np.array([area for area, _ in rows], object)} if areas else {}
    values = np.array([sign for _, sign in rows], np.int8) if signs else None
    return named("brain", Nodes(names, columns, values))


@given(ROWS)
def test_all_units_are_those_of_the_table(rows: list[tuple[str, int]]) -> None:
    found = units(rows)
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
    part = units(rows).part(area=area, sign=sign)
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
    part = units(rows).part(sign=sign)
    passed = part.passed_on("drop")
    assert (passed.layer, passed.whole) == ("drop", True)
    assert passed.indices.tolist() == list(range(part.size))
    assert isinstance(passed.table, Rows)
    np.testing.assert_array_equal(passed.names, part.names)
    np.testing.assert_array_equal(passed.signs, part.signs)
    np.testing.assert_array_equal(passed.table.columns["area"], part.area)
    again = passed.part(area="V1").passed_on("second")
    wanted = [k for k, row in enumerate(rows) if row == ("V1", sign)]
    assert again.names.tolist() == [f"n{k}" for k in wanted]


def test_nothing_is_known_without_columns() -> None:
    found = units([("V1", 1)] * 3, signs=False, areas=False)
    assert not found.signed
    assert found.signs is None
    assert found.area is None
    assert found.areas == ()
    assert found.part(area="V1").size == found.part(sign=1).size == 0
    assert found.part(sign=1).spans == ()
    assert found.passed_on("d").signs is None


@pytest.mark.parametrize("count", [MOST_AREAS, MOST_AREAS + 1])
def test_a_column_of_very_many_words_names_no_areas(count: int) -> None:
    found = units([(f"A{k}", 0) for k in range(count)])
    assert len(found.areas) == (count if count <= MOST_AREAS else 0)
    assert found.part(area="A7").size == 1
