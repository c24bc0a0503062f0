"""The one door for untrusted files: which file a path means, how it is opened, its format.

A spec may come from anybody, so a path in it reaches regular files below the project's root and
nothing else: no URL, no home directory, no device, no way out through `..` or a symbolic link. A
file is opened once, without following a link and without waiting for a FIFO; its size is compared
with a limit before memory is taken; and its first bytes must agree with its extension.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from netbuild.errors import DataFileError
from netbuild.system import NOFOLLOW, READ
from netbuild.wording import nearest, show

ROOT_MARKERS = (".git", "pyproject.toml")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(file|data):", re.IGNORECASE)
LISTED = 1000  # entries of a folder that are searched for a suggestion
SPECS = (".yaml", ".yml")
CLOSE = 0.7  # how alike two stems are, of 1, when one is suggested for the other


@dataclass(frozen=True)
class Format:
    """A format of data files."""

    name: str  # as a message calls it
    magic: tuple[bytes, ...] = ()  # ways in which its files begin; none: text
    array: str = ""  # the module of this room that reads a mask, weights or data from it
    named: bool = False  # such a file holds several arrays, by name
    table: bool = False  # an edge list or a node table may
    matrix: bool = False  # the connections of a connectome may, as a matrix or a graph


FORMATS = {
    ".npy": Format(".npy", (b"\x93NUMPY",), array="npy", matrix=True),
    ".npz": Format(".npz", (b"PK\x03\x04", b"PK\x05\x06"), array="npz", named=True, matrix=True),
    ".csv": Format("text", array="text", table=True, matrix=True),
    ".tsv": Format("text", array="text", table=True, matrix=True),
    ".txt": Format("text", array="text", table=True, matrix=True),
    ".parquet": Format("Parquet", (b"PAR1",), table=True),
    ".feather": Format("Feather", (b"ARROW1",), table=True),
    ".arrow": Format("Arrow", (b"ARROW1",), table=True),
    ".mat": Format("MATLAB", (b"MATLAB ",), matrix=True),
    ".graphml": Format("GraphML", matrix=True),
}
ARRAYS = tuple(suffix for suffix, form in FORMATS.items() if form.array)
TABLES = tuple(suffix for suffix, form in FORMATS.items() if form.table)
EDGES = tuple(suffix for suffix, form in FORMATS.items() if form.table or form.matrix)
TEXT = tuple(suffix for suffix in TABLES if not FORMATS[suffix].magic)
GZIP = b"\x1f\x8b"
# Formats that are recognised and not read.
UNREAD = {b"\x89HDF": "HDF5", b"FEA1": "Feather of version 1", GZIP: "gzip"}
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def project_root(folder: Path) -> Path:
    """The nearest of `folder` and its ancestors that holds .git or pyproject.toml, else `folder`.

    Symbolic links are resolved. Files outside it are never read on behalf of a spec in `folder`.
    """
    folder = Path(os.path.realpath(folder))
    for candidate in (folder, *folder.parents):
        if any(os.path.lexists(candidate / marker) for marker in ROOT_MARKERS):
            return candidate
    return folder


def locate(reference: str, folder: Path, root: Path) -> Path:
    """The file that a spec in `folder` means by `reference`: absolute, links resolved, in `root`.

    Raises DataFileError: NB202 where there is no such file or it cannot be reached, NB203 where
    the path is refused (a URL, `~`, outside `root`, not a regular file).
    """
    refuse_what_is_no_path(reference)
    root = Path(os.path.realpath(root))
    try:
        path = Path(os.path.realpath(folder / reference))
        # Asked before the disk is, so that what lies outside the root is not even probed.
        if not path.is_relative_to(root):
            raise DataFileError(
                "NB203",
                f"{show(reference)} is outside the project, whose root is {show(str(root))}",
                "files that a spec names lie below the folder that holds .git or pyproject.toml "
                "(without one: the spec's own folder); copy the file there, say where it is with "
                "`--data-root DIR`, or put a `pyproject.toml` at the root of the project",
            )
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        hint = suggestion(reference, folder, root)
        raise DataFileError("NB202", f"there is no file {show(reference)}", hint) from None
    except OSError as error:  # a name too long, a loop of links, a folder that may not be entered
        reason = error.strerror or type(error).__name__
        what = f"{show(reference)} cannot be reached ({reason})"
        raise DataFileError("NB202", what) from None
    except ValueError:  # half of a surrogate pair: no file system has such a name
        raise DataFileError("NB203", f"{show(reference)} is not a file name") from None
    if not stat.S_ISREG(mode):
        raise DataFileError("NB203", f"{show(reference)} is {kind_of_file(mode)}, not a file")
    return path


def kind_of_file(mode: int) -> str:
    """In words, what a file with this `st_mode` is."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def refuse_what_is_no_path(reference: str) -> None:
    """Refuse what only looks like a path; raises DataFileError NB203."""
    if not reference.strip():
        raise DataFileError("NB203", "the path is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in reference):
        raise DataFileError("NB203", f"{show(reference)} holds a control character")
    if SCHEME.match(reference):
        raise DataFileError(
            "NB203",
            f"{show(reference)} is a URL; only files of this project are read",
            "download it, keep it beside the spec, and give its path",
        )
    if reference.startswith("~"):
        raise DataFileError(
            "NB203",
            f"{show(reference)} begins with `~`, which is not expanded",
            "give a path that starts at the spec's own folder",
        )


def suggestion(reference: str, folder: Path, root: Path) -> str:
    """A hint for a missing file: the nearest name in its folder, or where it would be found."""
    from_root = Path(os.path.realpath(root / reference))
    if from_root.is_relative_to(root) and from_root.is_file():
        nearby = os.path.relpath(from_root, os.path.realpath(folder))
        return f"paths start at the folder of the file that contains them: say {show(nearby)}"
    parent = (folder / reference).parent
    if not Path(os.path.realpath(parent)).is_relative_to(root):
        return ""
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, LISTED)]
    except OSError:
        return f"there is no folder {show(str(Path(reference).parent))}"
    best = nearest_file(Path(reference).name, names)
    return f"did you mean {show(str(Path(reference).with_name(best)))}?" if best else ""


