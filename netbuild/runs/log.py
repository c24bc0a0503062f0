"""A run's log, read line by line: it may have millions of lines, and few of them are wanted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from netbuild.folders import TooLargeError, entered

BLOCK = 1 << 20  # bytes that are read at once
LARGEST_LOG = 1 << 32  # bytes of a log that is read: 25 million lines
LONGEST = 1 << 24  # bytes of one line
_decode = json.JSONDecoder().decode  # as `json.loads`, which looks at its options for each line


def records(
    path: Path, kind: str | None = None, *, newest_first: bool = False
) -> Iterator[dict[str, Any]]:
    """The records of a log, or those of one kind, oldest first unless told otherwise.

    A torn last line is left out. Lines of other kinds are not even parsed. Raises OSError, and
    ValueError for a line that is no record.
    """
    mark = b"" if kind is None else json.dumps(kind).encode()
    with os.fdopen(_open(path), "rb") as stream:
        for line in _backwards(stream) if newest_first else _forwards(stream):
            if mark not in line:
                continue
            record = _record(line)
            if kind is None or record["kind"] == kind:
                yield record


def _open(path: Path) -> int:
    """The descriptor of a regular file; raises OSError.

    And ForeignEntryError for a link, TooLargeError for more bytes than a log can sensibly have.
    """
    with entered(path.parent) as folder:
        descriptor = folder.open(path.name)
    size = os.fstat(descriptor).st_size
    if size > LARGEST_LOG:
        os.close(descriptor)
        raise TooLargeError(path, size, LARGEST_LOG)
    return descriptor


def _forwards(stream: BinaryIO) -> Iterator[bytes]:
    """The whole lines of a file."""
    rest = b""
    while block := stream.read(BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        _refuse_endless(rest)


def _backwards(stream: BinaryIO) -> Iterator[bytes]:
    """The same, the last one first."""
    at = stream.seek(0, os.SEEK_END)
    rest, is_torn = b"", True  # the beginning of what was read, whose line began earlier
    while at:
        size = min(BLOCK, at)
        at = stream.seek(at - size)
        rest, *lines = (stream.read(size) + rest).split(b"\n")
        if lines and is_torn:
            lines.pop()  # what follows the last newline
            is_torn = False
        yield from reversed(lines)
        _refuse_endless(rest)
    if not is_torn:
        yield rest


def _refuse_endless(line: bytes) -> None:
    if len(line) > LONGEST:
        raise ValueError(f"a line of more than {LONGEST:,} bytes")


def _record(line: bytes) -> dict[str, Any]:
    record = _decode(line.decode())
    if not isinstance(record, dict) or not {"step", "kind"} <= record.keys():
        raise ValueError("a line that is no record")
    return record
