"""Groups of units along the axes of a weight matrix: colour strips, lines, and names that fit."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import matrices
from netbuild.drawing.look import name_of
from netbuild.drawing.panels import GREY, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
COLOURS = {1: matrices.EXCITATORY, -1: matrices.INHIBITORY}
LETTERS = {1: "E", -1: "I", 0: ""}
# In points.
LETTER, HEIGHT = 5.0, 10.5  # the width of a letter of a name, and the room a name takes across it
BESIDE, ABOVE = 40.0, 45.0  # what labels take from the width of a panel, and from its height
PAD = 11  # between an axis and the names, where the strips are
LEAD = 10  # more, where lines lead from the groups to their names
# As a part of the axes.
STRIP = 0.03  # the width of the strips
LINE = 0.04  # the height of a name
GAP = 0.06  # between the middles of two names, at the least
MOST_LETTERS = 14  # of a group's name
MOST_LINES = 40  # between groups; more would cover the weights


class Group(NamedTuple):
    """Neighbours of one word (an area, or the value of a column) and one sign."""

    start: int
    stop: int
    word: str
    sign: int = 0

    @property
    def middle(self) -> float:
        """The position of the middle unit."""
        return (self.start + self.stop - 1) / 2


class Side(NamedTuple):
    """The left side of a matrix, which has a place for each row, or its upper side."""

    ax: Axes
    vertical: bool
    units: int  # rows or columns
    length: float  # points, about

    def at(self, outside: float, place: float) -> tuple[float, float]:
        """x and y of a place along the side, a part of the axes outside of them."""
        return (-outside, place) if self.vertical else (place, 1 + outside)

    @property
    def transform(self) -> Any:
        """Of `at` to the figure."""
        ax = self.ax
        return ax.get_yaxis_transform() if self.vertical else ax.get_xaxis_transform()


def groups_of(words: Array, signs: Array) -> list[Group]:
    """Runs of units of one word and sign, in order; none if all are alike and have neither."""
    change = (words[1:] != words[:-1]) | (signs[1:] != signs[:-1])
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), len(words)]
    found = [Group(a, b, str(words[a]), int(signs[a])) for a, b in pairwise(edges)]
    return found if len(found) > 1 or found[0][2:] != ("", 0) else []


def show_groups(ax: Axes, rows: list[Group], columns: list[Group], shape: tuple[int, ...]) -> None:
    """Show the groups of both sides: a strip of colours, a line between groups, and their names.

    Names that would cover each other move apart, with lines that lead to them. Where there are
    too many for that, the large groups have names, and the axis label counts the others.
    """
    cell, figure = ax.get_position(), figure_of(ax)
    height = 72 * cell.height * figure.get_figheight() - ABOVE
    width = 72 * cell.width * figure.get_figwidth() - BESIDE
    if rows:
        _show(Side(ax, True, shape[0], max(height - _longest(columns), 50.0)), rows)
    if columns:
        _show(Side(ax, False, shape[1], max(width - _longest(rows), 50.0)), columns)


def _longest(groups: list[Group]) -> float:
    """About how many points long the longest name of groups is."""
    return LETTER * max((len(_short(group.word)) for group in groups), default=0)


def _show(side: Side, groups: list[Group]) -> None:
    """Show the groups of one side."""
    ax = side.ax
    _strips(side, groups)
    names = _names(groups, side.units)
    gap = max(GAP, HEIGHT / side.length)
    shown = names if len(names) <= 1 / gap else _largest(names, gap * side.units)
    places = _apart([name.middle for name in shown], gap * side.units, side.units)
    pad = PAD + LEAD * _leaders(side, shown, places)
    axis = ax.yaxis if side.vertical else ax.xaxis
    if len(shown) < len(names):
        without = f"{len(names) - len(shown)} small groups have no name"
        axis.set_label_text(f"{axis.get_label_text()}\n{without}")
    texts = [name.word for name in shown]
    if side.vertical:
        ax.set_yticks(places, texts)
        ax.tick_params("y", length=0, pad=pad, labelsize="small")
        if not shown:
            ax.yaxis.labelpad += PAD
        return
    ax.xaxis.tick_top()
    room = side.length / side.units  # points for each column
    crowded = any(len(name.word) * LETTER > (name.stop - name.start) * room for name in shown)
    ax.set_xticks(places, texts)
    ax.tick_params("x", length=0, pad=pad, labelsize="small", rotation=90 if crowded else 0)


def _strips(side: Side, groups: list[Group]) -> None:
    """The strip of colours beside a side, and lines between its groups."""
    from matplotlib.patches import Rectangle

    line = side.ax.axhline if side.vertical else side.ax.axvline
    words = 1 + sum(one.word != other.word for one, other in pairwise(groups))
    for group, after in zip(groups, [*groups[1:], None], strict=True):
        if group.sign:
            x, y = side.at(0.01, group.start - 0.5)
            end = side.at(0.01 + STRIP, group.stop - 0.5)
            look = {"transform": side.transform, "clip_on": False, "lw": 0}
            colour = COLOURS[group.sign]
            side.ax.add_patch(Rectangle((x, y), end[0] - x, end[1] - y, color=colour, **look))
        if after is not None:
            same = after.word == group.word  # only the sign differs
            if (len(groups) if same else words) <= MOST_LINES:
                line(group.stop - 0.5, color="#444444", linewidth=0.3 if same else 0.6)


def _short(word: str) -> str:
    return name_of(word, MOST_LETTERS)


def _names(groups: list[Group], count: int) -> list[Group]:
    """The groups that have a name, which is their word.

    If not all groups of one word are large enough for a name, they share it.
    """
    found: list[Group] = []
    for word, run in groupby(groups, lambda group: group.word):
        alike = list(run)
        large = [group for group in alike if (group.stop - group.start) / count > LINE]
        if word and len(large) < len(alike):
            large = [Group(alike[0].start, alike[-1].stop, word)]
        found += [g._replace(word=f"{_short(word)} {LETTERS[g.sign]}".strip()) for g in large]
    return [group for group in found if group.word]


def _largest(names: list[Group], gap: float) -> list[Group]:
    """Of names that cover each other those of the largest groups."""
    found: list[Group] = []
    for name in sorted(names, key=lambda name: name.start - name.stop):
        if all(abs(name.middle - other.middle) >= gap for other in found):
            found.append(name)
    return sorted(found)


def _apart(middles: list[float], gap: float, count: int) -> list[float]:
    """Places between 0 and count - 1, a gap apart and as near to the middles as can be.

    That is least squares under an order, of the middles less the gaps before them.
    """
    from scipy.optimize import isotonic_regression

    gaps = gap * np.arange(len(middles))
    free = isotonic_regression(middles - gaps).x if middles else gaps
    highest = max(0.0, count - 1 - gap * (len(middles) - 1))
    places: list[float] = (np.clip(free, 0.0, highest) + gaps).tolist()
    return places


def _leaders(side: Side, names: list[Group], places: list[float]) -> bool:
    """Draw lines from groups to the places of their names, if any differ; whether they do."""
    from matplotlib.transforms import ScaledTranslation

    pairs = [(name.middle, place) for name, place in zip(names, places, strict=True)]
    if all(abs(place - at) <= GAP * side.units / 5 for at, place in pairs):
        return False
    points = (PAD + LEAD - 2) / 72
    away = (-points, 0.0) if side.vertical else (0.0, points)
    outer = side.transform + ScaledTranslation(*away, figure_of(side.ax).dpi_scale_trans)
    line = {"arrowstyle": "-", "lw": 0.4, "color": GREY, "shrinkA": 0, "shrinkB": 0}
    for at, place in pairs:
        side.ax.annotate(
            "",
            xy=side.at(STRIP + 0.015, at),
            xycoords=side.transform,
            xytext=side.at(0, place),
            textcoords=outer,
            arrowprops=line,
            annotation_clip=False,
        )
    return True
