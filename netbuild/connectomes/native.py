"""The native form of a connectome: what reading it came to, as an .npz that loads at once.

Members, uncompressed: `netbuild_connectome` (the version of this form), `starts`, `sources`
(int32), `counts` (float32) as in `Connectome`, `signs` (int8) where there are some, and
`neurons`: the bytes of JSON with the names, the other columns of the node table, whether there
are signs, and the report of how it was made. Plain numbers alone, so that the reader of untrusted
arrays reads it.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError
from netbuild.files import npy, npz
from netbuild.wiring import Wiring
from netbuild.wording import show

VERSION = 1
MARK = "netbuild_connectome"
MAX_BYTES = 1 << 34
KINDS = {"starts": np.int32, "sources": np.int32, "counts": np.float32, "signs": np.int8}
LOCAL = struct.Struct("<26x2H")  # before a member: the lengths of its name and its extra field
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Native:
    """What a native file holds, once it has proved to be whole."""

    wiring: Wiring
    counts: npt.NDArray[np.float32]
    signs: npt.NDArray[np.int8] | None
    names: list[str]
    columns: dict[str, list[str]]
    origin: dict[str, Any]


def is_native(content: bytes) -> bool:
    """Whether the bytes of an .npz are of this form; False where they hold nothing readable."""
    return f"{MARK}.npy" in npz.members_of(content)


def write(
    path: Path,
    wiring: Wiring,
    counts: Array,
    signs: Array | None,
    names: Array,
    columns: Mapping[str, Array],
    origin: Mapping[str, Any],
) -> None:
    """Write the file, whole or not at all; the same connectome gives the same bytes."""
    text = {
        "signed": signs is not None,
        "names": names.tolist(),
        "columns": {column: cells.tolist() for column, cells in columns.items()},
        "origin": dict(origin),
    }
    arrays: dict[str, Array] = {
        MARK: np.array([VERSION], np.int32),
        "starts": wiring.starts,
        "sources": wiring.sources,
        "counts": np.asarray(counts, np.float32),
        "neurons": np.frombuffer(json.dumps(text, ensure_ascii=False).encode(), np.uint8),
    }
    if signs is not None:
        arrays["signs"] = np.asarray(signs, np.int8)
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


def read(content: bytes, name: str) -> Native:
    """What the bytes hold; raises DataFileError NB204 where they contradict themselves, NB901."""
    version = part(content, MARK, name)
    if version.shape != (1,) or version[0] != VERSION:
        hint = "write it again with this program's `netbuild convert`"
        raise DataFileError("NB204", f"{name} is a connectome of another version", hint)
    starts, sources, counts = (part(content, key, name) for key in ("starts", "sources", "counts"))
    neurons = part(content, "neurons", name)
    names, columns, origin, signed = texts(neurons, name)
    n = len(names)
    signs = part(content, "signs", name) if signed else None
    if len(starts) != n + 1 or starts[0] != 0 or starts[-1] != len(sources):
        raise malformed(name, "its starts do not fit its neurons and its connections")
    if (starts[1:] < starts[:-1]).any():
        raise malformed(name, "its starts fall")
    if sources.min() < 0 or sources.max() >= n:
        raise malformed(name, "a connection comes from a neuron that is not there")
    rises = sources[1:] > sources[:-1]
    rises[starts[(starts > 0) & (starts < len(sources))] - 1] = True  # another neuron's first
    if not rises.all():
        raise malformed(name, "connections are out of order, or there twice")
    if counts.shape != sources.shape or not (counts.min() > 0 and counts.max() < np.inf):
        raise malformed(name, "its counts are not positive, or not one for each connection")
    if signs is not None and (len(signs) != n or np.abs(signs.astype(int)).max() > 1):
        raise malformed(name, "its signs are not 1, -1 or 0, or not one for each neuron")
    return Native(Wiring(n, n, starts, sources), counts, signs, names, columns, origin)


def part(content: bytes, key: str, name: str) -> Array:
    """One of the arrays, which have one dimension and the type of their key."""
    array = stored(content, key, name)
    if array is None:
        array = npz.array_from(io.BytesIO(content), len(content), key, name, MAX_BYTES)
    if array.ndim != 1 or (key in KINDS and array.dtype != KINDS[key]):
        raise malformed(name, f"its `{key}` is not a list of the right kind")
    return array


def stored(content: bytes, key: str, name: str) -> Array | None:
    """An array that is not compressed, with a single copy of its bytes; None: it is.

    Raises what `npz.array_from` raises. Zipfile alone would copy tens of megabytes thrice.
    """
    with npz.archive_of(io.BytesIO(content), len(content), name) as archive:
        member = npz.pick(archive, len(content), key, name, MAX_BYTES)
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    at = member.header_offset
    if content[at : at + 4] != b"PK\x03\x04" or len(content) < at + LOCAL.size:
        raise npz.damaged(member, name)
    at += LOCAL.size + sum(LOCAL.unpack_from(content, at))  # the name, and what comes after it
    view = memoryview(content)[at : at + member.file_size]
    if len(view) != member.file_size or zlib.crc32(view) != member.CRC:
        raise npz.damaged(member, name)
    label = f"{show(member.filename)} in {name}"
    layout = npy.layout_of(bytes(view[: npy.HEAD]), len(view), label, MAX_BYTES)
    # What lies in bytes is not writable, so that this makes the one copy.
    return npy.array_from(layout, cast(bytearray, view), label)


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
    """The error for a file whose parts contradict each other."""
    hint = "write it again with `netbuild convert`"
    return DataFileError("NB204", f"{show(name)} is not an intact connectome: {problem}", hint)
