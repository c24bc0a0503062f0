"""Fuzzing the readers of data files: .npy, .npz and text, wrong in one of a thousand ways.

`python tests/fuzz_files.py SECONDS` runs for this time and prints its counts. Whatever a file
holds, an array comes out that agrees with its header and with a reader of another kind (numpy's, or
`float` cell by cell), or a DataFileError of one line that repeats nothing of the file.
"""

from __future__ import annotations

import hashlib
import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import numpy.typing as npt
from fuzz_specs import check_problem

from netbuild.errors import DataFileError, SpecError
from netbuild.files.arrays import ArrayFile, read_array, read_shape
from netbuild.language import load

Array = npt.NDArray[Any]

CANARY = b"qzxqzxqzx"  # in the contents of files, never in messages about them
THROUGH_SPEC = 12  # of so many files one is read for a spec too
BOMB = 3000  # of so many archives one is a bomb
LARGE = 4 << 20  # bytes
LARGEST = 8 << 20  # bytes of a text; a reader of text takes several times as much
LONG = 1000  # of so many texts one is long
SHAPES = [(4, 3), (3, 4), (4, 4), (3,), (4,), (12,), (4, 3), (2, 3, 2)]
DTYPES = ["<f8", "<f4", "|b1", "|u1", "|i1", "<i8", ">f8", ">i4", "<u2", "<f2", ">u8"]
INTERESTING = [0, 1, 2, 7, 8, 12, 99, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]

# --- .npy

DESCRS = [
    *("'|O'", "'O'", "'<c16'", "'<U5'", "'|S3'", "'<M8[s]'", "'<m8'", "'<f16'", "'>f16'", "'g'"),
    *("'=f8'", "'f8'", "'<f3'", "'<f0'", "'<i99'", "'<f999999999'", "'<f8, <f8'", "'(2,3)<f8'"),
    *("'float64'", "'bool'", "'?'", "'b1'", "'|V8'", "'e'", "'<f2'", "'<u8'", "'>b1'", "'|f8'"),
    *("[('a', '<f8')]", "[]", "('<f8', (2,))", "{'names': ['a']}", "1", "None", "True", "''"),
    *("'qzxqzxqzx'", "u'<f8'", "b'<f8'", "'\\x3cf8'", "'<f8' ''", '"<f8"', "'<f8", "'<n8'"),
    *("__import__('os').system('true')", "'<f8'.lower()", "lambda: 0", "'<f8[s]'", "' <f8'"),
]
ORDERS = ["True", "False", "1", "0", "None", "'C'", "true", "not 0", "qzxqzxqzx", ""]
LENGTHS = [
    *("(4)", "4", "[4, 3]", "(-4, 3)", "(True, 3)", "(4L, 3L)", "(4, 3L)", "(1000000, 1000000)"),
    *("(99999999999999999999,)", "(4, 3", "()", "(0, 3)", "(4, 0)", "(4, 3,)", "(4,, 3)", "(,)"),
    *("(" + "1, " * 32 + ")", "(" + "1, " * 33 + ")", "(4 3)", "(4_0,)", "(0x4, 3)", "(4.0, 3)"),
    *("(04, 3)", "( 4 ,\t3 )", "((4, 3))", "('qzxqzxqzx',)", "(4, 3) + ()", "(None,)", "(4, 3)#"),
    *("(9223372036854775807, 2)", "(4294967296, 4294967296)", "(12,)", "(1, 12)", "(12, 1)", ""),
    "(" * 200,
]
FIELDS = ["'descr'", "'fortran_order'", "'shape'", "'qzxqzxqzx'", "descr", '"shape"', "''", "1"]


