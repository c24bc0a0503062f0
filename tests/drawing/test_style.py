"""Our style: matplotlib's defaults whatever the user set, and labels broken into lines that fit."""

from __future__ import annotations

import io
import re

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from netbuild.drawing.look import new_axes, new_figure
from netbuild.drawing.style import MOST_LINES, OwnFigure, own_style, settle

WORDS = "the mean firing rate of all excitatory units in the second area"


def figure_of(**labels: str) -> Figure:
    ax = new_axes(3.0, 2.5)
    ax.set(**labels)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def test_a_users_settings_have_no_part_in_a_figure() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9.0, "text.parse_math": True}):
        with own_style():
            assert matplotlib.rcParams["lines.linewidth"] == 1.5
            assert not matplotlib.rcParams["text.parse_math"]
        assert matplotlib.rcParams["lines.linewidth"] == 9.0


def test_a_figure_is_saved_in_our_style() -> None:
    def saved() -> bytes:
        figure, buffer = figure_of(xlabel="time"), io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        # matplotlib draws the identifiers of clip paths at random.
        return re.sub(rb'(id="|#)[pm][0-9a-f]{10}', b"", buffer.getvalue())

    plain = saved()
    with matplotlib.rc_context({"axes.edgecolor": "red", "xtick.major.size": 30.0}):
        assert saved() == plain
    assert isinstance(new_figure(), OwnFigure)


@pytest.mark.parametrize("place", ["title", "xlabel", "ylabel"])
def test_a_long_label_becomes_lines_with_the_same_words(place: str) -> None:
    figure = figure_of(**{place: WORDS})
    settle(figure)
    ax = figure.axes[0]
    text = {"title": ax.title, "xlabel": ax.xaxis.label, "ylabel": ax.yaxis.label}[place]
    assert text.get_text().split() == WORDS.split()
    assert 1 < len(text.get_text().split("\n")) <= MOST_LINES
    drawn = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert max(drawn.x1 / figure.bbox.x1, drawn.y1 / figure.bbox.y1) <= 1.0
    assert min(drawn.x0, drawn.y0) >= 0.0


def test_short_labels_stay_as_they_are() -> None:
    figure = figure_of(title="rates", xlabel="time (ms)")
    settle(figure)
    assert figure.axes[0].get_title() == "rates"
    assert figure.axes[0].get_xlabel() == "time (ms)"


def test_what_needs_too_many_lines_ends_with_an_ellipsis() -> None:
    figure = figure_of(title="x" * 400)
    settle(figure)
    lines = figure.axes[0].get_title().split("\n")
    assert len(lines) == MOST_LINES
    assert lines[-1].endswith("…")
