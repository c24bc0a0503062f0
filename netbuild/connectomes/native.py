"""The native form of a connectome: the result of reading it, as an .npz that loads at once.

Members, uncompressed: `netbuild_connectome` (the version of this form), `starts`, `sources`
(int32), `counts` (float32) as in `Connectome`, `signs` (int8) where there are some, and
`neurons`: the bytes of JSON with the names, the other columns of the node table, whether there
are signs, and the report of how it was made. Plain numbers alone, so that the reader of untrusted
arrays reads it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netbuild.connectomes.nodes import NodeTable
from netbuild.connectomes.rows import Array, objects
from netbuild.errors import DataFileError
from netbuild.files import npz
from netbuild.wiring import Wiring
from netbuild.wording import show

VERSION = 1
MARK = "netbuild_connectome"
MAX_BYTES = 1 << 34
KINDS = {"starts": np.int32, "sources": np.int32, "counts": np.float32, "signs": np.int8}


def is_native(content: bytes) -> bool:
    """Whether the bytes of an .npz are of this form; False where they hold nothing readable."""
    return f"{MARK}.npy" in npz.members_of(content)


def write(
    path: Path, neurons: NodeTable, wiring: Wiring, counts: Array, origin: Mapping[str, Any]
) -> None:
    """Write the file, whole or not at all; the same connectome gives the same bytes.

    `origin` is the report of how the connectome was made.
    """
    text = {
        "signed": neurons.signs is not None,
        "names": neurons.names.tolist(),
        "columns": {column: cells.tolist() for column, cells in neurons.columns.items()},
        "origin": origin,
    }
    arrays: dict[str, Array] = {
        MARK: np.array([VERSION], np.int32),
        "starts": wiring.starts,
        "sources": wiring.sources,
        "counts": np.asarray(counts, np.float32),
        "neurons": np.frombuffer(json.dumps(text, ensure_ascii=False).encode(), np.uint8),
    }
    if neurons.signs is not None:
        arrays["signs"] = np.asarray(neurons.signs, np.int8)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(content: bytes, name: str) -> tuple[NodeTable, Wiring, Array, dict[str, Any]]:
    """The neurons, the wiring, the counts, and the report of how these were made.

    Raises DataFileError NB204 where the bytes contradict themselves, NB901.
    """
    version = part(content, MARK, name)
    if version.shape != (1,) or version[0] != VERSION:
        hint = "write it again with this program's `netbuild convert`"
        raise DataFileError("NB204", f"{name} is a connectome of another version", hint)
    starts, sources, counts = (part(content, key, name) for key in ("starts", "sources", "counts"))
    names, columns, origin, signed = texts(part(content, "neurons", name), name)
    n = len(names)
    signs = part(content, "signs", name) if signed else None
    wiring = Wiring(n, n, starts, sources)
    try:
        wiring.check()
    except ValueError as error:
        raise malformed(name, str(error)) from None
    if counts.shape != sources.shape or not (counts.min() > 0 and counts.max() < np.inf):
        raise malformed(name, "its counts are not positive, or not one for each connection")
    if signs is not None and (len(signs) != n or np.abs(signs.astype(int)).max() > 1):
        raise malformed(name, "its signs are not 1, -1 or 0, or not one for each neuron")
    cells = {column: objects(values) for column, values in columns.items()}
    return NodeTable(objects(names), cells, signs), wiring, counts, origin


def part(content: bytes, key: str, name: str) -> Array:
    """One of the arrays, which have one dimension and the type of their key."""
    array = npz.array_from(content, key, name, MAX_BYTES)
    if array.ndim != 1 or (key in KINDS and array.dtype != KINDS[key]):
        raise malformed(name, f"its `{key}` is not a list of the right kind")
    return array


def texts(
    content: Array, name: str
) -> tuple[list[str], dict[str, list[str]], dict[str, Any], bool]:
    """Names, columns, origin, and whether there are signs, from JSON."""
    try:
        data = json.loads(content.tobytes(), parse_constant=refused)
        names, columns, origin = data["names"], data["columns"], data["origin"]
        signed = data["signed"]
        whole = (
            all_text(names)
            and isinstance(columns, dict)
            and all(all_text(cells) and len(cells) == len(names) for cells in columns.values())
            and isinstance(origin, dict)
            and isinstance(signed, bool)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise malformed(name, "its neurons cannot be read")
    if not names or not all(names) or len(set(names)) < len(names):
        raise malformed(name, "a neuron has no name, or that of another")
    return names, columns, origin, signed


def refused(constant: str) -> None:
    """NaN and infinity are no JSON."""
    raise ValueError(constant)


def all_text(values: Any) -> bool:
    """Whether this is a list of text and nothing else."""
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def malformed(name: str, problem: str) -> DataFileError:
    """The error for a file that is not an intact connectome."""
    hint = "write it again with `netbuild convert`"
    return DataFileError("NB204", f"{show(name)} is not an intact connectome: {problem}", hint)
