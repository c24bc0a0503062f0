"""A program of its own: reads a binary table before others do, and dies of it if need be.

Polars trusts the lengths inside Parquet and Arrow files; one that lies may end the process that
reads it, and no handler can prevent that. So this process goes first (see `probe`), within a limit
of memory and time, and imports nothing but polars. It never sees a file's path, only bytes.

On its standard input: a line of JSON {path, suffix, size}, the bytes, and then, line by line,
lists of columns. It answers `ready` once polars is there, `ok` once the columns are known, and
`ok` for each list that it has read. Otherwise it ends.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any, BinaryIO

MEMORY = 4 << 30  # bytes, and
MEMORY_RATIO = 16  # as many for each byte of the file
SECONDS = 120  # of computing, and one for each MB of the file
TEXT_CAP = 64 << 20  # bytes of text in one column, and
TEXT_RATIO = 200  # as many for each byte of the file: what has more is refused later


def main() -> None:
    """Answer until the input ends."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    order = json.loads(commands.readline())
    limit(order["size"])
    sys.path[:] = order["path"]
    import polars as pl

    say(answers, b"ready")
    content = commands.read(order["size"])
    parquet = order["suffix"] == ".parquet"
    lazy: Any = (pl.scan_parquet if parquet else pl.scan_ipc)(io.BytesIO(content))
    lazy.collect_schema()
    lazy.select(pl.len()).collect()
    say(answers, b"ok")
    read: Any = pl.read_parquet if parquet else pl.read_ipc
    for line in commands:
        for column in read(io.BytesIO(content), columns=json.loads(line)):
            touch(column, max(TEXT_CAP, TEXT_RATIO * order["size"]))
        say(answers, b"ok")


def touch(column: Any, most: int) -> None:
    """Look at what is not a number as its readers will: as text, of at most so many bytes."""
    if column.dtype.is_numeric() or column.dtype.is_nested():
        return
    import polars as pl

    coded = isinstance(column.dtype, (pl.Categorical, pl.Enum))
    if coded and (column.cat.len_bytes().sum() or 0) > most:
        return
    text = column.cast(pl.String)
    if text.str.len_bytes().sum() <= most:
        text.str.strip_chars().n_unique()


def limit(size: int) -> None:
    """Bound memory and time, as far as the system can; no core is dumped."""
    try:
        import resource
    except ImportError:
        return
    memory = MEMORY + MEMORY_RATIO * size
    wanted = {
        "RLIMIT_DATA": memory,  # on Linux: whatever is written to
        "RLIMIT_AS": 4 * memory,  # elsewhere; it counts what is merely reserved too
        "RLIMIT_CPU": SECONDS + (size >> 20),
        "RLIMIT_CORE": 0,
    }
    for name, most in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        for given in resource.getrlimit(kind):
            most = most if given == resource.RLIM_INFINITY else min(most, given)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            continue


def say(answers: BinaryIO, word: bytes) -> None:
    """One line to the process that waits."""
    answers.write(word + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