def npy(rng: random.Random) -> bytes:
    """An .npy, right or with some parts of it wrong."""
    array = arrays()[rng.randrange(len(arrays()))]
    if rng.random() < 0.25:
        return npy_bytes(array)
    entries = {
        "'descr'": repr(array.dtype.str),
        "'fortran_order'": str(array.flags.fnc),
        "'shape'": repr(array.shape),
    }
    data = array.tobytes("A")
    version, length, ends = (1, 0), 0, ("{", ", }")
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        match rng.randrange(12):
            case 0 | 1:
                entries["'descr'"] = rng.choice(DESCRS + [repr(d) for d in DTYPES])
            case 2:
                entries["'fortran_order'"] = rng.choice(ORDERS)
            case 3 | 4:
                entries["'shape'"] = rng.choice(LENGTHS + [repr(shape) for shape in SHAPES])
            case 5:
                entries.pop(rng.choice(list(entries)), None)
            case 6:
                entries[rng.choice(FIELDS)] = rng.choice(["1", "'qzxqzxqzx'", "True", "(4, 3)"])
            case 7:
                ends = rng.choice(
                    [("{", "}"), ("", ""), ("{ ", " , } "), ("{", ",}}"), ("{{", "}")]
                )
            case 8:
                version = rng.choice([(2, 0), (3, 0), (2, 0), (0, 0), (1, 1), (9, 0), (255, 255)])
            case 9:
                length = rng.choice([-200, -64, -2, -1, 1, 2, 64, 20_000, *INTERESTING])
            case 10:
                data = data[: rng.randrange(len(data) + 1)] + rng.choice([b"", b"", CANARY, b"\0"])
            case 11:
                data = rng.choice([CANARY * 20, b"\xff" * 200, rng.randbytes(200)])[: len(data)]
    pairs = list(entries.items())
    rng.shuffle(pairs)
    separator = rng.choice([": ", ":", " : "])
    text = ends[0] + ", ".join(f"{k}{separator}{v}" for k, v in pairs) + ends[1]
    return framed(text.encode("latin-1"), version, length, rng.choice([64, 16, 1])) + data


def framed(text: bytes, version: tuple[int, int], longer: int, multiple: int) -> bytes:
    """The header's text with what comes before it, its length told wrong by `longer`."""
    width = 2 if version == (1, 0) else 4
    text += b" " * (-(8 + width + len(text) + 1) % multiple) + b"\n"
    length = max(0, len(text) + longer) & (0xFFFF if width == 2 else 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes(version) + length.to_bytes(width, "little") + text


@cache
def arrays() -> list[Array]:
    """Small arrays that are right, of every dtype and shape."""
    rng = np.random.default_rng(0)
    found = []
    for shape in SHAPES:
        for dtype in DTYPES:
            values = rng.integers(0, 2, shape) if rng.random() < 0.6 else rng.random(shape)
            found.append(np.asarray(values, dtype, order="F" if rng.random() < 0.3 else "C"))
    return found


@cache
def right_files() -> list[bytes]:
    return [_saved(array) for array in arrays()]


def npy_bytes(array: Array) -> bytes:
    """The array as numpy writes it."""
    return right_files()[next(i for i, each in enumerate(arrays()) if each is array)]


def _saved(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# --- .npz

MEMBERS = ["m.npy", "n.npy", "only.npy", "weight.npy", "a/b.npy", "é.npy", "m", "readme.txt"]
ODD_MEMBERS = [
    *(
        "../m.npy",
        "/etc/m.npy",
        "C:\\m.npy",
        "a\\b.npy",
        "a/../../m.npy",
        ".npy",
        "..npy",
        "./m.npy",
    ),
    *("\x1b[31m.npy", "a\nb.npy", "x" * 3000 + ".npy", "\u202e.npy", "m.npy/", "{0}.npy", "%s.npy"),
]
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED]
ODD_METHODS = [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
RECORDS = {b"PK\x03\x04": 30, b"PK\x01\x02": 46, b"PK\x05\x06": 22}  # bytes of each, fixed part


def npz(rng: random.Random) -> bytes:
    """An .npz, right or with parts of its members, records or bytes wrong."""
    if rng.randrange(BOMB) == 0:
        return rng.choice(bombs())
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that occurs twice
        with zipfile.ZipFile(file, "w") as archive:
            for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 2, 3])):
                odd = rng.random()
                name = rng.choice(ODD_MEMBERS if odd < 0.05 else MEMBERS)
                method = rng.choice(ODD_METHODS if odd > 0.95 else METHODS)
                content = npy(rng) if rng.random() < 0.5 else rng.choice(right_files())
                archive.writestr(zipfile.ZipInfo(name), content, method)
            if rng.random() < 0.05:
                archive.comment = CANARY * rng.choice([1, 100])
    data = bytearray(file.getvalue())
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        patch(data, rng)
    if rng.random() < 0.05:
        data[:0] = rng.choice([CANARY, b"\x93NUMPY", bytes(data), b"\0" * 30])
    if rng.random() < 0.05:
        data += rng.choice([CANARY, b"PK\x05\x06" + bytes(18), b"PK\x06\x07" + bytes(16), b"\0"])
    return bytes(data)


