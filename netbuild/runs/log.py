"""The log of a run, `metrics.jsonl`: its lines, their reading, and the check against a checkpoint.

A log may have millions of lines, of which a reader wants few.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from netbuild.durable import canonical_json, hash_beginning, read_file, reason_of, replace_file
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import TooLargeError, check_file, entered
from netbuild.rundir import METRICS
from netbuild.runs.schema import State, without_nan

BLOCK = 1 << 20  # bytes that are read at once
LARGEST_LOG = 1 << 32  # bytes of a log that is read, about 25 million lines
LONGEST = 1 << 24  # bytes of a line
RESTORE = "restore the file, or `--fork` starts a new run from the run's weights"
_decode = json.JSONDecoder().decode  # faster than `json.loads`, which checks its options each time


class NotNowError(NetbuildError):
    """A file of a run that this program cannot read now, although it may be intact."""


class OtherLogError(NetbuildError):
    """A log that is not the one that a checkpoint was saved with (exit 5)."""


def line_of(kind: str, step: int, values: Mapping[str, Any]) -> str:
    """A line of the log; a number that is not finite is null."""
    line = {"step": step, "kind": kind, **values}
    try:
        return canonical_json(line) + "\n"
    except ValueError:  # a number that is not finite, which JSON does not have
        return canonical_json(without_nan(line)) + "\n"


def records(
    path: Path, kind: str | None = None, *, newest_first: bool = False
) -> Iterator[dict[str, Any]]:
    """The lines of a log, or only those of one kind; the oldest comes first by default.

    An incomplete last line is left out. Raises OSError, and ValueError for a damaged line; lines of
    other kinds are not parsed.
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
    """The descriptor of a log; raises TooLargeError for a log that is far too large."""
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
    """The whole lines of a file, the last one first."""
    at = stream.seek(0, os.SEEK_END)
    rest, is_torn = b"", True  # `rest` is the end of a line whose beginning has not been read
    while at:
        size = min(BLOCK, at)
        at = stream.seek(at - size)
        rest, *lines = (stream.read(size) + rest).split(b"\n")
        if lines and is_torn:
            lines.pop()  # the incomplete line after the last newline
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
        raise ValueError("a line is not a record")
    return record


def refuse_other_log(run: Path, state: State) -> None:
    """Raise OtherLogError unless a run's log begins with the bytes that a checkpoint recorded.

    Raises NotNowError (exit 7) where the disk fails.
    """
    path, size = run / METRICS, state.metrics
    try:
        found = check_file(path).st_size
        begins = hash_beginning(path, size).hexdigest() == state.metrics_sha256
    except OSError as error:
        raise NotNowError(f"{path} cannot be read: {reason_of(error)}", Exit.IO) from None
    if found < size:
        what = f"{path} has {found:,} bytes, and had {size:,} when the checkpoint was saved"
        raise OtherLogError(what, Exit.RUN, f"lines were lost; {RESTORE}")
    if not begins:
        what = f"{path} does not begin with the lines that the run wrote"
        raise OtherLogError(what, Exit.RUN, f"lines were changed; {RESTORE}")


def copy_log(run: Path) -> None:
    """Copy the log to `corrupt-metrics.jsonl-...`, before it is shortened; raises OSError."""
    replace_file(run / f"corrupt-{METRICS}-{secrets.token_hex(2)}", read_log(run))


def read_log(run: Path) -> bytes:
    """The whole log of a run; raises the errors of `read_file`."""
    return read_file(run / METRICS, LARGEST_LOG)
