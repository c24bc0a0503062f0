"""One open, one read: a file's bytes, and the digest of exactly these, taken meanwhile."""

from __future__ import annotations

import hashlib
import io
import threading
import zlib
from pathlib import Path

from netbuild.connectomes.probe import Probe
from netbuild.errors import DataFileError
from netbuild.files import npz
from netbuild.files.door import opened
from netbuild.wording import show

MAX_BYTES = 4 << 30  # of a file, and of what a .gz unpacks to
GZIP = b"\x1f\x8b"
POLARS = (b"PAR1", b"ARROW1")  # binary tables; they end as they begin
CHUNK = 4 << 20
TEXT_RATIO = 50  # text to .gz; an edge list shrinks to a tenth
TEXT = (".csv", ".tsv", ".txt")
TABLES = (*TEXT, ".parquet", ".feather", ".arrow")
# First bytes by extension (.gz taken off first); None is text.
FORMATS = {
    ".csv": None,
    ".tsv": None,
    ".txt": None,
    ".parquet": b"PAR1",
    ".feather": b"ARROW1",
    ".arrow": b"ARROW1",
    ".npy": b"\x93NUMPY",
    ".npz": b"PK",
    ".mat": b"MATLAB ",
    ".graphml": None,
}
BINARY = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"FEA1": "Feather of version 1",
    b"\x93NUMPY": ".npy",
    b"PK": "a zip archive",
    b"MATLAB ": "MATLAB",
    b"\x89HDF": "HDF5",
    GZIP: "gzip",
}


class Source:
    """A file that has been read: its bytes, unpacked, and its size and digest as it lay on disk.

    A binary table has a `probe`, a process that reads the same bytes first; `with` ends it.
    """

    def __init__(self, path: Path, accepted: tuple[str, ...], max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.name = show(path.name)
        self.suffix = suffix_of(path)
        if self.suffix not in accepted:
            hint = f"accepted are {', '.join(accepted)}; text also with .gz behind it"
            raise DataFileError(
                "NB204", f"the extension of {self.name} is not one that is read", hint
            )
        with opened(path, max_bytes) as (file, size):
            packed = file.readall()
        if len(packed) != size:
            raise DataFileError("NB204", f"{self.name} changed while it was being read")
        self.size = size
        # hashlib lets go of the interpreter: the digest costs no time while others parse.
        self._digest = hashlib.sha256()
        self._hashing = threading.Thread(target=self._digest.update, args=(packed,), daemon=True)
        self._hashing.start()
        compressed = path.suffix.lower() == ".gz"
        magic = GZIP if compressed else FORMATS[self.suffix]
        self._check_magic(packed, magic)
        self.probe: Probe | None = None
        if magic in POLARS:
            if len(packed) < 2 * len(magic) or not packed.endswith(magic):
                raise DataFileError("NB204", f"{self.name} is truncated", "copy it again")
            self.probe = Probe(packed, self.suffix, self.name)
        self.content = unpacked(packed, self.name, max_bytes) if compressed else packed
        if compressed:
            self._check_magic(self.content, None)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self.probe is not None:
            self.probe.close()

    @property
    def sha256(self) -> str:
        """The digest of the file; waits until it is there."""
        self._hashing.join()
        return self._digest.hexdigest()

    def _check_magic(self, content: bytes, magic: bytes | None) -> None:
        """Refuse a file whose first bytes are not those of its extension."""
        if not content:
            raise DataFileError("NB204", f"{self.name} is empty")
        if magic is not None and content.startswith(magic):
            return
        found = next((kind for start, kind in BINARY.items() if content.startswith(start)), "")
        if magic is None and not found:
            return
        what = f"are those of {found}" if found else f"are not those of {BINARY[magic or b'']}"
        hint = "give it the extension of what it holds"
        if found in ("HDF5", "Feather of version 1"):
            hint = "this format is not read; save the table as .parquet or .csv"
        raise DataFileError(
            "NB204", f"{self.name} is not what its extension says: its first bytes {what}", hint
        )


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
    """What a gzip file holds, its members one behind the other.

    Raises DataFileError: NB204 (damaged), NB901 (more than `max_bytes`, or a bomb: far more than
    text ever shrinks by).
    """
    limit = min(max_bytes, max(npz.SMALL, TEXT_RATIO * len(packed)))
    found = io.BytesIO()  # whose value is no second copy
    at = 0
    member = zlib.decompressobj(wbits=31)
    rest = b""
    while rest or at < len(packed):
        if not rest:
            rest = packed[at : at + CHUNK]
            at += len(rest)
        if member.eof:  # another member, or the zeros that some tools fill up with
            rest = rest.lstrip(b"\0")
            member = zlib.decompressobj(wbits=31) if rest else member
            continue
        try:
            found.write(member.decompress(rest, limit + 1 - found.tell()))
        except zlib.error:
            what = f"{name} is not an intact gzip file"
            raise DataFileError("NB204", what, "copy it again") from None
        if found.tell() > limit:
            what = f"{name} unpacks to more than {limit:,} bytes"
            raise DataFileError("NB901", what, "unpack it, or save it as .parquet")
        rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise DataFileError("NB204", f"{name} is truncated", "copy it again")
    return found.getvalue()
