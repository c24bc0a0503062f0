"""What a report consists of: pieces of text, tables of them, listings, figures, and sections.

Nothing here is escaped. Whatever writes a report (`page`, `tex`) escapes every piece; only a
`Math`, which is never made of text from a spec, and the SVG of a `Picture` are markup already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias


class Math(str):
    """A formula in the subset of TeX that `equations` reads; its words are ours, never a spec's."""

    __slots__ = ()


class Code(str):
    """A name, a path or a value, as a spec or a command line has it."""

    __slots__ = ()


class Number(str):
    """A number, flush right in a column."""

    __slots__ = ()


class Doi(str):
    """A digital object identifier, which becomes a link."""

    __slots__ = ()


_COPY = re.compile(r"^inputs/[0-9a-f]{16}-(?=.)")
Line: TypeAlias = "str | tuple[str, ...]"  # a piece, or pieces one after another
Cell: TypeAlias = "Line | list[Line]"  # a list: lines below each other
Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its head."""

    kind: ClassVar[str] = "table"

    caption: str
    head: tuple[str, ...]  # of the columns; () for a table of names and values
    rows: Sequence[Row]
    widths: tuple[float, ...] = ()  # of the columns, as parts of the whole, where text is set


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    kind: ClassVar[str] = "paragraph"

    text: Line


@dataclass(frozen=True)
class Note:
    """Something that a reader must not miss: `good`, or a `warning`."""

    kind: ClassVar[str] = "note"

    text: Line
    tone: str = "warning"


@dataclass(frozen=True)
class Listing:
    """A text that was read or is to be typed; with a file name it can be saved."""

    kind: ClassVar[str] = "listing"

    title: str
    text: str
    file: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure: SVG of ours (or a PNG as a data URI), with its description in words."""

    kind: ClassVar[str] = "picture"

    title: str
    alt: str
    svg: str = ""
    png: bytes = b""
    csv: bytes = b""  # its numbers
    file: str = ""  # the name of a file of its numbers
    width: int = 480  # pixels at which it is drawn


Block: TypeAlias = "Table | Paragraph | Note | Listing | Picture"


@dataclass(frozen=True)
class Section:
    """A part of a report with a heading."""

    name: str  # of the anchor: letters and `-`
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    subtitle: str
    notes: list[Note]
    sections: list[Section]


def number(value: float | None) -> Number:
    """A number as a table has it: four digits, a `-` where there is none."""
    if value is None:
        return Number("-")
    if isinstance(value, int) or (
        math.isfinite(value) and value == round(value) and abs(value) < 1e7
    ):
        return Number(f"{int(value):,}")
    return Number(f"{value:.4g}")


def file_of(path: str) -> Code:
    """A file as its author called it: a run's own copy is called `inputs/<digest>-<name>`."""
    return Code(_COPY.sub("", path))


def tex_number(value: float) -> str:
    """A number inside a formula."""
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    return (f"{digits} \\times " if digits != "1" else "") + f"10^{{{int(power)}}}"


def pairs(caption: str, rows: Iterable[tuple[str, Cell | None]]) -> Table:
    """A table of names and values; what is None or empty is left out."""
    kept = [(name, cell) for name, cell in rows if cell]
    return Table(caption, (), kept, (0.22, 0.78))
