"""Figures as SVG in a page: one name for one thing, no style that leaks, the same bytes again."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from report_pages import HOSTILE, Page

from netbuild.drawing.look import new_axes
from netbuild.drawing.table import Drawing
from netbuild.report.figures import MOST_ROWS, Figures, learning_alt, settings_alt, svg_of


def drawn(title: str = "a title") -> Drawing:
    ax = new_axes()
    ax.plot([0, 1, 2], [1, 3, 2], "o-")
    ax.imshow(np.eye(3))
    ax.set_title(title)
    return Drawing(ax.figure, {"x": np.arange(3), "name": np.array(["a", "=b", "c"])})  # type: ignore[arg-type]


def test_two_figures_share_no_name() -> None:
    figures = Figures()
    first, second = (figures.picture("t", "alt", drawn(), "numbers") for _ in range(2))
    names = [set(Page(each.svg.encode()).values("id")) for each in (first, second)]
    assert names[0]
    assert not names[0] & names[1]
    assert first.csv.decode() == "x,name\n0,a\n1,'=b\n2,c\n"


def test_references_lead_to_names_of_the_same_figure() -> None:
    svg = svg_of(drawn().figure, "f", "alt")
    root = ElementTree.fromstring(svg)
    known = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    used = [v for e in root.iter() for v in e.attrib.values() if v.startswith(("#", "url(#"))]
    links = [value.removeprefix("url(").rstrip(")")[1:] for value in used if "-" in value]
    assert links
    assert set(links) <= known


def test_a_figure_brings_no_style_sheet_and_is_the_same_again() -> None:
    title = HOSTILE.replace("\x1b", "")
    svg = svg_of(drawn(title).figure, "f", HOSTILE)
    tags = {element.tag for element in ElementTree.fromstring(svg).iter()}
    assert not tags & {"style", "script", "metadata"}
    assert all(":" not in tag and "{" not in tag for tag in tags)
    assert svg == svg_of(drawn(title).figure, "f", HOSTILE)
    assert "<script" not in svg


def test_numbers_that_are_too_many_stay_away() -> None:
    many = Drawing(drawn().figure, {"x": np.arange(MOST_ROWS + 1)})
    assert Figures().picture("t", "alt", many, "numbers").csv == b""


def test_words_for_a_learning_curve() -> None:
    data = {
        "step": np.array([1, 2, 2]),
        "curve": np.array(["loss", "loss", "accuracy"]),
        "of": np.array(["training", "training", "evaluation"]),
        "value": np.array([2.0, 1.0, 0.5]),
    }
    assert learning_alt(data) == (
        "Over 2 steps: loss in training from 2 to 1; accuracy in evaluation from 0.5 to 0.5."
    )


def test_words_for_the_settings_of_an_experiment() -> None:
    data = {"setting": np.array(["a", "a", "b"]), "mean": np.array([0.1, 0.5, 0.75])}
    assert settings_alt(data).endswith("and the single runs: a 0.5; b 0.75.")
    curves = settings_alt(data | {"step": np.array([1, 2, 2])})
    assert curves.endswith("at the end of each curve a 0.5; b 0.75.")
    assert "single runs" in settings_alt({"value": np.array(["x"])})
