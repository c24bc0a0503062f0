"""MATLAB's .mat files of version 5 (`save -v6` and `-v7`): one matrix of real numbers, by name.

The elements are walked and read here, every length compared with the bytes that are there before
memory is taken; nothing but numbers is looked at. Format: MathWorks, "MAT-File Format", 2022.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from netbuild.connectomes.matrices import (
    check_entries,
    expanded,
    of_entries,
    of_matrix,
    refuse_columns,
    size_of,
)
from netbuild.connectomes.rows import Array, Rows, Words
from netbuild.connectomes.source import Source
from netbuild.errors import DataFileError
from netbuild.files.arrays import MAX_BYTES
from netbuild.files.npz import judge_sizes, no_such_array
from netbuild.wording import show

MAGIC = b"MATLAB 5.0"
HEADER = 128  # bytes before the first element
HEAD = 1 << 12  # bytes of an element in which its name must end
MOST = 10_000  # variables of a file
MATRIX, COMPRESSED = 14, 15  # kinds of elements
# Kinds of elements that hold numbers, and the numbers' types.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
NUMBERS |= {12: "i8", 13: "u8"}
SPARSE = 5  # classes of variables: 6 to 15 are numbers, the others text, cells, records, code
NUMERIC = range(6, 16)
CLASSES = {1: "a cell array", 2: "a struct", 3: "an object", 4: "text", 16: "a function"}
COMPLEX = 8  # a flag of a variable


@dataclass(frozen=True)
class Variable:
    """One variable: its head, and the bytes of the whole."""

    name: str
    kind: int  # its class
    complex: bool
    shape: tuple[int, ...]
    content: memoryview  # of the element without its tag, maybe compressed
    packed: bool  # whether `content` is compressed
    size: int  # bytes once unpacked

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix of real numbers, which may be read without being named."""
        numeric = self.kind == SPARSE or self.kind in NUMERIC
        return numeric and not self.complex and len(self.shape) == 2 and min(self.shape) > 1


def read(source: Source, words: Words) -> Rows:
    """The entries other than 0 of the square matrix `array`, or of the only matrix there is.

    Raises DataFileError: NB204 (damaged, or of another version), NB206 (no such matrix, or
    several), NB207 (no real numbers), NB901 (more than the limit), and what `matrices.read` raises.
    """
    name, content = source.name, source.content
    refuse_columns(words, name)
    order = byte_order(content, name)
    variable = pick(list(variables(content, order, name)), words.edges.array, name)
    label = f"{show(variable.name)} in {name}"
    parts = Parts(unpacked_bytes(variable, name), order, name)
    for _ in range(3):  # its flags, dimensions and name
        parts.following()
    if variable.kind == SPARSE:
        rows, columns, values, n = sparse(parts, variable.shape, words, label)
        return of_entries(rows, columns, values, n, words)
    flat = parts.numbers()
    if len(flat) != math.prod(variable.shape):
        raise malformed(name, f"{show(variable.name)} has not as many values as its shape")
    return of_matrix(flat.reshape(variable.shape, order="F"), words, label)


def byte_order(content: bytes, name: str) -> str:
    """`<` or `>`, from the end of the header; refuses other versions."""
    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        hint = "in MATLAB, save it with `-v7`; an HDF5 file can point at other files"
        raise DataFileError("NB204", f"{name} is of version 7.3, which is HDF5", hint)
    orders = {b"IM": "<", b"MI": ">"}
    if not content.startswith(MAGIC) or content[126:HEADER] not in orders:
        raise malformed(name, "its header is not that of version 5")
    order = orders[content[126:HEADER]]
    if struct.unpack(order + "H", content[124:126]) != (0x0100,):
        raise malformed(name, "its version is unknown")
    return order


def variables(content: bytes, order: str, name: str) -> Iterator[Variable]:
    """All variables of the file; only their heads are unpacked."""
    view, position, count = memoryview(content), HEADER, 0
    while position < len(content):
        if position + 8 > len(content):
            raise malformed(name, "it ends inside an element")
        kind, size = struct.unpack_from(order + "II", content, position)
        body = view[position + 8 : position + 8 + size]
        if len(body) < size:
            raise malformed(name, "it is truncated")
        position += 8 + size
        count += 1
        if kind not in (MATRIX, COMPRESSED) or count > MOST:
            raise malformed(name, "it holds something else than variables, or too many")
        yield variable_of(body, kind == COMPRESSED, order, name)


def variable_of(body: memoryview, packed: bool, order: str, name: str) -> Variable:
    """What the head of one element says."""
    head, size = bytes(body[:HEAD]), len(body)
    if packed:
        head = inflated(zlib.decompressobj(), head, HEAD, name)
        if len(head) < 8 or struct.unpack_from(order + "I", head) != (MATRIX,):
            raise malformed(name, "it holds something else than variables")
        (size,) = struct.unpack_from(order + "I", head, 4)
        head = head[8:]
    parts = Parts(head[:size], order, name)
    flags = parts.whole_numbers()
    if len(flags) != 2:
        raise malformed(name, "a variable has no flags")
    kind, marks = int(flags[0]) & 0xFF, int(flags[0]) >> 8
    if kind != SPARSE and kind not in NUMERIC and kind not in CLASSES:
        return Variable("", kind, False, (), body, packed, size)  # laid out in another way
    shape = tuple(int(length) for length in parts.whole_numbers())
    if len(shape) > 32 or any(length < 0 for length in shape):
        raise malformed(name, "a variable has an impossible shape")
    label = parts.following()[1].decode("utf-8", "replace")
    return Variable(label, kind, bool(marks & COMPLEX), shape, body, packed, size)


