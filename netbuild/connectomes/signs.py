"""The sign of each neuron: from words, numbers, or neurotransmitters by the user's own map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.options import Options, spelled
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.wording import show

Array = npt.NDArray[Any]
Signs = npt.NDArray[np.int8]
WORDS = (
    dict.fromkeys(("1", "+1", "1.0", "+1.0", "+", "e", "exc", "excitatory"), 1)
    | dict.fromkeys(("-1", "-1.0", "-", "i", "inh", "inhibitory"), -1)
    | dict.fromkeys(("0", "0.0", "-0.0"), 0)
)


def of_cells(
    cells: Sequence[str], options: Options, file: str, column: str, rows: Sequence[int] | None
) -> Signs:
    """(unit,): +1, -1 or 0 (free) of each cell of a node table; `rows` are their row numbers.

    A cell is a sign or a neurotransmitter of `options.signs`. Raises DataFileError NB214 for one
    that is neither, unless `signs` are given and `unknown` is free; an empty one is unknown.
    """
    given = {word.casefold(): sign for word, sign in options.signs.items()}
    known: dict[str, int] = {}
    for unit, cell in enumerate(cells):
        if cell in known:
            continue
        sign = given.get(cell.casefold(), WORDS.get(cell.casefold()))
        free = options.unknown == "free" and (bool(given) or not cell)
        if sign is None and not free:
            where = f"row {rows[unit]} of {file}" if rows is not None else file
            says = f"says {show(cell)}" if cell else "is empty"
            hint = "signs are 1, -1, 0, excitatory and inhibitory; `signs: {GABA: -1}` adds others"
            what = f"{where}: the column {show(column)} {says}, which is no sign"
            raise DataFileError("NB214", what, hint)
        known[cell] = sign or 0
    return np.array([known[cell] for cell in cells], np.int8)


def of_edges(raw: RawEdges, pre: Array, names: Array, options: Options, file: str) -> Signs:
    """(unit,): the sign of each presynaptic neuron, from the neurotransmitters of its edges.

    `pre` is (row,), positions in `names`, or -1 for a neuron that is left out. Raises
    DataFileError NB214 where the edges of one neuron have both signs, or a neurotransmitter is
    unknown and may not be.
    """
    assert raw.type is not None
    words, at = raw.types, raw.type
    if words is None:
        words, at = np.unique(raw.type.astype(str), return_inverse=True)
    given = {word.casefold(): sign for word, sign in options.signs.items()}
    if options.unknown == "error":
        alien = np.array([str(word).casefold() not in given for word in words], np.bool_)
        unknown = alien[at] & (pre >= 0)
        if unknown.any():
            row = int(np.argmax(unknown))
            word = str(words[at[row]])
            says = f"has the neurotransmitter {show(word)}" if word else "has no neurotransmitter"
            what = f"{raw.place(row)} of {file} {says}, which `signs` does not name"
            raise DataFileError("NB214", what, "add it to `signs`, or say `unknown: free`")
    of_word = np.array([given.get(str(word).casefold(), 0) for word in words], np.int8)
    of_row = np.where(pre >= 0, of_word[at], 0).astype(np.int8)
    excitatory, inhibitory = (np.zeros(len(names), np.bool_) for _ in range(2))
    excitatory[pre[of_row > 0]] = True
    inhibitory[pre[of_row < 0]] = True
    both = excitatory & inhibitory
    if both.any():
        raise mixed(raw, pre, of_row, names, both, file)
    return excitatory.astype(np.int8) - inhibitory.astype(np.int8)


def mixed(
    raw: RawEdges, pre: Array, of_row: Signs, names: Array, both: Array, file: str
) -> DataFileError:
    """The error for a neuron whose edges have both signs: the two rows, and the cure."""
    concerned = np.flatnonzero(both[pre])
    first = concerned[np.flatnonzero(of_row[concerned])[0]]
    unit = pre[first]
    others = np.flatnonzero((pre == unit) & (of_row == -of_row[first]))
    count = int(both.sum())
    more = "" if count == 1 else f", and so has {count - 1:,} other"
    return DataFileError(
        "NB214",
        f"{show(str(names[unit]))} is excitatory and inhibitory by its edges' neurotransmitters,"
        f" {raw.place(int(first))} and {raw.place(int(others[0]))} of {file}{more}",
        f"give each neuron its sign in a node table: {spelled('sign')}",
    )
