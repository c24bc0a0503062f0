"""A connectome: who there is, who is connected with whom and by how much, and how that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netbuild.connectomes import matching, native, policies, signs
from netbuild.connectomes.files import TABLES, TEXT, Source
from netbuild.connectomes.nodes import NodeTable, from_names, read_nodes, sign_of
from netbuild.connectomes.options import Options, left_out, said, spelled
from netbuild.connectomes.policies import Counted, TwiceError
from netbuild.connectomes.raw import RawEdges
from netbuild.connectomes.report import FileRead, Report
from netbuild.errors import DataFileError
from netbuild.files.door import enough_memory
from netbuild.files.text import NUMBER
from netbuild.wiring import Wiring
from netbuild.wording import show

if TYPE_CHECKING:
    from netbuild.connectomes.tables import Table

Array = npt.NDArray[Any]
SUFFIXES = (*TABLES, ".npy", ".npz", ".mat", ".graphml")
LEAST, MOST = 1e-30, 1e28  # weights whose sums are float32
TYPES_LISTED = 50
OF_TABLES = ("pre", "post", "weight", "type", "array", "rows", "where", "name")


@dataclass(frozen=True, eq=False)
class Connectome:
    """Neurons and their connections, in the order of the node table."""

    neurons: NodeTable  # made from the names in the edges, sorted, where no table is given
    wiring: Wiring  # (n, n), i -> j
    counts: npt.NDArray[np.float32]  # (connection,): summed weights, > 0
    signs: npt.NDArray[np.int8] | None  # (unit,): +1, -1, 0 free; None where nothing says them
    report: Report


def read_connectome(
    edges: Path, neurons: Path | None, options: Options | None = None
) -> Connectome:
    """The connectome in a file of edges and, where there is one, a node table.

    `edges` is an edge list (.csv, .tsv, .txt, these with .gz, .parquet, .feather, .arrow), a
    matrix (.csv with names, .npy, .npz, .mat, .graphml), or what `write_native` wrote.

    Raises DataFileError: NB202 to NB204 and NB901 (a file that cannot be read), NB201 and NB306
    (a matrix's shape), NB205 (a weight that is negative, missing or not finite), NB206 (no such
    array), NB211 (columns), NB212 (neurons that are unknown, or there twice), NB213 (ids as
    floating-point numbers), NB214 (signs), NB215 (nothing is left), NB216 (a pair twice, under
    `duplicates: error`).
    """
    options = options or Options()
    with enough_memory(edges), Source(edges, SUFFIXES) as source:
        if source.suffix == ".npz" and native.is_native(source.content):
            return from_native(source, neurons, options)
        raw = read_raw(source, options)
        source.content = b""  # hundreds of megabytes that are not needed any more
    table = None if neurons is None else read_nodes(neurons, options)
    return assembled(raw, source, table, options)


def read_raw(source: Source, options: Options) -> RawEdges:
    """The rows or cells of a file, by whichever reader is its own."""
    from netbuild.connectomes import adjacency, dense, sparse_npz

    path, content = source.path, source.content
    if source.suffix == ".npz" and sparse_npz.is_sparse(content):
        return sparse_npz.read(path, content, options)
    if source.suffix in (".npy", ".npz"):
        return dense.read(path, content, options)
    if source.suffix == ".mat":
        from netbuild.connectomes import matlab

        return matlab.read(path, content, options)
    if source.suffix == ".graphml":
        from netbuild.connectomes import graphml

        return graphml.read(path, content, options)
    from netbuild.connectomes import edges, tables

    table = tables.open_table(source)
    ends = edges.ends_of(table, options)
    if ends is not None and (options.rows or options.array):
        key = "rows" if options.rows else "array"
        what = f"{source.name} is an edge list, and `{key}` is about matrices"
        raise left_out(key, "NB211", what)
    if ends is not None:
        return edges.read(source, table, ends, options)
    if (error := tables.not_a_header(table)) is not None:
        raise error
    if source.suffix in TEXT and is_matrix(table, options):
        return adjacency.read(path, content, options)
    raise unrecognised(table, options)


def unrecognised(table: Table, options: Options) -> DataFileError:
    """The error for a table that is no edge list as it stands, and what it may be instead."""
    from netbuild.connectomes import adjacency, tables

    what = f"no two columns of {table.name} are recognised as pre- and postsynaptic neurons"
    hint = f"say {spelled('pre', 'post')}; its columns are {tables.listed(table)}"
    if table.schema is not None:
        return DataFileError("NB211", what, hint)
    numbers = [NUMBER.fullmatch(cell) is not None for cell in table.columns]
    header = f"a first row {','.join(('pre', 'post', 'weight')[: max(2, len(numbers))])}"
    if all(numbers):
        what = f"the first row of {table.name} holds numbers alone, no names"
        hint = "a matrix needs names in its first row and column, or to be saved as .npy"
        if options.rows is None:
            hint += f"; an edge list needs {header}"
        return DataFileError("NB211", what, hint)
    sample = table.sample({str(place): place for place in range(min(2, len(numbers)))})
    cells = {cell for column in sample for cell in column.to_list()}
    if adjacency.looks_labelled(table.columns) and sample["1"].str.contains(tables.NUMBER).all():
        rows = "`edges: {file: FILE, rows: pre}` if its rows are presynaptic neurons, else `post`"
        return DataFileError(
            "NB211", what, f"is it a matrix with names? Say {rows}; if not, {hint}"
        )
    if any(numbers) or not cells.isdisjoint(table.columns):
        return DataFileError("NB211", what, f"is the header missing? add {header}; if not, {hint}")
    return DataFileError("NB211", what, hint)


def is_matrix(table: Table, options: Options) -> bool:
    """Whether a text is a matrix with names rather than an edge list with columns of its own.

    Its first cell is empty, or the user says what its rows are, or names of rows are names of
    columns too and numbers stand beside them.
    """
    from netbuild.connectomes import adjacency, tables

    if not adjacency.looks_labelled(table.columns):
        return False
    if not table.columns[0] or options.rows is not None:
        return True
    sample = table.sample({"row": 0, "first cell": 1}).drop_nulls()
    numbers: bool = sample["first cell"].str.contains(tables.NUMBER).all()
    return numbers and not set(sample["row"].to_list()).isdisjoint(table.columns[1:])


def assembled(
    raw: RawEdges, source: Source, table: NodeTable | None, options: Options
) -> Connectome:
    """The connectome of rows and a node table."""
    files = (source.name, show(table.path.name) if table and table.path else "")
    pre, post, names = matching.positions(raw)
    weight = None if raw.weight is None else checked(raw.weight, raw, source.name)
    dropped = dict(raw.dropped)
    keep = np.ones(len(pre), np.bool_)
    if weight is not None and len(weight) and not weight.min():
        keep = weight != 0
        drop(dropped, "weight 0", len(keep) - int(np.count_nonzero(keep)))
    if table is None:
        n = raw.n if names is None else len(names)
        table = from_names(matching.as_text(names, n))
    else:
        at = matching.lookup(names, raw, table, files)
        missing = at < 0
        if missing.any() and (gone := missing[pre] | missing[post]).any():
            assert names is not None
            if options.unmatched == "error":
                raise matching.unmatched(raw, (pre, post), names, missing, table, files)
            drop(dropped, "not in the node table", int(np.count_nonzero(keep & gone)))
            keep &= ~gone
        pre, post = at[pre], at[post]
    unit_signs = table.signs
    if unit_signs is None and options.signs:
        unit_signs = signs_of_edges(raw, pre, table, options, files)
    if not keep.all():
        pre, post = pre[keep], post[keep]
        weight = None if weight is None else weight[keep]
    kinds = None
    if raw.kinds is not None and len(raw.kinds) > 1 and raw.kind is not None:
        kinds = raw.kind[keep]
    pairs = policies.pairs_of(pre, post, len(table))
    del pre, post
    try:
        wiring, counts, counted = policies.applied(pairs, weight, len(table), options, kinds)
    except TwiceError as error:
        raise twice(raw, np.flatnonzero(keep), error, source.name) from None
    if not len(wiring):
        raise nothing_left(raw.rows, dropped, counted, source.name)
    report = Report(
        *(wiring, unit_signs, raw.rows, dropped, counted),
        files=files_of(source, table),
        columns={"edges": raw.columns, "neurons": table.used},
        types=tally(raw),
        policies=followed(options),
    )
    return Connectome(table, wiring, counts, unit_signs, report)


def checked(weight: npt.NDArray[np.float64], raw: RawEdges, name: str) -> npt.NDArray[np.float64]:
    """`weight` itself, of which all are finite and none is negative: DataFileError NB205."""
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
        hint = f"counts are not negative: signs are given in a node table, {spelled('sign')}"
    raise DataFileError("NB205", f"the weight in {raw.place(row)} of {name} {problem}", hint)


def signs_of_edges(
    raw: RawEdges, pre: Array, table: NodeTable, options: Options, files: tuple[str, str]
) -> npt.NDArray[np.int8]:
    """The units' signs from the edges' neurotransmitters; NB211 where there are none."""
    if raw.type is None:
        what = f"{files[0]} has no column of neurotransmitters that is recognised"
        if files[1]:
            what = f"neither {files[0]} nor {files[1]} has a column of neurotransmitters"
        hint = f"`signs` are about one: say {spelled('type')} or {spelled('sign')}"
        raise DataFileError("NB211", what, hint)
    return signs.of_edges(raw, pre, table.names, options, files[0])


def twice(raw: RawEdges, kept: Array, error: TwiceError, name: str) -> DataFileError:
    """The error for a pair that stands in two of the rows that were kept."""
    first, second = (raw.place(int(kept[row])) for row in (error.first, error.second))
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


def from_native(source: Source, neurons: Path | None, options: Options) -> Connectome:
    """The connectome in a native file; policies that leave something to do are applied to it.

    Raises DataFileError NB211 for options about columns that it does not have any more.
    """
    name = source.name
    if neurons is not None:
        what = f"{name} is a whole connectome, with its neurons; {show(neurons.name)} is one more"
        raise DataFileError("NB211", what, "leave `neurons` out")
    for key in OF_TABLES:
        if getattr(options, key):
            what = f"{name} is a whole connectome, read once already; `{said(key)}` was for that"
            raise left_out(key, "NB211", what, ", or name the original file")
    held = native.read(source.content, name)
    source.content = b""
    columns = {}
    for column, cells in held.columns.items():
        columns[column] = np.empty(len(cells), object)
        columns[column][:] = cells
    unit_signs, used = held.signs, {}
    if options.sign or options.signs:
        unit_signs, sign = sign_of(columns, options, name, None)
        if sign is None:
            what = f"{name} has no column of neurotransmitters that is recognised"
            raise DataFileError("NB211", what, "convert the original files again, with `signs`")
        used = {"sign": sign}
    names = matching.as_text(np.array(held.names, object), len(held.names))
    table = NodeTable(names, columns, unit_signs, used=used)
    wiring, counts, counted = held.wiring, held.counts, Counted()
    if options.symmetrize != "none" or not options.self_connections or options.min_weight:
        pairs = policies.pairs_of(wiring.sources, wiring.targets, len(table))
        weights = counts.astype(np.float64)
        wiring, counts, counted = policies.applied(pairs, weights, len(table), options)
        if not len(wiring):
            raise nothing_left(len(held.wiring), {}, counted, name)
    report = Report(
        *(wiring, unit_signs, len(held.wiring), {}, counted),
        files=files_of(source, table),
        columns={"edges": {}, "neurons": used},
        types={},
        policies=followed(options),
        origin=held.origin,
    )
    return Connectome(table, wiring, counts, unit_signs, report)


def write_native(connectome: Connectome, path: Path) -> None:
    """Write the connectome as an .npz that `read_connectome` loads at once.

    The file appears whole or not at all. Raises OSError where it cannot be written, ValueError
    for another extension.
    """
    if path.suffix.lower() != ".npz":
        raise ValueError(f"a connectome is written as .npz, got {path.name}")
    native.write(
        path,
        *(connectome.wiring, connectome.counts, connectome.signs),
        *(connectome.neurons.names, connectome.neurons.columns),
        origin=connectome.report.facts(),
    )


def drop(dropped: dict[str, int], reason: str, rows: int) -> None:
    """Count rows that are left out."""
    if rows:
        dropped[reason] = dropped.get(reason, 0) + rows


def files_of(source: Source, table: NodeTable) -> dict[str, FileRead]:
    """The files for the report; the node table is among them where it has one."""
    files = {"edges": FileRead(source.path, source.sha256, source.size)}
    if table.path is not None:
        files["neurons"] = FileRead(table.path, table.sha256, table.size)
    return files


def tally(raw: RawEdges) -> dict[str, int]:
    """How many rows there are of each neurotransmitter, else kind of synapse; most rows first."""
    at, words = (raw.kind, raw.kinds) if raw.type is None else (raw.type, raw.types)
    if at is None:
        return {}
    if words is None:
        words, counts = np.unique(at.astype(str), return_counts=True)
    else:
        counts = np.bincount(at, minlength=len(words))
    order = np.argsort(-counts, kind="stable")[:TYPES_LISTED]
    return {str(words[i]): int(counts[i]) for i in order}


def followed(options: Options) -> dict[str, Any]:
    """The policies in the report."""
    names = ("duplicates", "self_connections", "min_weight", "symmetrize", "unmatched")
    told = {field.name: getattr(options, field.name) for field in fields(options)}
    told["signs"] = dict(options.signs)
    told["where"] = {column: [*map(str, values)] for column, values in options.kept().items()}
    return {key: told[key] for key in (*names, "signs", "unknown", "where", "rows", "array")}
