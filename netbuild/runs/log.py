"""A run's log, `metrics.jsonl`: its lines, how they are read, and how far a checkpoint knows it.

It may have millions of lines, and few of them are wanted.
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
from netbuild.runs.schema import State, without_nan

METRICS = "metrics.jsonl"
BLOCK = 1 << 20  # bytes that are read at once
LARGEST_LOG = 1 << 32  # bytes of a log that is read: 25 million lines
LONGEST = 1 << 24  # bytes of one line
BRING_BACK = "bring the file back, or `--fork` starts a new run from the run's weights"
_decode = json.JSONDecoder().decode  # as `json.loads`, which looks at its options for each line


class NotNowError(NetbuildError):
    """A file of a run that may be whole, and that this program cannot read now."""


class OtherLogError(NetbuildError):
    """A log that is not the one that a checkpoint knows (exit 5)."""


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
    """The lines of a log, oldest first unless told otherwise; with `kind`, only these.

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
    """The descriptor of a log; raises TooLargeError for more bytes than one can sensibly have."""
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


def refuse_other_log(run: Path, state: State) -> None:
    """Raise OtherLogError unless a run's log begins with the bytes that a checkpoint knows.

    Raises NotNowError (exit 7) where the disk fails.
    """
    path, size = run / METRICS, state.metrics
    try:
        found = check_file(path).st_size
        begins = hash_beginning(path, size).hexdigest() == state.metrics_sha256
    except OSError as error:
        raise NotNowError(f"{path} cannot be read: {reason_of(error)}", Exit.IO) from None
    if found < size:
        what = f"{path} has {found:,} bytes, and had {size:,} at its checkpoint"
        raise OtherLogError(what, Exit.RUN, f"lines were lost; {BRING_BACK}")
    if not begins:
        what = f"{path} is not the one that the run wrote"
        raise OtherLogError(what, Exit.RUN, f"lines were changed; {BRING_BACK}")


def copy_log(run: Path) -> None:
    """Keep the log as it is beside itself, before it is cut; raises OSError."""
    replace_file(run / f"corrupt-{METRICS}-{secrets.token_hex(2)}", read_log(run))


def read_log(run: Path) -> bytes:
    """All of a run's log; raises OSError, and NetbuildError as `read_file` does."""
    return read_file(run / METRICS, LARGEST_LOG)