def patch(data: bytearray, rng: random.Random) -> None:
    """Change a number in one of the archive's records."""
    signature, size = rng.choice(list(RECORDS.items()))
    at = data.find(signature, rng.randrange(len(data) // 2 + 1))
    if at < 0 or at + size > len(data):
        return
    offset = at + rng.randrange(4, size - 3)
    (old,) = struct.unpack_from("<I", data, offset)
    value = rng.choice([*INTERESTING, old + 1, old - 1, old ^ 1, old ^ 8, old * 2, len(data)])
    width = rng.choice([1, 2, 2, 4])
    data[offset : offset + width] = (value & 0xFFFFFFFF).to_bytes(4, "little")[:width]


@cache
def bombs() -> list[bytes]:
    """Archives that unpack to much more than they are: refused, or within what memory may take."""
    return [bomb(mib, method) for mib, method in ((50, 8), (63, 8), (70, 8), (300, 8), (50, 0))]


def bomb(mib: int, method: int) -> bytes:
    """So many MiB of zeros in an .npz; method 0 only declares them."""
    header = framed(
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({mib << 20},), }}".encode(),
        (1, 0),
        0,
        64,
    )
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("m.npy", "w") as member,
    ):
        member.write(header)
        for _ in range(mib):
            member.write(bytes(1 << 20))
    if method:
        return file.getvalue()
    data = bytearray(file.getvalue())
    at = data.find(b"PK\x01\x02")
    data[at + 20 : at + 24] = (100).to_bytes(
        4, "little"
    )  # of what is compressed there are 100 bytes
    return bytes(data)


# --- text

CELLS = [
    "0",
    "1",
    "-1",
    "0.5",
    "1e-3",
    ".5",
    "5.",
    "+1",
    " 1 ",
    "1E5",
    "00012",
    "1e308",
    "123456789",
]
ODD_CELLS = [
    *("nan", "inf", "-Infinity", "1e999", "1e-999", "", " ", "1,5", "1_000", "0x1F", "1j", "(1)"),
    *("true", "None", "qzxqzxqzx", '"1"', "'1'", "#1", "# 1", "1 2", "--1", "1e", "e5", ".",),
    *("=1+1", "\x001", "\x1b[31m", "1\x0b", "1\x0c", "1\x85", "1\xa0", "١", "½", "−1", "1\r"),
    *("1.2.3", "\t1"),
    *("9" * 400, "1" + "0" * 5000, "0." + "0" * 3000 + "1", "1e" + "9" * 50, "qzxqzxqzx" * 300),
]  # fmt: skip
SEPARATORS = [",", ",", ",", ";", "\t", " ", "  ", ", ", " ;", "|", ":", ",,"]
ENDS = [
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r\n",
    "\r",
    "\n\n",
    "\n\r",
    "\x0b",
    "\x0c",
    "\x85",
    "\u2028",
    ";",
]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7"]


