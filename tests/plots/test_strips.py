"""Names of groups beside a matrix: which groups have one, and where it stands."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.drawing.look import new_axes
from netbuild.plots.strips import Group, _apart, _largest, _names, groups_of, show_groups


def test_groups_are_runs_of_one_word_and_sign() -> None:
    words, signs = np.array(["a", "a", "a", "b", ""]), np.array([1, 1, -1, -1, 0])
    assert groups_of(words, signs) == [
        Group(0, 2, "a", 1),
        Group(2, 3, "a", -1),
        Group(3, 4, "b", -1),
        Group(4, 5, "", 0),
    ]
    assert groups_of(np.full(5, ""), np.zeros(5)) == []
    assert groups_of(np.full(5, ""), np.ones(5)) == [Group(0, 5, "", 1)]


@given(st.lists(st.floats(0, 99), max_size=20).map(sorted), st.floats(0.1, 20))
def test_names_move_apart_and_stay_in_order(middles: list[float], gap: float) -> None:
    places = _apart(middles, gap, 100)
    assert all(after - before >= gap - 1e-9 for before, after in pairwise(places))
    if gap * len(middles) <= 99:
        assert all(-1e-9 <= place <= 99 + 1e-9 for place in places)
    if all(after - before >= gap for before, after in pairwise(middles)):
        assert places == pytest.approx(middles)  # where there is room nothing moves


def test_small_groups_of_a_word_share_its_name() -> None:
    groups = [Group(0, 50, "a", 1), Group(50, 51, "a", -1), Group(51, 100, "b", 1)]
    assert [(n.start, n.stop, n.word) for n in _names(groups, 100)] == [
        (0, 51, "a"),
        (51, 100, "b E"),
    ]
    assert _names([Group(0, 60, "", 1), Group(60, 100, "", 0)], 100) == [Group(0, 60, "E", 1)]


def test_of_names_that_cover_each_other_the_largest_stay() -> None:
    names = [Group(0, 10, "a"), Group(10, 13, "b"), Group(13, 40, "c")]
    assert [name.word for name in _largest(names, 9)] == ["a", "c"]


def test_each_side_has_its_strip_and_its_names() -> None:
    ax = new_axes()
    rows = [Group(0, 6, "V1", 1), Group(6, 8, "V1", -1)]
    columns = [Group(0, 3, "", 1), Group(3, 4, "", 0)]
    show_groups(ax, rows, columns, (8, 4))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["V1 E", "V1 I"]
    assert ax.get_yticks().tolist() == [2.5, 6.5]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["E"]
    boxes = [patch.get_bbox() for patch in ax.patches]
    assert [(box.y0, box.y1) for box in boxes[:2]] == [(-0.5, 5.5), (5.5, 7.5)]
    assert all(box.x1 < 0 for box in boxes[:2])  # left of the axes
    assert [(box.x0, box.x1) for box in boxes[2:]] == [(-0.5, 2.5)]
    assert boxes[2].y0 > 1  # above them
