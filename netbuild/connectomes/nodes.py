"""Node tables, one row a neuron, and the signs of neurons.

A sign comes from words, numbers, or neurotransmitters by the user's own map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.rows import MOST_NEURONS, Array, Columns, Rows, Words, located, spelled
from netbuild.connectomes.source import FileRead, read_source
from netbuild.errors import DataFileError
from netbuild.files.door import TABLES, enough_memory
from netbuild.wording import did_you_mean, show

if TYPE_CHECKING:
    from netbuild.connectomes.tables import Table

Names = npt.NDArray[np.object_]
Signs = npt.NDArray[np.int8]

NAMES = ("root_id", "bodyid", "name", "id", "neuron", "cell")  # the surest first
SIGNS = ("sign",)
TRANSMITTERS = ("nt_type", "neurotransmitter", "nt", "top_nt")
MAX_BYTES = 1 << 30
MOST_COLUMNS = 1000
SIGN_WORDS = (
    dict.fromkeys(("1", "+1", "1.0", "+1.0", "+", "e", "exc", "excitatory"), 1)
    | dict.fromkeys(("-1", "-1.0", "-", "i", "inh", "inhibitory"), -1)
    | dict.fromkeys(("0", "0.0", "-0.0"), 0)
)


@dataclass(frozen=True, eq=False)
class NodeTable:
    """The neurons of a connectome in order: unit i of the network is row i."""

    names: Names  # (unit,): stripped text, distinct
    columns: Mapping[str, Names]  # the other columns, (unit,) each: stripped text, "" is missing
    signs: Signs | None = None  # (unit,): +1, -1, 0 free; None: nothing says them
    file: FileRead | None = None  # None where the neurons come from the edges
    used: Mapping[str, str] = field(default_factory=dict)  # "name", "sign" -> the column

    def __len__(self) -> int:
        return len(self.names)


def read_nodes(path: Path, words: Words) -> NodeTable:
    """The node table in a file: .csv, .tsv, .txt (also .gz), .parquet, .feather or .arrow.

    `words.neurons` names the columns of names and signs, which are recognised without it. Raises
    DataFileError: NB202 to NB204 and NB901 (the file), NB211 (columns), NB212 (a name that is
    missing or there twice), NB213 (ids as floating-point numbers), NB214 (signs).
    """
    with located("neurons", "file"), enough_memory(path):
        source = read_source(path, TABLES, MAX_BYTES)
        from netbuild.connectomes import tables  # loads polars

        table = tables.open_table(source)
        if len(table.columns) > MOST_COLUMNS:
            what = f"{table.name} has {len(table.columns):,} columns"
            raise DataFileError("NB901", what, f"at most {MOST_COLUMNS:,} are read")
        column = name_column(table, words)
        check_count(table.name, 0 if table.binary is None else table.rows)
        rows, cells = tables.text_cells(table, [each for each in table.columns if each], column)
        check_count(table.name, len(rows))
        names = cells.pop(column)
        check_names(names, rows, table.name, column)
        signs, sign = sign_of(cells, words, table.name, rows)
        used = {"name": column} | ({} if sign is None else {"sign": sign})
        return NodeTable(names, cells, signs, source.file, used)


def check_count(name: str, rows: int) -> None:
    """Refuse more neurons than are read."""
    if rows > MOST_NEURONS:
        hint = f"at most {MOST_NEURONS:,} neurons are read"
        raise DataFileError("NB901", f"{name} has {rows:,} rows", hint)


def name_column(table: Table, words: Words) -> str:
    """The column of names, given or recognised; raises DataFileError NB211."""
    from netbuild.connectomes.tables import not_a_header

    if words.neurons is not None and words.neurons.name is not None:
        return table.given(words.neurons.name, ("neurons", "name"))
    column = table.first_known(NAMES)
    if column is None:
        if (error := not_a_header(table)) is not None:
            raise error
        what = f"{table.name} has no column of names that is recognised"
        hint = f"say which it is: {spelled('neurons', 'name')}; its columns are {table.listed()}"
        raise DataFileError("NB211", what, hint)
    return column


def check_names(names: Names, rows: list[int], file: str, column: str) -> None:
    """Refuse a table without neurons, a name that is missing, and one that is there twice."""
    if not len(names):
        raise DataFileError("NB215", f"{file} has no rows", "it holds a header alone")
    seen: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        if not name:
            what = f"row {row} of {file} has no name in the column {show(column)}"
            raise DataFileError("NB212", what, "each row is one neuron, and has a name")
        if (before := seen.setdefault(name, row)) != row:
            what = f"row {row} of {file} has the name of row {before}, {show(name)}"
            hint = f"each neuron has one row; {spelled('neurons', 'name')} chooses another column"
            raise DataFileError("NB212", what, hint)


def sign_of(
    columns: Mapping[str, Names], words: Words, file: str, rows: list[int] | None
) -> tuple[Signs | None, str | None]:
    """The units' signs and the column that says them, or None and None where none does.

    A column of neurotransmitters counts only where `signs` give their signs.
    """
    given = words.neurons.sign if words.neurons is not None else None
    named = Columns(file, tuple(columns))
    if given is not None:
        column = named.given(given, ("neurons", "sign"))
    elif (known := named.first_known(SIGNS + (TRANSMITTERS if words.signs else ()))) is not None:
        column = known
    else:
        return None, None
    return signs_of_cells(columns[column].tolist(), words, file, column, rows), column


def signs_of_cells(
    cells: Sequence[str], words: Words, file: str, column: str, rows: Sequence[int] | None
) -> Signs:
    """(unit,): +1, -1 or 0 (free) of each cell of a node table; `rows` are their row numbers.

    A cell is a sign or a neurotransmitter of `signs`. Raises DataFileError NB214 for one
    that is neither, unless `signs` are given and `unknown` is free; an empty one is unknown.
    """
    given = {word.casefold(): sign for word, sign in (words.signs or {}).items()}
    known: dict[str, int] = {}
    for unit, cell in enumerate(cells):
        if cell in known:
            continue
        sign = given.get(cell.casefold(), SIGN_WORDS.get(cell.casefold()))
        free = words.unknown == "free" and (bool(given) or not cell)
        if sign is None and not free:
            where = f"row {rows[unit]} of {file}" if rows is not None else file
            says = f"says {show(cell)}" if cell else "is empty"
            hint = "signs are 1, -1, 0, excitatory and inhibitory; `signs: {GABA: -1}` adds others"
            what = f"{where}: the column {show(column)} {says}, which is not a sign"
            raise DataFileError("NB214", what, hint)
        known[cell] = sign or 0
    return np.array([known[cell] for cell in cells], np.int8)


def signs_of_edges(
    rows: Rows, pre: Array, names: Array, words: Words, files: tuple[str, str]
) -> Signs:
    """(unit,): the sign of each presynaptic neuron, from the neurotransmitters of its edges.

    `pre` is (row,), positions in `names`, or -1 for a neuron that is left out. Raises
    DataFileError NB211 where there are no neurotransmitters, NB214 where the edges of one neuron
    have both signs, or a neurotransmitter is unknown and may not be.
    """
    file, table = files
    if rows.transmitter is None:
        what = f"{file} has no column of neurotransmitters that is recognised"
        if table:
            what = f"neither {file} nor {table} has a column of neurotransmitters"
        columns = f"{spelled('edges', 'transmitter')} or {spelled('neurons', 'sign')}"
        raise DataFileError("NB211", what, f"`signs` need such a column: say {columns}")
    at, transmitters = rows.transmitter
    given = {word.casefold(): sign for word, sign in (words.signs or {}).items()}
    if words.unknown == "error":
        alien = np.array([str(word).casefold() not in given for word in transmitters], np.bool_)
        unknown = alien[at] & (pre >= 0)
        if unknown.any():
            row = int(np.argmax(unknown))
            word = str(transmitters[at[row]])
            says = f"has the neurotransmitter {show(word)}" if word else "has no neurotransmitter"
            what = f"{rows.place(row)} of {file} {says}, which `signs` does not name"
            raise DataFileError("NB214", what, "add it to `signs`, or say `unknown: free`")
    of_word = np.array([given.get(str(word).casefold(), 0) for word in transmitters], np.int8)
    of_row = np.where(pre >= 0, of_word[at], 0).astype(np.int8)
    excitatory, inhibitory = (np.zeros(len(names), np.bool_) for _ in range(2))
    excitatory[pre[of_row > 0]] = True
    inhibitory[pre[of_row < 0]] = True
    both = excitatory & inhibitory
    if both.any():
        raise mixed_signs(rows, pre, of_row, names, both, file)
    return excitatory.astype(np.int8) - inhibitory.astype(np.int8)


def mixed_signs(
    rows: Rows, pre: Array, of_row: Signs, names: Array, both: Array, file: str
) -> DataFileError:
    """The error for a neuron whose edges have both signs: it names two of the rows."""
    concerned = np.flatnonzero(both[pre])
    first = concerned[np.flatnonzero(of_row[concerned])[0]]
    unit = pre[first]
    others = np.flatnonzero((pre == unit) & (of_row == -of_row[first]))
    count = int(both.sum())
    more = "" if count == 1 else f", and so has {count - 1:,} other"
    return DataFileError(
        "NB214",
        f"{show(str(names[unit]))} is excitatory and inhibitory by its edges' neurotransmitters,"
        f" {rows.place(int(first))} and {rows.place(int(others[0]))} of {file}{more}",
        f"give each neuron its sign in a node table: {spelled('neurons', 'sign')}",
    )


def row_of_each(rows: Rows, neurons: NodeTable, files: tuple[str, str]) -> npt.NDArray[np.int32]:
    """For each unit of the edge file its row in the node table, counted from 0; -1 is unknown.

    Without names the table's rows are the matrix's, and as many: else DataFileError NB201.
    """
    if rows.names is None:
        if rows.n != len(neurons):
            what = f"{files[0]} is a matrix of {rows.n:,} neurons, {files[1]} has {len(neurons):,}"
            raise DataFileError("NB201", what, "a matrix without names has a row for each neuron")
        return np.arange(rows.n, dtype=np.int32)
    index = {name: i for i, name in enumerate(neurons.names.tolist())}
    return np.array([index.get(str(name), -1) for name in rows.names.tolist()], np.int32)


def unmatched(
    rows: Rows, missing: npt.NDArray[np.bool_], neurons: NodeTable, files: tuple[str, str]
) -> DataFileError:
    """The error for the first edge of a neuron that the node table lacks."""
    assert rows.names is not None
    pre, post = missing[rows.pre], missing[rows.post]
    row = int(np.argmax(pre | post))
    name = str(rows.names[rows.pre[row] if pre[row] else rows.post[row]])
    absent = np.zeros(rows.n, np.bool_)  # neurons that some edge names and the table lacks
    absent[rows.pre[pre]] = absent[rows.post[post]] = True
    others = int(np.count_nonzero(absent)) - 1
    more = f"; it lacks {others:,} other{'s' if others > 1 else ''} too" if others else ""
    hint = "`unmatched: drop` leaves such edges out; "
    hint += f"{spelled('neurons', 'name')} chooses the column of names"
    if not name.lstrip("+-").isdigit():  # numbers are not like each other
        hint = f"{did_you_mean(name, neurons.names.tolist())} {hint}".lstrip()
    what = f"{rows.place(row)} of {files[0]} names {show(name)}, which {files[1]} does not have"
    return DataFileError("NB212", f"{what}{more}", hint)