def text(rng: random.Random) -> bytes:
    """A matrix as text, right or with cells, rows, ends or letters of another kind."""
    rows, columns = rng.choice([(4, 3), (3, 4), (4, 4), (1, 4), (4, 1), (1, 1), (2, 30)])
    values = rng.choice([["0", "1"], ["0", "1"], CELLS])
    table = [[rng.choice(values) for _ in range(columns)] for _ in range(rows)]
    separator = rng.choice(SEPARATORS[:7])
    end, encoding, last = rng.choice(["\n", "\r\n"]), "utf-8", rng.choice(["", "\n", "\r\n"])
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
        row = rng.randrange(len(table))
        match rng.randrange(10):
            case 0 | 1 | 2:
                table[row] = [
                    rng.choice([*table[row], *rng.sample(ODD_CELLS, 2)]) for _ in table[row]
                ]
            case 3:
                table[row] = table[row][: rng.randrange(len(table[row]) + 1)]
            case 4:
                table[row] = table[row] + rng.choice([[""], ["1"], ["qzxqzxqzx"]])
            case 5:
                table.insert(row, rng.choice([[], [""], ["# qzxqzxqzx"], ["x", "y", "qzxqzxqzx"]]))
            case 6:
                separator = rng.choice(SEPARATORS)
            case 7:
                end = rng.choice(ENDS)
            case 8:
                encoding = rng.choice(ENCODINGS)
            case 9:
                last = rng.choice(["", *ENDS, "\n" * 50, " \n", "qzxqzxqzx", "\x1a", "\0"])
    if rng.randrange(LONG) == 0:
        longer = rng.choice([1000, 100_000])
        kind = rng.randrange(3)
        if kind == 0:
            table = [row * (longer // 10) for row in table]
        elif kind == 1:
            table = table * (longer // 100)
        else:
            cell = rng.choice("9 .,e-\t") * longer + rng.choice(["", "1", "x", ",", " "])
            table[0] = [cell, *table[0][1:]]
    content = end.join(separator.join(row) for row in table) + last
    return content.encode(encoding, "replace")[:LARGEST]


# --- what is done to any file


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content after one to three accidents to its bytes."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 1, 2, 4, 16, 200])
        match rng.randrange(6):
            case 0:
                data[at : at + length] = rng.randbytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = rng.randbytes(length)
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at : at + length] = rng.choice([b"\0", b"\xff", b"9", b"(", b"-"]) * length
            case 5:
                del data[at:]
    return bytes(data)


OTHER = [
    *(b"", b"\n", b"\0", b"\x80\x04\x95.", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08", b"MATLAB 5.0"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"PK"),
]
Maker = Callable[[random.Random], bytes]
MAKERS: dict[str, Maker] = {".npy": npy, ".npz": npz, ".csv": text, ".tsv": text, ".txt": text}
SUFFIXES = [".npy"] * 4 + [".npz"] * 3 + [".csv"] * 2 + [".tsv", ".txt"]


@dataclass(frozen=True)
class Case:
    """A file, the array that is asked for, and the key of a spec that names it, or "" for none."""

    suffix: str
    content: bytes
    array: str | None
    key: str


LAYER = "netbuild: 1\nlayers: [{name: a, type: linear, input_dim: 4, output_dim: 3, KEY: FILE}]\n"
DISTANCE = (
    "netbuild: 1\nlayers: [{name: a, type: linear, input_dim: 4, output_dim: 3}]\n"
    "regularizers: [{type: WeightsDistance, params: a.weight, reference: FILE}]\n"
)
TASK = "netbuild: 1\nlayers: [{name: a, type: linear, output_dim: 3}]\ntraining: {steps: 1}\n"
TASK += "task: {type: arrays, inputs: FILE, targets: FILE}\n"
USES = {
    **{
        key: LAYER.replace("KEY", key)
        for key in ("weight", "bias", "sparsity_mask", "ei_mask", "plasticity_mask")
    },
    "reference": DISTANCE,
    "task": TASK,
}


class Files:
    """The fuzz of data files."""

    def __init__(self, seed: str, folder: Path) -> None:
        self.seed = seed
        self.folder = folder

    def case(self, number: int) -> Case:
        """One file."""
        rng = fuzzing.stream(self.seed, number)
        suffix = rng.choice(SUFFIXES)
        content = MAKERS[suffix](rng)
        if rng.random() < 0.3:
            content = mutated(content, rng)
        odd = rng.random()
        if odd < 0.01:
            content = rng.choice(OTHER)
        elif odd < 0.02:
            suffix = rng.choice([*SUFFIXES, ".NPY", ".pkl", ".npy.gz", ""])
        array = rng.choice([None, "m", "m", "only", "qq\x1b"]) if suffix == ".npz" else None
        if rng.random() < 0.01:
            array = "m"
        key = rng.choice(list(USES)) if number % THROUGH_SPEC == 0 else ""
        return Case(suffix, content, array, key)

    def judge(self, case: Case) -> Sequence[str]:
        """The code of the problem; what is accepted is compared with another reader's array."""
        path = self.folder / f"f{case.suffix}"
        path.write_bytes(case.content)
        shape = told(lambda: read_shape(path, case.array))
        found = told(lambda: read_array(path, case.array))
        if isinstance(found, ArrayFile):
            assert shape == found.array.shape, shape
            check_array(found, case)
        if case.key:
            self.through_spec(path, case, "" if isinstance(found, ArrayFile) else found)
        return () if isinstance(found, ArrayFile) else (str(found),)

    def through_spec(self, path: Path, case: Case, code: Any) -> None:
        """The same file, named by a spec."""
        array = "" if case.array is None else f', array: "{case.array.encode().hex()}"'
        spec = path.with_name("spec.yaml")
        spec.write_text(USES[case.key].replace("FILE", f"{{file: {path.name}{array}}}"))
        codes = set()
        try:
            load(spec, memory_limit=10**8)
        except SpecError as error:
            codes = {problem.code for problem in error.problems}
            for problem in error.problems:
                check_problem(problem, 9)
                assert "qzx" not in problem.what + problem.hint
        if code and not array:
            assert code in codes, (code, codes)

    def save(self, case: Case, folder: Path) -> None:
        """The file itself, and how it was asked for."""
        (folder / f"f{case.suffix}").write_bytes(case.content)
        (folder / "case.txt").write_text(f"array: {case.array!r}\nkey: {case.key}\n")


def told(work: Callable[[], Any]) -> Any:
    """What a reader gives, or the code of its problem."""
    try:
        return work()
    except DataFileError as error:
        check_words(error)
        return error.code


def check_words(error: DataFileError) -> None:
    """A message fits on a line, and repeats nothing of the file's text."""
    for said in (error.what, error.hint):
        assert said.isprintable(), said
        assert len(said) < 1200, said
        assert "qzx" not in said, said
    assert "not enough memory" not in error.what, error.what


def check_array(found: ArrayFile, case: Case) -> None:
    """The array is what another reader reads."""
    array = found.array
    assert array.dtype.kind in "biuf"
    assert array.dtype.itemsize <= 8
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.size
    assert found.size == len(case.content)
    assert found.sha256 == hashlib.sha256(case.content).hexdigest()
    if array.nbytes > LARGE:  # a second reader would take as much memory again
        return
    if case.suffix.lower() in (".npy", ".npz"):
        other = numpy_reads(case)
    else:
        assert np.isfinite(array).all()
        other = floats(case.content)
    assert other.shape == array.shape, (other.shape, array.shape)
    assert other.astype(array.dtype).tobytes() == array.tobytes()


def numpy_reads(case: Case) -> Array:
    """The array by numpy's own reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        content = case.content
        if case.suffix.lower() == ".npz":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                member = f"{case.array}.npy" if case.array is not None else names[0]
                content = archive.read(member)
        if (
            content[6] == 3
        ):  # whose header differs in its encoding; numpy filters `3L` up to 2 alone
            content = content[:6] + b"\2" + content[7:]
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def floats(content: bytes) -> Array:
    """The matrix by Python's own `float`, cell by cell."""
    lines = content.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n").split("\n")
    separator = next((mark for mark in ";\t," if mark in lines[0]), None)
    return np.array([[float(cell) for cell in line.split(separator)] for line in lines])


if __name__ == "__main__":
    raise SystemExit(fuzzing.main("data files", Files))
