"""Binary tables (Parquet, Feather, Arrow), read by pyarrow under limits of memory.

Pyarrow reports whatever is damaged; but a few bytes can honestly unpack to gigabytes. So the size
of a table is taken from its metadata before any column is read. Parquet says it for each column.
Arrow's files say it before each packed buffer, which is why the messages of such a file are walked
here; they are tables of flatbuffers. Formats: https://arrow.apache.org/docs/format/Columnar.html
and https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from netbuild.errors import DataFileError
from netbuild.files.npz import RATIO, SMALL
from netbuild.wording import show

# What pyarrow and polars raise for tables that are damaged. Names that are no UTF-8 give pyarrow's
# caller a UnicodeDecodeError, which is a ValueError.
DAMAGED = (
    *(pa.ArrowException, OSError, ValueError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
BATCH = 1 << 20  # rows that are unpacked at a time
BINARY = (pa.types.is_binary, pa.types.is_large_binary)
TEXTS = (*BINARY, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal128, pa.types.is_boolean)
TIMES = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp)
PLAIN = (*NUMBERS, *TEXTS, *TIMES, pa.types.is_null, pa.types.is_fixed_size_binary)


@dataclass(frozen=True)
class BinaryTable:
    """A table whose metadata alone have been read."""

    name: str  # the file's, fit for a message
    content: bytes
    parquet: bool
    schema: Mapping[str, pa.DataType]  # by the columns' own names
    rows: int
    limit: int  # bytes that its columns may unpack to

    def holds_floats(self, place: int) -> bool:
        """Whether a column holds numbers with fractions."""
        kind = list(self.schema.values())[place]
        return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns, in their order.

        Raises DataFileError: NB204 (damaged), NB211 (lists, records, durations), NB901 (they unpack
        to too much).
        """
        for column in columns:
            self._refuse_type(column)
        table = self._parquet(columns) if self.parquet else self._arrow(columns)
        # Polars gets new names: it panics at a name that is not UTF-8.
        names = [f"c{place}" for place in range(len(columns))]
        with damage_reported(self.name):
            table.validate(full=True)
            arrays = [simple(table.column(column)) for column in columns]
            frame = pl.from_arrow(pa.Table.from_arrays(arrays, names).unify_dictionaries())
        assert isinstance(frame, pl.DataFrame)
        return frame.rename(dict(zip(names, columns, strict=True)))

    def _refuse_type(self, column: str) -> None:
        """Refuse a column that does not hold a number, a text, a time or nothing in each row."""
        kind = self.schema[column]
        if is_any(kind.value_type if pa.types.is_dictionary(kind) else kind, PLAIN):
            return
        held, hint = f"values of type {show(str(kind))}", "a column holds one value a row"
        if pa.types.is_nested(kind):
            held = "lists or records"
        elif pa.types.is_duration(kind):
            held, hint = "durations", "write them as numbers, for example of milliseconds"
        raise DataFileError("NB211", f"the column {show(column)} of {self.name} holds {held}", hint)

    def _parquet(self, columns: Sequence[str]) -> pa.Table:
        texts = {column for column in columns if is_any(self.schema[column], TEXTS)}
        sizes: dict[str, list[int]] = {}  # column -> the bytes that each of its chunks unpacks to
        apart: set[str] = set()  # columns of texts that are stored as differences between rows
        with damage_reported(self.name):
            metadata = pq.read_metadata(pa.BufferReader(self.content))
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            for chunk in (group.column(i) for group in groups for i in range(group.num_columns)):
                column = chunk.path_in_schema
                sizes.setdefault(column, []).append(max(0, chunk.total_uncompressed_size))
                if any(encoding.startswith("DELTA") for encoding in chunk.encodings):
                    apart |= {column} & texts
        self.judge(sum(sum(sizes.get(column, [])) for column in columns))
        # A text that many rows share is stored once, and stays so as the entry of a dictionary.
        with damage_reported(self.name):
            file = pq.ParquetFile(pa.BufferReader(self.content), read_dictionary=texts - apart)
        shared = [column for column in columns if column not in apart]
        cells = self._batches(file, shared, BATCH) if shared else {}
        # Differences have no dictionaries, and each row may repeat all the bytes that are stored.
        for column in apart:
            few = max(1, min(BATCH, self.limit // max(1, *sizes[column])))
            cells |= self._batches(file, [column], few)
        with damage_reported(self.name):
            return pa.Table.from_arrays([cells[column] for column in columns], list(columns))

    def _batches(
        self, file: pq.ParquetFile, columns: Sequence[str], rows: int
    ) -> dict[str, pa.ChunkedArray]:
        """Some columns of a Parquet file, so many rows at a time, and no more than the limit."""
        found, size = [], 0  # the metadata may lie, so that the size is counted too
        with damage_reported(self.name):
            batches = file.iter_batches(rows, columns=list(columns))
        while True:
            with damage_reported(self.name):
                batch = next(batches, None)
            if batch is None:
                break
            found.append(batch)
            size += batch.nbytes
            self.judge(size)
        with damage_reported(self.name):
            table = pa.Table.from_batches(found) if found else file.read(list(columns))
        return {column: table.column(column) for column in columns}

    def _arrow(self, columns: Sequence[str]) -> pa.Table:
        names = list(self.schema)
        options = ipc.IpcReadOptions(included_fields=[names.index(column) for column in columns])
        with damage_reported(self.name):
            return ipc.open_file(pa.BufferReader(self.content), options=options).read_all()

    def judge(self, size: int) -> None:
        """Refuse columns of more bytes than the limit."""
        if size > self.limit:
            what = f"{self.name} unpacks to more than {self.limit:,} bytes"
            raise DataFileError("NB901", what, "save it as .csv")


def open_binary(content: bytes, suffix: str, name: str) -> BinaryTable:
    """The table in the bytes of a file; raises DataFileError NB204 where it is damaged."""
    parquet, limit = suffix == ".parquet", max(SMALL, RATIO * len(content))
    rows = size = 0
    with damage_reported(name):
        if parquet:
            file = pq.ParquetFile(pa.BufferReader(content))
            schema, rows = file.schema_arrow, file.metadata.num_rows
        else:
            schema = ipc.open_file(pa.BufferReader(content)).schema
        names, types = schema.names, schema.types
    if not parquet:
        try:
            rows, size = unpacked_size(content)
        except (struct.error, ValueError):
            raise malformed(name) from None
    schema = dict(zip(names, types, strict=True))
    if len(schema) < len(names):  # two columns have one name
        raise malformed(name)
    table = BinaryTable(name, content, parquet, schema, rows, limit)
    table.judge(size)
    return table


def is_any(kind: pa.DataType, tests: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    """Whether a type is one of some kinds."""
    return any(test(kind) for test in tests)


def simple(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a type that polars knows: texts are UTF-8, dictionaries hold texts."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return simple(column.cast(pa.binary()))
    if is_any(kind, BINARY):
        return column.cast(pa.large_string())
    if not pa.types.is_dictionary(kind):
        return column
    if not is_any(kind.value_type, TEXTS):
        return simple(column.cast(kind.value_type))
    if pa.types.is_large_string(kind.value_type):
        return column
    kind = pa.dictionary(kind.index_type, pa.large_string())
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.large_string()))
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, kind)


@contextmanager
def damage_reported(name: str) -> Iterator[None]:
    """Raise DataFileError NB204 where a table cannot be read; the body calls pyarrow or polars.

    Their own message is not shown, since it may repeat cells. Where memory does not suffice, that
    stays a MemoryError, although pyarrow's is one of its exceptions too.
    """
    try:
        yield
    except MemoryError:
        raise
    except pa.ArrowNotImplementedError:
        what = f"{name} is stored in a way that is not read"
        raise DataFileError(
            "NB204", what, "write it again with other options, or as .csv"
        ) from None
    except DAMAGED:
        raise malformed(name) from None


def malformed(name: str) -> DataFileError:
    """The error for a table that is damaged."""
    return DataFileError("NB204", f"{name} is malformed", "write it again, or as .csv")


def unpacked_size(content: bytes) -> tuple[int, int]:
    """The rows of an Arrow file, and the bytes of its columns once they are unpacked.

    The file ends with a table that lists the places of its messages, the table's length, and
    `ARROW1`. Raises struct.error and ValueError where lengths lead out of the file.
    """
    (length,) = struct.unpack_from("<i", content, len(content) - 10)
    footer = content[len(content) - 10 - length : len(content) - 10] if length > 0 else b""
    root = _below(footer, 0)
    # Blocks of dictionaries, and of rows: where a message begins, its bytes, and its buffers'.
    coded, listed = (list(_structs(footer, _field(footer, root, f), "<qi4xq")) for f in (2, 3))
    refuse_overlaps([(at, at + head + body) for at, head, body in coded + listed])
    batches = [_batch(content, *block) for block in coded + listed]
    rows = sum(rows for rows, _ in batches[len(coded) :])
    return rows, sum(size for _, size in batches)


def refuse_overlaps(blocks: list[tuple[int, int]]) -> None:
    """Refuse blocks that share bytes, which would be walked once for each; raises ValueError."""
    blocks.sort()
    ends = [0, *(end for _, end in blocks)]
    if any(
        begin < before or begin >= end for (begin, end), before in zip(blocks, ends, strict=False)
    ):
        raise ValueError("blocks that overlap")


def _batch(content: bytes, offset: int, head: int, body: int) -> tuple[int, int]:
    """The rows of one message and the bytes that its buffers unpack to."""
    if not (offset >= 0 and head >= 8 and offset + head <= len(content)):
        raise ValueError("a message outside the file")
    message = content[offset : offset + head]
    message = message[8 if message.startswith(b"\xff\xff\xff\xff") else 4 :]
    root = _below(message, 0)
    at = _field(message, root, 3)
    if body != (struct.unpack_from("<q", message, at)[0] if at else 0):
        raise ValueError("a message whose length is not that in the footer")
    batch = _below(message, _field(message, root, 2))
    (kind,) = struct.unpack_from("<B", message, _field(message, root, 1))
    if kind == 2:  # a dictionary wraps its batch
        batch = _below(message, _field(message, batch, 1))
    at = _field(message, batch, 0)
    rows = struct.unpack_from("<q", message, at)[0] if at else 0
    packed, size = _field(message, batch, 3), 0
    for place, length in _structs(message, _field(message, batch, 2), "<qq"):
        size += max(0, length)
        if not 0 <= place <= len(content):
            raise ValueError("a buffer outside the file")
        if packed and length > 8:  # before the packed bytes stands their size; -1: not packed
            (unpacked,) = struct.unpack_from("<q", content, offset + head + place)
            size += max(0, unpacked)
    return max(0, rows), size


def _field(data: bytes, table: int, number: int) -> int:
    """The position of a field of a table; 0 where it is left out."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, vtable)
    at = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", data, vtable + at) if at + 2 <= size else (0,)
    return table + offset if offset else 0


def _below(data: bytes, at: int) -> int:
    """The position that an offset leads to."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def _structs(data: bytes, at: int, form: str) -> Iterator[tuple[Any, ...]]:
    """The structs of a vector; none where the field is left out."""
    if at:
        start = _below(data, at)
        (count,) = struct.unpack_from("<I", data, start)
        width = struct.calcsize(form)
        yield from struct.iter_unpack(form, data[start + 4 : start + 4 + count * width])
