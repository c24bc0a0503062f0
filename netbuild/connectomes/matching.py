"""Which unit each end of an edge is, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes.nodes import NodeTable
from netbuild.connectomes.options import spelled
from netbuild.connectomes.raw import RawEdges
from netbuild.errors import DataFileError
from netbuild.wording import did_you_mean, show

Array = npt.NDArray[Any]


def positions(raw: RawEdges) -> tuple[Array, Array, Array | None]:
    """Both ends as positions in the names of the file, and these; None where there are none."""
    if raw.numbered:
        return raw.pre, raw.post, raw.names
    both = np.concatenate([raw.pre, raw.post])
    if raw.names is None:
        names, at = np.unique(both, return_inverse=True)
    else:
        names = raw.names
        index = {name: i for i, name in enumerate(names.tolist())}
        at = np.array([index[name] for name in both.tolist()], np.int32)
    return at[: len(raw.pre)], at[len(raw.pre) :], names


def as_text(names: Array | None, n: int) -> npt.NDArray[np.object_]:
    """(unit,): names as Python text; the positions of a matrix's units where it has no names."""
    array = np.empty(n, object)
    array[:] = [str(name) for name in (range(n) if names is None else names.tolist())]
    return array


def lookup(
    names: Array | None, raw: RawEdges, neurons: NodeTable, files: tuple[str, str]
) -> npt.NDArray[np.int32]:
    """For each name of the edge file its row in the node table, counted from 0; -1 is unknown.

    Without names the table's rows are the matrix's, and as many: else DataFileError NB201.
    """
    if names is None:
        if raw.n != len(neurons):
            what = f"{files[0]} is a matrix of {raw.n:,} neurons, {files[1]} has {len(neurons):,}"
            raise DataFileError("NB201", what, "a matrix without names has a row for each neuron")
        return np.arange(raw.n, dtype=np.int32)
    index = {name: i for i, name in enumerate(neurons.names.tolist())}
    return np.array([index.get(str(name), -1) for name in names.tolist()], np.int32)


def unmatched(
    raw: RawEdges,
    ends: tuple[Array, Array],
    names: Array,
    missing: npt.NDArray[np.bool_],
    neurons: NodeTable,
    files: tuple[str, str],
) -> DataFileError:
    """The error for the first edge of a neuron that the node table lacks."""
    pre, post = (missing[end] for end in ends)
    row = int(np.argmax(pre | post))
    at = ends[0][row] if pre[row] else ends[1][row]
    name = str(names[at])
    absent = np.zeros(len(names), np.bool_)  # of those that some edge names
    for end in ends:
        absent[end[missing[end]]] = True
    others = int(np.count_nonzero(absent)) - 1
    more = f"; it lacks {others:,} other{'s' if others > 1 else ''} too" if others else ""
    hint = f"`unmatched: drop` leaves such edges out; {spelled('name')} chooses the column of names"
    if not name.lstrip("+-").isdigit():  # numbers are not like each other
        hint = f"{did_you_mean(name, neurons.names.tolist())} {hint}".lstrip()
    what = f"{raw.place(row)} of {files[0]} names {show(name)}, which {files[1]} does not have"
    return DataFileError("NB212", f"{what}{more}", hint)
