"""Writes the small files in `data/` that the specs of the corpus name. The output is committed."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"
FIRST = (1980, 1, 1, 0, 0, 0)  # a zip holds a time for each member; this is the earliest


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    return archive_of(*((f"{name}.npy", npy(np.asarray(a))) for name, a in arrays.items()))


def archive_of(*members: tuple[str, bytes]) -> bytes:
    """A zip of members, not compressed; two may have the same name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there already
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, FIRST), content)
    return buffer.getvalue()


def with_field(archive: bytes, offset: int, value: int) -> bytes:
    """A zip of one member with a field of its local header, and of its central one, changed."""
    data = bytearray(archive)
    central = data.index(b"PK\x01\x02")
    for at in (offset, central + offset + 2):
        struct.pack_into("<H", data, at, value)
    return bytes(data)


def spoilt(content: bytes, at: int, by: bytes) -> bytes:
    """The same bytes, some of them replaced."""
    return content[:at] + by + content[at + len(by) :]


def npy_with(header: str, version: int = 1) -> bytes:
    """An .npy of a header in its own words, and one number."""
    width = "<H" if version == 1 else "<I"
    length = struct.pack(width, len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + bytes(8)


def npy_of_shape(shape: str) -> bytes:
    return npy_with(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n")


def csv(array: Any) -> bytes:
    return "".join(",".join(f"{v:g}" for v in row) + "\n" for row in np.atleast_2d(array)).encode()


def header_only(shape: tuple[int, ...]) -> bytes:
    """An .npy that declares a shape and holds nothing."""
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    """Maps of 4 to 8 units, square ones of 4, and a task of 20 samples with 4 inputs."""
    rng = np.random.default_rng(0)
    wiring = (rng.random((4, 8)) < 0.5).astype(np.uint8)
    wiring[0] = 1
    plastic = np.round(rng.random((4, 8)), 2)
    plastic[0, :3] = 0, 1, 0.5
    weight = np.round(rng.normal(size=(8, 4)), 3)
    signs = np.array([1, 1, -1, 0])
    square = (rng.random((4, 4)) < 0.5).astype(np.int64)
    counts = rng.integers(0, 5, (4, 8))
    x = rng.integers(0, 17, (20, 4)).astype(np.uint8)
    y = np.arange(20) % 3
    nan = plastic.copy()
    nan[1, 2] = np.nan
    inf = plastic.copy()
    inf[3, 0] = -np.inf
    some = wiring.copy()
    some[2] = 0  # a unit that sends nothing
    some[:, [1, 6]] = 0  # two that receive nothing
    archive = npz(wiring=wiring)  # its member's bytes begin at 40
    return {
        "wiring.npy": npy(wiring),
        "wiring_post.npy": npy(wiring.T.copy()),
        "wiring_fortran.npy": npy(np.asfortranarray(wiring)),
        "wiring_big_endian.npy": npy(wiring.astype(">i4")),
        "wiring.csv": csv(wiring),
        "wiring.txt": csv(wiring).replace(b",", b" "),
        "wiring.tsv": csv(wiring).replace(b",", b"\t"),
        "wiring_none.npy": npy(np.zeros_like(wiring)),
        "wiring_some.npy": npy(some),
        "wiring_bom.csv": b"\xef\xbb\xbf" + csv(wiring),
        "wiring_semicolon.csv": csv(wiring).replace(b",", b";"),
        "square.npy": npy(square),
        "counts.npy": npy(counts),
        "signs.npy": npy(signs),
        "signs_matrix.npy": npy(np.repeat(signs[:, None], 8, 1)),
        "plastic.npy": npy(plastic),
        "plastic.csv": csv(plastic),
        "weight.npy": npy(weight),
        "weight_large.npy": npy(weight * 1e200),
        "bias.npy": npy(np.linspace(-1, 1, 8)),
        "maps.npz": npz(wiring=wiring, plastic=plastic, weight=weight, signs=signs),
        "one.npz": npz(wiring=wiring),
        "task.npz": npz(
            x=x,
            y=y,
            y_column=y[:, None],
            values=np.round(rng.normal(size=(20, 2)), 3),
            one_hot=np.eye(3)[y],
            from_one=y + 1,
            short=y[:10],
            x_large=x * 1e300,
            x_series=np.zeros((20, 5, 4)),
            negative=y - 1,
        ),
        "x.csv": csv(x),
        "y.csv": csv(y[:, None]),
        "y_row.csv": csv(y),
        "nan.npy": npy(nan),
        "half.npy": npy(np.where(wiring, 0.5, 0.0)),
        "beyond.npy": npy(plastic * 3 - 1),
        "object.npy": npy(np.array([[1, None]], dtype=object), allow_pickle=True),
        "pickle.npy": pickle.dumps([1, 2], 2),
        "truncated.npy": npy(weight)[:-40],
        "trailing.npy": npy(wiring) + b"\0\0\0",
        "text.npy": npy(np.array([["a", "b"]])),
        "complex.npy": npy(np.ones((4, 8), complex)),
        "structured.npy": npy(np.zeros(4, "i4,f8")),
        "dates.npy": npy(np.zeros((4, 8), "M8[D]")),
        "empty.npy": b"",
        "no_rows.npy": npy(np.zeros((0, 8))),
        "huge.npy": header_only((10**6, 10**6)),
        "overflow.npy": header_only((2**62, 2**62, 16)),
        "shape_negative.npy": npy_of_shape("(-4, 8)"),
        "shape_bool.npy": npy_of_shape("(True,)"),
        "shape_list.npy": npy_of_shape("[4, 8]"),
        "header_4gib.npy": b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 58,
        "header_20k.npy": npy_with("{" + " " * 20_000 + "}\n", 2),
        "header_brackets.npy": npy_with("(" * 9000),
        "header_code.npy": npy_with("__import__('os').system('id')"),
        "version_9.npy": spoilt(npy(wiring), 6, b"\x09"),
        "number.npy": npy(np.float64(1)),
        "cube.npy": npy(np.zeros((4, 8, 2))),
        "classes_cube.npy": npy(np.zeros((20, 1, 1), np.int64)),
        "minus.npy": npy(wiring.astype(np.int8) * -1),
        "bytes.npy": npy(wiring * np.uint8(255)),
        "inf.npy": npy(inf),
        "pickle.pkl": pickle.dumps([1, 2], 2),
        "ragged.csv": b"1,0,1\n1,0\n",
        "header.csv": b"a,b\n1,0\n",
        "semicolon.csv": b"1;0\n0;1\n",
        "comma.csv": b"0,5;1\n",
        "nothing.csv": b"",
        "cell.csv": b"1,0\n0,secret\n",
        "nan.csv": b"1,0\n0,nan\n",
        "end_comma.csv": b"1,0,\n0,1,\n",
        "one_cell.csv": b"1\n",
        "comment.csv": b"1,0\n# 0,1\n",
        "really_npy.csv": npy(wiring),
        "broken.npz": archive[:60],
        "checksum.npz": spoilt(archive, 175, b"\x07"),
        "encrypted.npz": with_field(archive, 6, 1),
        "method_99.npz": with_field(archive, 8, 99),
        "deflate.npz": with_field(spoilt(archive, 40, b"\xff" * 40), 8, 8),
        "twins.npz": archive_of(("w.npy", npy(wiring)), ("w.npy", npy(1 - wiring))),
        "climbing.npz": archive_of(("../../w.npy", npy(wiring))),
        "no_member.npz": archive_of(),
        "no_array.npz": archive_of(("w.npy", b"0 1 0 1")),
    }


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name, content in files().items():
        (DATA / name).write_bytes(content)
