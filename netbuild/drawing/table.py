"""What a drawing function returns: a figure, and its numbers as a table that can be written."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Columns = dict[str, NDArray[Any]]
# Beginnings of cells that spreadsheets compute; names of units may come from untrusted files.
FORMULA = re.compile(r"^[=+\-@\t\r]")


class Drawing(NamedTuple):
    """A figure, and the numbers in it: columns of one length, a row a point."""

    figure: Figure
    data: Mapping[str, NDArray[Any]]


class Table(Mapping[str, NDArray[Any]]):
    """Columns of one length, made of their parts when a column is first asked for.

    Every row repeats names, and those of a matrix of 2,000 x 2,000 weights are 640 MB of text.
    """

    def __init__(self, parts: Sequence[Columns | Callable[[], Columns]]) -> None:
        self._parts = parts
        self._made: Columns | None = None

    def _columns(self) -> Columns:
        if self._made is None:
            made = [part() if callable(part) else part for part in self._parts]
            self._made = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
        return self._made

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns())

    def __len__(self) -> int:
        return len(self._columns())

    def __repr__(self) -> str:
        """The names of the columns, where they are made already; never the numbers."""
        return "Table()" if self._made is None else f"Table({', '.join(self._made)})"


def write_table(path: Path, data: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a table as .csv or .npz, by the path's ending; NetbuildError for others.

    In a .csv, text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npz":
        np.savez(buffer, allow_pickle=False, **data)
    elif path.suffix.lower() == ".csv":
        import polars

        text = polars.col(polars.String)
        looks = text.str.contains(FORMULA.pattern)
        escaped = polars.when(looks).then(polars.lit("'") + text).otherwise(text)
        frame = polars.DataFrame(dict(data)).with_columns(escaped.name.keep())
        frame.rename(lambda n: f"'{n}" if FORMULA.match(n) else n).write_csv(buffer)
    else:
        raise NetbuildError(f"{path}: data are .csv or .npz", Exit.USAGE)
    return buffer.getvalue()
