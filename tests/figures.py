"""Which texts a figure shows, and whether each is inside it and apart from all others."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

NEAR = 1.0  # pixels by which boxes may cross: they hold the space of letters that reach lower


def drawn_texts(figure: Any) -> dict[Text, Any]:
    """Every text that is really drawn, with its box in pixels of 100 an inch."""
    found: list[Text] = []
    original = Text.draw

    def draw(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found.append(self)
        original(self, renderer)

    canvas = FigureCanvasAgg(figure)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        canvas.draw()
    return {text: Text.get_window_extent(text, canvas.get_renderer()) for text in found}


def misplaced(figure: Any) -> list[str]:
    """What is wrong: texts that leave the figure, that no font draws, or that cover each other."""
    boxes = drawn_texts(figure)
    width, height = figure.bbox.width, figure.bbox.height
    wrong = [
        f"{text.get_text()!r} leaves the figure: {box.extents.round()} of {width:g} x {height:g}"
        for text, box in boxes.items()
        if box.x0 < -NEAR or box.y0 < -NEAR or box.x1 > width + NEAR or box.y1 > height + NEAR
    ]
    words = {text.get_text() for text in boxes}
    wrong += [repr(word) for word in words if not word.replace("\n", "").isprintable()]
    for (one, a), (two, b) in combinations(boxes.items(), 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > NEAR and along > NEAR:
            wrong.append(f"{one.get_text()!r} and {two.get_text()!r} cross")
    return wrong
