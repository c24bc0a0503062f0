"""The bytes of a connectome's file, read once, with their digest; text may be packed by gzip."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netbuild.errors import DataFileError
from netbuild.files import npz
from netbuild.files.door import (
    FORMATS,
    GZIP,
    TEXT,
    check_extension,
    check_format,
    enough_memory,
    opened,
)
from netbuild.wording import show

MAX_BYTES = 4 << 30  # of a file, and of what a .gz unpacks to
HEAD = 16  # bytes in which every format shows
CHUNK = 4 << 20
TEXT_RATIO = 50  # text to .gz; an edge list shrinks to a tenth


@dataclass(frozen=True)
class FileRead:
    """A file that was read: where it lies, and the digest and the size of its bytes."""

    path: Path
    sha256: str
    size: int  # bytes

    @property
    def name(self) -> str:
        """The file's name, fit for a message."""
        return show(self.path.name)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON; of the path the name alone, which is the same on every machine."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, eq=False)
class Source:
    """A file, its content unpacked, and the extension of that content."""

    file: FileRead
    suffix: str
    content: bytes

    @property
    def name(self) -> str:
        """The file's name, fit for a message."""
        return self.file.name


def read_source(path: Path, accepted: Collection[str], max_bytes: int = MAX_BYTES) -> Source:
    """Read a file whose extension is one of `accepted`.

    Raises DataFileError: NB202, NB203 (it cannot be opened), NB204 (its bytes are not those of its
    extension), NB901 (too large).
    """
    name, suffix, packed = show(path.name), suffix_of(path), path.suffix.lower() == ".gz"
    check_extension(suffix, name, accepted, packed=True)
    with enough_memory(path), opened(path, max_bytes) as (file, size):
        check_start(path, file.read(HEAD), accepted)  # before gigabytes are read
        file.seek(0)
        content = file.readall()
    if len(content) != size:
        raise DataFileError("NB204", f"{name} changed while it was being read")
    check_start(path, content, accepted)
    read = FileRead(path, hashlib.sha256(content).hexdigest(), size)
    if packed:
        content = unpacked(content, name, max_bytes)
        check_format(suffix, content, name, TEXT)
    form = FORMATS[suffix]
    if form.table and form.magic:  # a binary table ends as it begins
        (magic,) = form.magic
        if len(content) < 2 * len(magic) or not content.endswith(magic):
            raise DataFileError("NB204", f"{name} is truncated", "copy it again")
    return Source(read, suffix, content)


def check_start(path: Path, head: bytes, accepted: Collection[str]) -> None:
    """Refuse a file whose first bytes are not those of its extension; raises NB204."""
    name = show(path.name)
    if path.suffix.lower() != ".gz" or not head:
        check_format(suffix_of(path), head, name, accepted, packed=True)
    elif not head.startswith(GZIP):
        what = f"{name} is not what its extension says: its first bytes are not those of gzip"
        raise DataFileError("NB204", what, "give it the extension of what it holds")


def suffix_of(path: Path) -> str:
    """The extension that says the format, in small letters: `.csv` of edges.CSV and edges.csv.gz.

    Only text is read from a .gz; of anything else `.gz` is itself the extension.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        inner = Path(path.stem).suffix.lower()
        return inner if inner in TEXT else suffix
    return suffix


def unpacked(packed: bytes, name: str, max_bytes: int) -> bytes:
    """What a gzip file holds.

    Raises DataFileError: NB204 (damaged), NB901 (more than `max_bytes`, or a bomb: far more than
    text ever shrinks by).
    """
    limit = min(max_bytes, max(npz.SMALL, TEXT_RATIO * len(packed)))
    found = io.BytesIO()  # getvalue() makes no second copy
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            while found.tell() <= limit and (chunk := stream.read(CHUNK)):
                found.write(chunk)
    except EOFError:
        raise DataFileError("NB204", f"{name} is truncated", "copy it again") from None
    except (gzip.BadGzipFile, zlib.error):
        what = f"{name} is not an intact gzip file"
        raise DataFileError("NB204", what, "copy it again") from None
    if found.tell() > limit:
        what = f"{name} unpacks to more than {limit:,} bytes"
        raise DataFileError("NB901", what, "unpack it, or save it as .parquet")
    return found.getvalue()
