"""A connectome: who there is, who is connected with whom and by how much, and how that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes import matlab, matrices, native, nodes, policies
from netbuild.connectomes.nodes import NodeTable, read_nodes
from netbuild.connectomes.policies import Counted, TwiceError
from netbuild.connectomes.report import Report
from netbuild.connectomes.rows import (
    Array,
    Rows,
    Words,
    kept_values,
    located,
    refuse_keys,
    spelled,
)
from netbuild.connectomes.source import FileRead, Source, read_source
from netbuild.errors import DataFileError
from netbuild.files.door import EDGES, TEXT, enough_memory
from netbuild.files.text import NUMBER
from netbuild.wiring import Wiring
from netbuild.wording import show

if TYPE_CHECKING:
    from netbuild.connectomes.tables import Table

LEAST, MOST = 1e-30, 1e28  # between these a sum of weights fits into float32
TYPES_LISTED = 50
OF_FILES = ("pre", "post", "weight", "transmitter", "array", "rows", "where")
POLICIES = ("duplicates", "self_connections", "min_weight", "symmetrize", "unmatched", "unknown")


@dataclass(frozen=True, eq=False)
class Connectome:
    """Neurons and their connections, in the order of the node table."""

    neurons: NodeTable  # made from the names in the edges, sorted, where no table is given
    wiring: Wiring  # (n, n), i -> j
    counts: npt.NDArray[np.float32]  # (connection,): summed weights, > 0
    report: Report

    @property
    def signs(self) -> npt.NDArray[np.int8] | None:
        """(unit,): +1, -1, 0 free; None where neither the node table nor the edges say them."""
        return self.neurons.signs


def read_connectome(edges: Path, neurons: Path | None, words: Words) -> Connectome:
    """The connectome in a file of edges and, where there is one, a node table.

    `edges` is an edge list (.csv, .tsv, .txt, these with .gz, .parquet, .feather, .arrow), a
    matrix (.csv with names, .npy, .npz, .mat, .graphml), or what `write_native` wrote. `words` says
    how they are read: an object with the attributes of a spec's `connectome`.

    Raises DataFileError, whose `key` is the place of the fault below `connectome`: NB202 to NB204
    and NB901 (a file that cannot be read), NB201 and NB306 (a matrix's shape), NB205 (a weight that
    is negative, missing or not finite), NB206 (no such array), NB211 (columns), NB212 (neurons that
    are unknown, or there twice), NB213 (ids as floating-point numbers), NB214 (signs), NB215
    (nothing is left), NB216 (a pair twice, under `duplicates: error`).
    """
    with located("edges", "file"), enough_memory(edges):
        source = read_source(edges, EDGES)
        if source.suffix == ".npz" and native.is_native(source.content):
            return from_native(source, neurons, words)
        rows, file = read_rows(source, words), source.file
        del source  # hundreds of megabytes that are not needed any more
        table = None if neurons is None else read_nodes(neurons, words)
        return assembled(rows, file, table, words)


def read_rows(source: Source, words: Words) -> Rows:
    """The rows or cells of a file, read by the reader of its format."""
    if source.suffix in (".npy", ".npz"):
        return matrices.read(source, words)
    if source.suffix == ".mat":
        return matlab.read(source, words)
    from netbuild.connectomes import edges, graphml, tables

    if source.suffix == ".graphml":
        return graphml.read(source, words)
    table = tables.open_table(source)
    if (ends := edges.ends_of(table, words)) is not None:
        what = f"{source.name} is an edge list, and `KEY` is about matrices"
        refuse_keys(words, ("rows", "array"), "NB211", what)
        return edges.read(table, ends, words)
    if (error := tables.not_a_header(table)) is not None:
        raise error
    if source.suffix in TEXT and is_matrix(table, words):
        return matrices.read_labelled(table, words)
    raise unrecognised(table, words)


def unrecognised(table: Table, words: Words) -> DataFileError:
    """The error for a table whose columns of neurons are unknown, with what it may be instead."""
    from netbuild.connectomes import tables

    what = f"no two columns of {table.name} are recognised as pre- and postsynaptic neurons"
    hint = f"say {spelled('edges', 'pre', 'post')}; its columns are {table.listed()}"
    if table.binary is not None:
        return DataFileError("NB211", what, hint)
    numbers = [NUMBER.fullmatch(cell) is not None for cell in table.columns]
    header = f"a first row {','.join(('pre', 'post', 'weight')[: max(2, len(numbers))])}"
    if all(numbers):
        what = f"the first row of {table.name} holds numbers alone, no names"
        hint = "a matrix needs names in its first row and column, or to be saved as .npy"
        if words.edges.rows is None:
            hint += f"; an edge list needs {header}"
        return DataFileError("NB211", what, hint)
    sample = table.sample({str(place): place for place in range(min(2, len(numbers)))})
    cells = {cell for column in sample for cell in column.to_list()}
    if matrices.looks_labelled(table.columns) and sample["1"].str.contains(tables.NUMBER).all():
        rows = "`edges: {file: FILE, rows: pre}` if its rows are presynaptic neurons, else `post`"
        return DataFileError(
            "NB211", what, f"is it a matrix with names? Say {rows}; if not, {hint}"
        )
    if any(numbers) or not cells.isdisjoint(table.columns):
        return DataFileError("NB211", what, f"is the header missing? add {header}; if not, {hint}")
    return DataFileError("NB211", what, hint)


def is_matrix(table: Table, words: Words) -> bool:
    """Whether a text is a matrix with names rather than an edge list with unusual columns.

    Its first cell is empty, or the user says what its rows are, or names of rows are names of
    columns too and numbers stand beside them.
    """
    from netbuild.connectomes import tables

    if not matrices.looks_labelled(table.columns):
        return False
    if not table.columns[0] or words.edges.rows is not None:
        return True
    sample = table.sample({"row": 0, "first cell": 1}).drop_nulls()
    numbers: bool = sample["first cell"].str.contains(tables.NUMBER).all()
    return numbers and not set(sample["row"].to_list()).isdisjoint(table.columns[1:])


def assembled(rows: Rows, file: FileRead, table: NodeTable | None, words: Words) -> Connectome:
    """The connectome of rows and a node table."""
    names = (file.name, table.file.name if table and table.file else "")
    weight = None if rows.weight is None else checked(rows.weight, rows, file.name)
    dropped = dict(rows.dropped)
    pre, post = rows.pre, rows.post
    keep = np.ones(len(pre), np.bool_)
    if weight is not None and not weight.all():
        keep = weight != 0
        dropped["weight 0"] = len(keep) - int(np.count_nonzero(keep))
    if table is None:
        table = NodeTable(rows.unit_names(), {})
    else:
        at = nodes.row_of_each(rows, table, names)
        missing = at < 0
        if missing.any() and (gone := missing[pre] | missing[post]).any():
            if words.unmatched == "error":
                raise nodes.unmatched(rows, missing, table, names)
            if (keep & gone).any():
                dropped["not in the node table"] = int(np.count_nonzero(keep & gone))
            keep &= ~gone
        pre, post = at[pre], at[post]
    if table.signs is None and words.signs:
        signs = nodes.signs_of_edges(rows, pre, table.names, words, names)
        table = replace(table, signs=signs)
    if not keep.all():
        pre, post = pre[keep], post[keep]
        weight = None if weight is None else weight[keep]
    kinds = rows.kind.at[keep] if rows.kind and len(rows.kind.words) > 1 else None
    pairs = policies.pairs_of(pre, post, len(table))
    del pre, post
    try:
        wiring, counts, counted = policies.applied(pairs, weight, len(table), words, kinds)
    except TwiceError as error:
        raise twice(rows, np.flatnonzero(keep), error, file.name) from None
    if not len(wiring):
        raise nothing_left(rows.read, dropped, counted, file.name)
    report = Report(
        wiring=wiring,
        signs=table.signs,
        rows=rows.read,
        dropped=dropped,
        counted=counted,
        files=files_of(file, table),
        columns={"edges": rows.columns, "neurons": table.used},
        types=tally(rows),
        policies=followed(words),
    )
    return Connectome(table, wiring, counts, report)


def checked(weight: npt.NDArray[np.float64], rows: Rows, name: str) -> npt.NDArray[np.float64]:
    """`weight` itself; raises DataFileError NB205 for one that is negative or not finite."""
    if not len(weight) or (weight.min() >= 0 and weight.max() < MOST):
        small = (weight < LEAST) & (weight > 0)
        if not small.any():
            return weight
        row, problem = int(np.argmax(small)), f"is below {LEAST:g}"
    else:
        row = int(np.argmax(~((weight >= 0) & (weight < MOST))))
        problem = "is negative" if -np.inf < weight[row] < 0 else "is not a finite number"
        if MOST <= weight[row] < np.inf:
            problem = f"is above {MOST:g}"
    hint = "write a number in its place, or remove the row"
    if problem == "is negative":
        table = spelled("neurons", "sign")
        hint = f"counts are not negative: signs are given in a node table, {table}"
    raise DataFileError("NB205", f"the weight in {rows.place(row)} of {name} {problem}", hint)


def twice(rows: Rows, kept: Array, error: TwiceError, name: str) -> DataFileError:
    """The error for a pair that stands in two of the rows that were kept."""
    first, second = (rows.place(int(kept[row])) for row in (error.first, error.second))
    what = f"{second} of {name} is of the same two neurons as {first}"
    return DataFileError("NB216", what, "`duplicates: sum` or `max` makes one connection of them")


def nothing_left(
    rows: int, dropped: Mapping[str, int], counted: Counted, name: str
) -> DataFileError:
    """The error for a connectome without any connection, and what became of the rows."""
    reasons = [f"{reason}: {count:,}" for reason, count in dropped.items() if count]
    removed = {key: getattr(counted, key) for key in ("self_connections", "min_weight")}
    reasons += [f"{key}: {count:,}" for key, count in removed.items() if count]
    what = f"no connection is left of the {rows:,} rows of {name}"
    return DataFileError("NB215", what, f"left out were {'; '.join(reasons)}" if reasons else "")


def from_native(source: Source, neurons: Path | None, words: Words) -> Connectome:
    """The connectome in a native file; policies that leave something to do are applied to it.

    Raises DataFileError NB211 for keys about columns that it does not have any more.
    """
    name = source.name
    if neurons is not None:
        what = f"{name} is a whole connectome, with its neurons; {show(neurons.name)} is one more"
        raise DataFileError("NB211", what, "leave `neurons` out")
    what = f"{name} is a whole connectome, read once already; `KEY` was for that"
    refuse_keys(words, OF_FILES, "NB211", what, ", or name the original file")
    table, wiring, counts, origin = native.read(source.content, name)
    rows, counted = len(wiring), Counted()
    if words.signs:
        signs, sign = nodes.sign_of(table.columns, words, name, None)
        if sign is None:
            what = f"{name} has no column of neurotransmitters that is recognised"
            raise DataFileError("NB211", what, "convert the original files again, with `signs`")
        table = replace(table, signs=signs, used={"sign": sign})
    if words.symmetrize != "none" or not words.self_connections or words.min_weight:
        pairs = policies.pairs_of(wiring.sources, wiring.targets, len(table))
        weights = counts.astype(np.float64)
        wiring, counts, counted = policies.applied(pairs, weights, len(table), words)
        if not len(wiring):
            raise nothing_left(rows, {}, counted, name)
    report = Report(
        wiring=wiring,
        signs=table.signs,
        rows=rows,
        counted=counted,
        files=files_of(source.file, table),
        columns={"edges": {}, "neurons": table.used},
        policies=followed(words),
        origin=origin,
    )
    return Connectome(table, wiring, counts, report)


def write_native(connectome: Connectome, path: Path) -> None:
    """Write the connectome as an .npz that `read_connectome` loads at once.

    The file appears whole or not at all. Raises OSError where it cannot be written, ValueError
    for another extension.
    """
    if path.suffix.lower() != ".npz":
        raise ValueError(f"a connectome is written as .npz, got {path.name}")
    origin = connectome.report.facts()
    native.write(path, connectome.neurons, connectome.wiring, connectome.counts, origin)


def files_of(edges: FileRead, table: NodeTable) -> dict[str, FileRead]:
    """The files for the report; the node table is among them where it has one."""
    return {"edges": edges} | ({"neurons": table.file} if table.file else {})


def tally(rows: Rows) -> dict[str, int]:
    """How many rows there are of each neurotransmitter, else kind of synapse; most rows first."""
    labels = rows.transmitter or rows.kind
    if labels is None:
        return {}
    counts = np.bincount(labels.at, minlength=len(labels.words))
    order = np.argsort(-counts, kind="stable")[:TYPES_LISTED]
    return {str(labels.words[i]): int(counts[i]) for i in order}


def followed(words: Words) -> dict[str, Any]:
    """The policies in the report."""
    return {key: getattr(words, key) for key in POLICIES} | {
        "signs": dict(words.signs or {}),
        "where": {column: [*map(str, values)] for column, values in kept_values(words).items()},
        "rows": words.edges.rows,
        "array": words.edges.array,
    }
