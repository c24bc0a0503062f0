"""The .npz format: a zip archive of .npy files, one of which is read, in memory, by exact name.

Nothing is ever unpacked to the disk. What a bomb needs is refused from the directory alone: many
members, more declared bytes than the cap, much more content than archive.
"""

from __future__ import annotations

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from netbuild.errors import DataFileError
from netbuild.files import npy
from netbuild.wording import show

LOCAL = b"PK\x03\x04"  # how what stands before a member begins
LOCAL_LENGTHS = struct.Struct(
    "<26x2H"
)  # of its name, and of what comes between that and the member
EMPTY = b"PK\x05\x06"  # an archive without members is its end record alone
END_RECORD = struct.Struct("<4s4H2LH")  # signature, 4 counts, directory's size and offset, comment
ZIP64_LOCATOR = b"PK\x06\x07"
DIRECTORY_CAP = 1 << 20  # bytes: some 15 000 members
RATIO = 200  # content to archive; deflate can reach 1030, real arrays rarely 50
SMALL = 64 << 20  # bytes of content that may be compressed however well
CHUNK = 1 << 20
LISTED = 10  # names in a message
# What zipfile and zlib raise for archives that are damaged; a UnicodeDecodeError is a ValueError.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError),
    *(struct.error, OverflowError),
)


def shape_of(
    file: BinaryIO, size: int, array: str | None, name: str, max_bytes: int
) -> tuple[int, ...]:
    """The shape of one array; its data stays unread.

    `array` may be None where the archive holds exactly one. Raises DataFileError: NB204 (not an
    intact archive), NB206 (no such array), NB901 (a bomb), and what `npy.layout_of` raises.
    """
    with archive_of(file, size, name) as archive:
        member = pick(archive, size, array, name, max_bytes)
        head = unpacked(archive, member, npy.HEAD, name)
    label = f"{show(member.filename)} in {name}"
    return npy.layout_of(bytes(head), member.file_size, label, max_bytes).shape


def array_from(
    content: bytes | bytearray, array: str | None, name: str, max_bytes: int
) -> npy.Array:
    """The array itself; raises what `shape_of` raises, and NB204 where its checksum is wrong.

    Of a member that is not compressed a single copy is made, where zipfile makes three.
    """
    with archive_of(io.BytesIO(content), len(content), name) as archive:
        member = pick(archive, len(content), array, name, max_bytes)
        if member.compress_type == zipfile.ZIP_STORED:
            inner = stored(content, member, name)
        else:
            inner = memoryview(unpacked(archive, member, member.file_size + 1, name))
    if len(inner) != member.file_size:
        raise malformed(name, f"its member {show(member.filename)} is truncated")
    return npy.array_from(inner, None, f"{show(member.filename)} in {name}", max_bytes)


def stored(content: bytes | bytearray, member: zipfile.ZipInfo, name: str) -> memoryview:
    """The bytes of a member that is not compressed, in place, their checksum compared."""
    at = member.header_offset
    if at < 0 or content[at : at + 4] != LOCAL or len(content) < at + LOCAL_LENGTHS.size:
        raise damaged(member, name)
    at += LOCAL_LENGTHS.size + sum(LOCAL_LENGTHS.unpack_from(content, at))
    view = memoryview(content).toreadonly()[at : at + member.file_size]
    if len(view) != member.compress_size or zlib.crc32(view) != member.CRC:
        raise damaged(member, name)
    return view


@contextmanager
def damage_as(fault: DataFileError) -> Iterator[None]:
    """Raise `fault` where zipfile finds an archive damaged; the body is a call of zipfile alone."""
    try:
        yield
    except DAMAGED:
        raise fault from None
    except OSError as error:  # EINVAL: it sought to where a broken directory sent it
        if error.errno not in (None, errno.EINVAL):
            raise
        raise fault from None


def archive_of(file: BinaryIO, size: int, name: str) -> zipfile.ZipFile:
    """The archive in a file of `size` bytes, its end checked; raises NB204 and NB901."""
    check_end_record(file, size, name)
    with damage_as(malformed(name, "its directory is damaged")):
        return zipfile.ZipFile(file)


def unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int, name: str) -> bytearray:
    """The first `most` bytes of a member, fewer where it is shorter; raises NB204 where damaged.

    The checksum is compared only where `most` reaches to the end. The memory is taken once.
    """
    content = bytearray(min(most, member.file_size))
    filled = 0
    with damage_as(damaged(member, name)), archive.open(member) as stream:
        while chunk := stream.read(min(CHUNK, most - filled)):
            content[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
    del content[filled:]
    return content


def members_of(content: bytes) -> frozenset[str]:
    """The names of an archive's members; none where its directory is damaged."""
    fault = malformed("", "its directory is damaged")
    try:
        with damage_as(fault), zipfile.ZipFile(io.BytesIO(content)) as archive:
            return frozenset(archive.namelist())
    except DataFileError:  # the reader that is chosen says what is wrong
        return frozenset()


def check_end_record(file: BinaryIO, size: int, name: str) -> None:
    """Refuse an archive with a cut end or an enormous directory before zipfile walks through it."""
    tail_size = min(size, 20 + END_RECORD.size)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    file.seek(0)
    if len(tail) < END_RECORD.size or tail[-END_RECORD.size :][:4] != EMPTY:
        raise malformed(name, "its end is missing, or something follows it")
    *_, directory, offset, _ = END_RECORD.unpack(tail[-END_RECORD.size :])
    if tail.startswith(ZIP64_LOCATOR) or directory > DIRECTORY_CAP:
        raise DataFileError(
            "NB901", f"{name} has a directory of more than {DIRECTORY_CAP:,} bytes, or over 4 GiB"
        )
    if directory + offset + END_RECORD.size > size:
        raise malformed(name, "its directory does not fit into it")


def pick(
    archive: zipfile.ZipFile, size: int, array: str | None, name: str, max_bytes: int
) -> zipfile.ZipInfo:
    """The member that holds `array`, once the directory is judged."""
    members = archive.infolist()
    judge_names([member.filename for member in members], name)
    judge_sizes(sum(member.file_size for member in members), size, name, max_bytes)
    arrays = {
        member.filename.removesuffix(".npy"): member
        for member in members
        if member.filename.endswith(".npy")
    }
    names = tuple(arrays)
    if array is None and len(names) == 1:
        array = names[0]
    if array is None or array not in arrays:
        raise no_such_array(array, names, name)
    member = arrays[array]
    if member.flag_bits & 1:
        raise malformed(name, f"its member {show(member.filename)} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = f"compressed by method {member.compress_type}"
        raise malformed(name, f"its member {show(member.filename)} is {method}")
    return member


def judge_names(names: list[str], archive: str) -> None:
    """Refuse names that climb, and names that occur twice (readers differ in which they take)."""
    for index, name in enumerate(names, 1):
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise malformed(archive, f"the name of its member {index} leaves the archive")
    if len(set(names)) != len(names):
        raise malformed(archive, "two of its members have the same name")


def judge_sizes(
    content: int,
    size: int,
    name: str,
    max_bytes: int,
    hint: str = "write it uncompressed, with numpy.savez",
) -> None:
    """Refuse what unpacks to more than the cap, or to far more than an honest array would.

    The ratio is taken to the archive's real size, since the directory may lie about the rest.
    """
    if content > max_bytes:
        what = f"{name} declares {content:,} bytes; the limit is {max_bytes:,}"
        raise DataFileError("NB901", what)
    if content > SMALL and content > RATIO * size:
        what = f"{name} unpacks to {content // size} times its size; the limit is {RATIO} times"
        raise DataFileError("NB901", what, hint)


def no_such_array(array: str | None, names: tuple[str, ...], name: str) -> DataFileError:
    """The error where the archive lacks `array`, or holds several and none was named."""
    listed = ", ".join(show(each) for each in names[:LISTED])
    if len(names) > LISTED:
        listed += f" and {len(names) - LISTED} more"
    if not names:
        return DataFileError("NB206", f"{name} holds no arrays")
    if array is None:
        hint = "say which one: `array: NAME`"
        return DataFileError("NB206", f"{name} holds {len(names)} arrays: {listed}", hint)
    what = f"{name} holds no array {show(array)}"
    return DataFileError("NB206", what, f"its arrays are: {listed}")


def damaged(member: zipfile.ZipInfo, name: str) -> DataFileError:
    """The error for a member whose bytes have changed since it was written."""
    problem = "its checksum is wrong, or it cannot be unpacked"
    return malformed(name, f"its member {show(member.filename)} is damaged: {problem}")


def malformed(name: str, problem: str) -> DataFileError:
    """The error for a file that is not an intact .npz."""
    hint = "write it again with numpy.savez"
    return DataFileError("NB204", f"{name} is not an intact .npz: {problem}", hint)
