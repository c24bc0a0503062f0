"""Our figures have one look: matplotlib's own defaults, whatever a matplotlibrc says.

This module imports matplotlib, and is imported when a figure is made.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

MOST_LINES = 4  # of a label or a title; what is longer ends with an ellipsis
BREAKS = " ,&=_.-"  # characters after which a line may end
PASSES = 3
EDGE = 4.0  # points that stay free on each side of a label


def own_style() -> AbstractContextManager[None]:
    """matplotlib's defaults, with names written as they are and not read as formulas.

    The backend stays as it is.
    """
    return style.context(["default", {"text.parse_math": False}])


class OwnFigure(Figure):
    """A figure that is drawn and saved in our style, as ticks are made when it is drawn."""

    def draw(self, renderer: Any) -> None:
        """Draw as matplotlib does."""
        with own_style():
            super().draw(renderer)

    def savefig(self, fname: Any, **words: Any) -> None:
        """Save as matplotlib does."""
        with own_style():
            super().savefig(fname, **words)


def settle(figure: Figure) -> None:
    """Break labels and titles that are longer than their panel into several lines."""
    for _ in range(PASSES):  # a label of more lines makes the axes beside it shorter
        if not _arrange(figure):
            return


def _arrange(figure: Figure) -> bool:
    """Lay the figure out and break its labels; whether any was broken."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    changed = False
    for ax in figure.axes:
        across, along = _room(ax, figure)
        for text, room in (
            (ax.title, ax.get_position().width * figure.get_figwidth() * 72),
            (ax.xaxis.label, across),
            (ax.yaxis.label, along),
        ):
            broken = _broken(text, room)
            changed |= broken != text.get_text()
            text.set_text(broken)
    return changed


def _room(ax: Axes, figure: Figure) -> tuple[float, float]:
    """Points that a label centred on an axis has along x and along y within its own cell."""
    box, spec = ax.get_position(), ax.get_subplotspec()
    if spec is None:  # a colour bar, which is as high as its panel
        columns, rows, column, row = 1, 1, 0, 0
    else:
        grid = spec.get_gridspec()
        columns, rows = grid.ncols, grid.nrows
        row, column = divmod(spec.num1, columns)
    found = []
    for low, high, part, parts, inches in (
        (box.x0, box.x1, column, columns, figure.get_figwidth()),
        (box.y0, box.y1, rows - 1 - row, rows, figure.get_figheight()),
    ):
        middle = (low + high) / 2
        half = min(middle - part / parts, (part + 1) / parts - middle)
        found.append(max(2 * half, high - low) * inches * 72 - 2 * EDGE)
    return found[0], found[1]


def _broken(text: Text, room: float) -> str:
    """The words of a text in lines of at most so many points."""
    lines: list[str] = []
    for line in text.get_text().split("\n"):
        lines += _lines(text, line, room)
    if len(lines) > MOST_LINES:
        last = lines[MOST_LINES - 1]
        while last and _width(text, f"{last}…") > room:
            last = last[:-1]
        lines = [*lines[: MOST_LINES - 1], f"{last}…"]
    return "\n".join(lines)


def _lines(text: Text, line: str, room: float) -> list[str]:
    found: list[str] = []
    while _width(text, line) > room and len(line) > 1:
        end = len(line) - 1
        while end > 1 and _width(text, line[:end].rstrip()) > room:
            end -= 1
        cut = max((i + 1 for i in range(end) if line[i] in BREAKS), default=0)
        end = cut if cut > end / 3 else end
        found.append(line[:end].rstrip())
        line = line[end:].lstrip()
    return [*found, line]


def _width(text: Text, words: str) -> float:
    """The width of one line, in points, without the kerning of its letters."""
    size = float(text.get_fontsize())
    return size * sum(_letter(letter) for letter in words)


@cache
def _letter(letter: str) -> float:
    """The width of a letter of our font, as a part of the size of the font."""
    width, _, _ = text_to_path.get_text_width_height_descent(
        letter * 10, FontProperties(size=10), ismath=False
    )
    return float(width) / 100
