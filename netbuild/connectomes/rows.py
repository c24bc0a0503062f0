"""The connections that a file lists, before policies are applied: whom they connect, and why not.

`words` is, here and in the other modules of this folder, what a spec says under `connectome`
(netbuild.language.connectome.Connectome); its attributes are read, and nothing else of it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError
from netbuild.files.cells import Value
from netbuild.wording import did_you_mean, show

Array: TypeAlias = npt.NDArray[Any]
Words: TypeAlias = Any  # netbuild.language.connectome.Connectome, which is not imported here
MOST_NEURONS = 1 << 24
LISTED = 10  # columns in a message

# Columns of an edge list, and attributes of a graph's edges, that are recognised. In small letters;
# the first that is there counts.
WEIGHTS = ("weight", "syn_count", "synapses", "count")
TRANSMITTERS = ("nt_type", "neurotransmitter", "nt", "top_nt", "type")
KINDS = ("type", "synapse_type", "syn_type", "synapse")  # if all of the words match SYNAPSE
SYNAPSE = re.compile(
    r"(chem(ical)?|electric(al)?|gap)([ _-]?(synapse|junction)s?)?"
    r"|gj|ej|nmj|sp?|rp?",  # send, receive, of several partners: the words of White et al. 1986
    re.IGNORECASE,
)


class Labels(NamedTuple):
    """One word for each row, where few words are distinct."""

    at: Array  # (row,): positions in `words`
    words: Array  # (word,): stripped text; "" is unknown


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns, and how a spec's names for them are looked up."""

    name: str  # the file's, fit for a message
    columns: tuple[str, ...]  # stripped
    noun: str = "column"

    def find(self, wanted: str) -> str | None:
        """The column of this name, else the only one that differs in small and capital letters."""
        if wanted in self.columns:
            return wanted
        alike = [column for column in self.columns if column.casefold() == wanted.casefold()]
        return alike[0] if len(alike) == 1 else None

    def given(self, column: str, key: tuple[str, ...]) -> str:
        """The column that a spec names under `key`; raises DataFileError NB211 without it."""
        found = self.find(column)
        if found is None:
            what = f"{self.name} has no {self.noun} {show(column)}"
            listed = f"its {self.noun}s are {self.listed()}" if self.columns else ""
            hint = f"{did_you_mean(column, self.columns)} {listed}".strip()
            raise DataFileError("NB211", what, hint, key=key)
        return found

    def first_known(self, known: Sequence[str]) -> str | None:
        """The column with the first of these names, in upper or lower case."""
        by_name = {column.casefold(): column for column in reversed(self.columns)}
        return next((by_name[name] for name in known if name in by_name), None)

    def listed(self) -> str:
        """The names of the first columns, for a message."""
        names = ", ".join(show(column) for column in self.columns[:LISTED])
        more = len(self.columns) - LISTED
        return f"{names} and {more} more" if more > 0 else names


@dataclass(frozen=True)
class Places:
    """The numbers that rows have in their file, for messages."""

    first: int = 1  # of row 0
    kept: Array | None = None  # (row,): the numbers themselves, where some rows were left out
    word: str = "row"

    def of(self, row: int) -> str:
        """Where a row stands: `row 12`."""
        return f"{self.word} {row + self.first if self.kept is None else int(self.kept[row]):,}"

    def numbers(self, rows: int) -> Array:
        """(row,): the numbers of all rows."""
        return np.arange(self.first, self.first + rows) if self.kept is None else self.kept


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows or cells of one file that say that a connection exists; duplicates are kept."""

    pre: Array  # (row,): positions of units
    post: Array  # (row,)
    weight: npt.NDArray[np.float64] | None  # (row,), None: every row counts 1
    n: int  # units
    names: Array | None = None  # (unit,): names as text or int64; None: a matrix without names
    transmitter: Labels | None = None
    kind: Labels | None = None  # of synapse: chemical, electrical ...
    read: int = 0  # rows of a table, or cells of a matrix, that were read
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> rows, in plain words
    columns: Mapping[str, str] = field(default_factory=dict)  # "pre" -> the column that was used
    places: Places | None = None  # None: a matrix
    transposed: bool = False  # whether the rows of a matrix are postsynaptic

    def place(self, row: int) -> str:
        """Where a connection stands in its file: `row 12`, or `row 3, column 1` of a matrix."""
        if self.places is not None:
            return self.places.of(row)
        pre, post = (
            f"{end + 1:,}" if self.names is None else show(str(self.names[end]))
            for end in (self.pre[row], self.post[row])
        )
        return f"row {post}, column {pre}" if self.transposed else f"row {pre}, column {post}"

    def unit_names(self) -> npt.NDArray[np.object_]:
        """(unit,): names as Python text; the positions of a matrix's units without names."""
        return objects(map(str, range(self.n) if self.names is None else self.names.tolist()))


def objects(values: Iterable[str]) -> npt.NDArray[np.object_]:
    """An object array of Python text: one long text does not make the others longer."""
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def settled(columns: Mapping[str, str], kinds: Iterable[str], words: Words) -> dict[str, str]:
    """The columns without "transmitter" or without "kind", where both may be one column.

    `kinds` are the words of the column under "kind": of synapses, or it is about something else.
    """
    found = [word for word in kinds if word]
    needless = "kind"
    if found and all(map(SYNAPSE.fullmatch, found)):
        given = words.edges.transmitter is not None
        needless = "" if given or columns.get("transmitter") != columns["kind"] else "transmitter"
    return {use: column for use, column in columns.items() if use != needless}


def kept_values(words: Words) -> dict[str, tuple[Value, ...]]:
    """`where`, with all values of each column in a tuple; text is stripped, as cells are."""
    return {
        column: tuple(
            value.strip() if isinstance(value, str) else value
            for value in ([values] if isinstance(values, Value) else values)
        )
        for column, values in (words.where or {}).items()
    }


@contextmanager
def located(*key: str) -> Iterator[None]:
    """Give an error that names no key this one, below `connectome`."""
    try:
        yield
    except DataFileError as error:
        error.key = error.key or key
        raise


def refuse_keys(words: Words, keys: Iterable[str], code: str, what: str, cure: str = "") -> None:
    """Refuse those of the keys that are given: files of this kind have no use for them.

    `KEY` in `what` becomes the key; `cure` is an alternative to removing it.
    """
    for key in keys:
        section = words if key == "where" else words.edges
        if getattr(section, key):
            path = (key,) if key == "where" else ("edges", key)
            hint = f"leave `{key}` out{cure}"
            raise DataFileError(code, what.replace("KEY", key), hint, key=path)


def spelled(file: str, *keys: str) -> str:
    """How a spec names columns of a file: `edges: {file: FILE, pre: COLUMN}`."""
    columns = [f"{key}: COLUMN" for key in keys]
    return f"`{file}: {{{', '.join(['file: FILE', *columns])}}}`"
