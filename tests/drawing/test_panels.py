"""Panels: colours that differ, and names that do not run into each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netbuild.drawing.look import new_axes
from netbuild.drawing.panels import Span, colours, name_spans


def test_colours_tell_conditions_apart() -> None:
    for values in (np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.arange(5.0), np.array(["a", "b"])):
        found = colours(values)
        assert len({tuple(np.round(c, 3)) if not isinstance(c, str) else c for c in found}) == len(
            values
        )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 14))
def test_names_of_periods_do_not_run_into_each_other(lengths: list[int], letters: int) -> None:
    ends = np.cumsum([0, *lengths])
    spans = [Span("m" * letters, float(a), float(b)) for a, b in pairwise(ends)]
    ax = new_axes()
    ax.set_xlim(0, ends[-1])
    height = name_spans(ax, spans, 0.0, float(ends[-1]))
    lines: dict[float, list[float]] = {}
    for text in ax.texts:
        assert 0 < text.xy[0] < 1
        lines.setdefault(text.xyann[1], []).append(text.xy[0])
    assert len(ax.texts) == len(spans)
    assert len(lines) * 10 == height
    assert all(low < high for places in lines.values() for low, high in pairwise(places))
