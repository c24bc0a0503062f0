"""What all figures share: our style, and names that fit; matplotlib is imported late."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")  # a figure, or a named tuple with one
MOST_LETTERS = 20  # of a name in a figure


def new_figure(width: float = 4.2, height: float = 3.6) -> Figure:
    """A figure in inches, which pyplot does not know and nothing needs to close."""
    from netbuild.drawing.style import OwnFigure, own_style

    with own_style():
        return OwnFigure(figsize=(width, height), layout="constrained")


def new_axes(width: float = 4.2, height: float = 3.6) -> Axes:
    """Axes in a new figure."""
    from netbuild.drawing.style import own_style

    with own_style():
        return new_figure(width, height).subplots()


def own_look(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Make a drawing function use our style where it is not given Axes to draw in.

    Whatever the user's matplotlibrc says then has no part in the figure, and long labels are broken
    into lines. Axes that are given stay in the style of whoever made them.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **words: Arguments.kwargs) -> Drawn:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

        from netbuild.drawing.style import own_style, settle

        if any(isinstance(given, Axes) for given in (*args, *words.values())):
            return draw(*args, **words)
        with own_style():
            found = draw(*args, **words)
            settle(found if isinstance(found, Figure) else found.figure)  # type: ignore[attr-defined]
        return found

    return drawn


def name_of(text: str, most: int = MOST_LETTERS) -> str:
    """A name as figures write it: characters that the font lacks, or that move the cursor, as their
    codes (`\\u4e2d`, `\\x1b`), and in the middle of more than `most` letters an ellipsis.
    """
    seen = "".join(c if _is_drawn(c) else c.encode("unicode_escape").decode() for c in text)
    if len(seen) <= most:
        return seen
    half = (most - 1) // 2
    return f"{seen[: most - 1 - half]}…{seen[-half:]}"


@cache
def _is_drawn(letter: str) -> bool:
    return letter.isprintable() and ord(letter) in _glyphs()


@cache
def _glyphs() -> frozenset[int]:
    """The characters that matplotlib's own font has."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import get_font

    return frozenset(get_font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())
