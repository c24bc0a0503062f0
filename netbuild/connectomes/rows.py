"""The connections that a file lists, before policies are applied: whom they connect, and why not.

`words` is, here and in the other modules of this folder, what a spec says under `connectome`
(netbuild.language.connectome.Connectome); its attributes are read, and nothing else of it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError
from netbuild.files.cells import Value
from netbuild.wording import show

Array: TypeAlias = npt.NDArray[Any]
Words: TypeAlias = (
    Any  # netbuild.language.connectome.Connectome, of which this folder knows nothing
)
MOST_NEURONS = 1 << 24

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
    """One word for each row, of which few are distinct."""

    at: Array  # (row,): positions in `words`
    words: Array  # (word,): stripped text; "" is unknown


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
    first_row: int | None = None  # the number of row 0 in its file; None: a matrix
    places: Array | None = None  # (row,): the numbers themselves, where some rows were left out

    def place(self, row: int) -> str:
        """Where a row stands, in words: `row 12`; a matrix's cells go by their units."""
        if self.places is not None:
            return f"row {int(self.places[row])}"
        if self.first_row is not None:
            return f"row {row + self.first_row}"
        pre, post = self.pre[row], self.post[row]
        if self.names is None:
            return f"the connection from unit {pre} to unit {post}"
        names = (show(str(self.names[end])) for end in (pre, post))
        return f"the connection from {' to '.join(names)}"

    def unit_names(self) -> npt.NDArray[np.object_]:
        """(unit,): names as Python text; the positions of a matrix's units without names."""
        return objects(map(str, range(self.n) if self.names is None else self.names.tolist()))


def objects(values: Iterable[str]) -> npt.NDArray[np.object_]:
    """An object array of Python text: no longer than needed, however long one of them is."""
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def settle(columns: dict[str, str], kinds: Iterable[str], words: Words) -> None:
    """Remove "transmitter" or "kind" from `columns`, where both may be one column.

    `kinds` are the words of the column under "kind": of synapses, or it is about something else.
    """
    if "kind" not in columns:
        return
    found = [word for word in kinds if word]
    if not (found and all(map(SYNAPSE.fullmatch, found))):
        del columns["kind"]
    elif words.edges.transmitter is None and columns.get("transmitter") == columns["kind"]:
        del columns["transmitter"]


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