def nearest_file(wanted: str, names: Iterable[str]) -> str:
    """The name whose stem is most like that of `wanted`, or "" where none is close.

    Extensions are few and would make any two names alike, so that an extension only decides
    between equal stems. A spec is never suggested for a data file, nor a data file for a spec.
    """
    stem, extension = os.path.splitext(wanted.casefold())
    by_stem: dict[str, str] = {}
    for name in sorted(names, key=lambda n: os.path.splitext(n.casefold())[1] != extension):
        other, its = os.path.splitext(name.casefold())
        if (its in SPECS) == (extension in SPECS):
            by_stem.setdefault(other, name)
    return by_stem.get(nearest(stem, by_stem, CLOSE), "")


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Raise DataFileError NB901 where the machine's memory does not suffice to read a file.

    No other exception is translated here: a parser's errors are translated where it is called,
    each by a closed list of types, so that a mistake in netbuild is never reported as a damaged
    file.
    """
    try:
        yield
    except MemoryError:
        what = f"there is not enough memory to read {show(path.name)}"
        raise DataFileError("NB901", what) from None


@contextmanager
def opened(path: Path, max_bytes: int, hint: str = "") -> Iterator[tuple[io.FileIO, int]]:
    """The open file and its size in bytes, once it has shown to be a regular file of fair size.

    Raises DataFileError: NB202 (the system cannot open or read it), NB203 (a link, or not a
    regular file), NB901 (over `max_bytes`; `hint` says what to do).
    """
    name = show(path.name)
    try:
        # Where a system lacks NOFOLLOW, `locate` has still resolved the links before.
        descriptor = os.open(path, READ | NOFOLLOW)
    except OSError as error:
        raise _unreadable(name, error) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataFileError("NB203", f"{name} is {kind_of_file(status.st_mode)}, not a file")
        if status.st_size > max_bytes:
            what = f"{name} has {status.st_size:,} bytes; the limit is {max_bytes:,}"
            raise DataFileError("NB901", what, hint)
        yield io.FileIO(descriptor, closefd=False), status.st_size
    except OSError as error:
        raise _unreadable(name, error) from None
    finally:
        os.close(descriptor)


def read_whole(file: io.FileIO | io.BytesIO, size: int, name: str) -> bytearray:
    """All `size` bytes of a file, and proof that there are no more."""
    content, filled = bytearray(size), 0
    view = memoryview(content)
    file.seek(0)
    while filled < size and (count := file.readinto(view[filled:])):
        filled += count
    if filled < size or file.read(1):
        raise DataFileError("NB204", f"{name} changed while it was being read")
    return content


def check_extension(
    suffix: str, name: str, accepted: Collection[str], packed: bool = False
) -> None:
    """Refuse an extension that is not accepted, with NB204; `packed`: text may also be gzip."""
    if suffix not in accepted:
        more = "; text also with .gz behind it" if packed else ""
        hint = f"accepted are {', '.join(accepted)}{more}"
        raise DataFileError("NB204", f"the extension of {name} is not one that is read", hint)


def check_format(
    suffix: str, head: bytes, name: str, accepted: Collection[str], packed: bool = False
) -> Format:
    """The format that extension and first bytes agree on; raises DataFileError NB204.

    `packed` says that text is also accepted as gzip, under an extension of its own.
    """
    if head.startswith(PICKLES):
        hint = "save the array itself: numpy.save(file, array, allow_pickle=False)"
        raise DataFileError("NB204", f"{name} is a pickle; pickles are never read", hint)
    check_extension(suffix, name, accepted, packed)
    if not head:
        raise DataFileError("NB204", f"{name} is empty", "save it again")
    form, known = FORMATS[suffix], begins_as(head)
    if head.startswith(form.magic) if form.magic else not known:
        return form
    first_bytes = f"are those of {known}" if known else f"are not those of {form.name}"
    what = f"{name} is not what its extension says: its first bytes {first_bytes}"
    readable = {FORMATS[each].name for each in accepted} | {""}
    if known in readable or (known == "gzip" and packed and suffix in TEXT):
        raise DataFileError("NB204", what, "give it the extension of what it holds")
    hint = f"{known} is not read here; save it as one of {', '.join(accepted)}"
    raise DataFileError("NB204", what, hint)


def begins_as(head: bytes) -> str:
    """The name of the format whose files begin in this way; "" where none is known."""
    known = [(form.magic, form.name) for form in FORMATS.values() if form.magic]
    known += [((magic,), name) for magic, name in UNREAD.items()]
    return next((name for magic, name in known if head.startswith(magic)), "")


def _unreadable(name: str, error: OSError) -> DataFileError:
    """The error where the system refuses to open or read a file."""
    if error.errno == errno.ELOOP:
        return DataFileError("NB203", f"{name} is a symbolic link; give the file it points to")
    if error.errno == errno.ENXIO:
        return DataFileError("NB203", f"{name} is a socket or a device, not a file")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return DataFileError("NB202", f"there is no file {name}")
    return DataFileError("NB202", f"{name} cannot be read ({error.strerror})")