def pick(found: list[Variable], array: str | None, name: str) -> Variable:
    """The variable called `array`, or the only one that is a matrix of real numbers."""
    matrices = [variable for variable in found if variable.is_matrix]
    if array is None and len(matrices) == 1:
        return matrices[0]
    names = tuple(variable.name for variable in matrices)
    named = [variable for variable in found if variable.name == array and array]
    if len(named) > 1:
        raise malformed(name, f"two of its variables are called {show(named[0].name)}")
    if not named:
        raise no_such_array(array, names, name)
    variable = named[0]
    if variable.complex or variable.kind in CLASSES:
        kind = "complex" if variable.complex else CLASSES[variable.kind]
        hint = "a connectome's matrix holds real numbers, or is sparse"
        raise DataFileError("NB207", f"{show(variable.name)} in {name} is {kind}", hint)
    return variable


def unpacked_bytes(variable: Variable, name: str) -> bytes:
    """All bytes of an element; raises NB901 before a small file becomes a large one."""
    hint = "in MATLAB, make it `sparse` before it is saved"
    label = f"{show(variable.name)} in {name}"
    judge_sizes(variable.size, len(variable.content), label, MAX_BYTES, hint)
    if not variable.packed:
        return bytes(variable.content)
    unpacker = zlib.decompressobj()
    content = inflated(unpacker, variable.content, variable.size + 8, name)
    if unpacker.unconsumed_tail:  # what is left is the checksum alone, or too much
        content += inflated(unpacker, unpacker.unconsumed_tail, 1, name)
    if len(content) != variable.size + 8 or not unpacker.eof:
        raise malformed(name, f"{show(variable.name)} is not as long as it declares")
    return content[8:]


def inflated(unpacker: Any, content: bytes | memoryview, most: int, name: str) -> bytes:
    """At most so many bytes of what zlib packed."""
    try:
        unpacked: bytes = unpacker.decompress(content, most)
    except zlib.error:
        raise malformed(name, "a variable cannot be unpacked, or its checksum is wrong") from None
    return unpacked


class Parts:
    """The elements inside a variable, one after the other."""

    def __init__(self, content: bytes, order: str, name: str) -> None:
        self.content, self.order, self.name = content, order, name
        self.position = 0

    def following(self) -> tuple[int, bytes]:
        """The kind and the bytes of the next element; short ones share the 8 bytes of their tag."""
        if self.position + 8 > len(self.content):
            raise malformed(self.name, "a variable ends too early")
        kind, size = struct.unpack_from(self.order + "II", self.content, self.position)
        start = self.position + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, self.position + 4
            if size > 4:
                raise malformed(self.name, "a short element is too long")
        body = self.content[start : start + size]
        if len(body) < size:
            raise malformed(self.name, "a variable ends too early")
        self.position = start + size + -(start + size) % 8
        return kind, body

    def numbers(self) -> Array:
        """The next element as numbers, of this machine's byte order."""
        kind, body = self.following()
        if kind not in NUMBERS:
            raise malformed(self.name, "a variable holds no numbers where numbers belong")
        stored = np.dtype(self.order + NUMBERS[kind])
        if len(body) % stored.itemsize:
            raise malformed(self.name, "a variable ends inside a number")
        return np.frombuffer(body, stored).astype(stored.newbyteorder("="), copy=False)

    def whole_numbers(self) -> Array:
        """The next element as whole numbers: positions, lengths or flags."""
        found = self.numbers()
        if found.dtype.kind not in "iu":
            raise malformed(self.name, "a variable holds fractions where whole numbers belong")
        return found


def sparse(
    parts: Parts, shape: tuple[int, ...], words: Words, label: str
) -> tuple[Array, Array, Array, int]:
    """Row, column and value of the entries of a sparse matrix, and its size.

    It is stored by columns: the rows of the entries, where each column's entries start, the
    values. There may be room for more entries than there are.
    """
    n = size_of(shape, words, label)
    rows, starts, values = parts.whole_numbers(), parts.whole_numbers(), parts.numbers()
    entries = int(starts[-1]) if len(starts) else 0
    if not 0 <= entries <= min(len(rows), len(values)):
        raise malformed(parts.name, "a sparse matrix has not as many entries as it declares")
    columns = expanded(starts, entries, n, label)
    rows, values = rows[:entries], values[:entries]
    check_entries(rows, columns, values, n, label)
    return rows, columns, values, n


def malformed(name: str, problem: str) -> DataFileError:
    """The error for a file that is not an intact .mat of version 5."""
    hint = "save it again in MATLAB with `-v7`, or with scipy.io.savemat"
    return DataFileError("NB204", f"{name} is not an intact .mat of version 5: {problem}", hint)
