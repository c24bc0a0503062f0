"""Writes the small files in `data/` that the specs of the corpus name. The output is committed."""

from __future__ import annotations

import io
import pickle
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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", FIRST), npy(np.asarray(array)))
    return buffer.getvalue()


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
    return {
        "wiring.npy": npy(wiring),
        "wiring_post.npy": npy(wiring.T.copy()),
        "wiring_fortran.npy": npy(np.asfortranarray(wiring)),
        "wiring_big_endian.npy": npy(wiring.astype(">i4")),
        "wiring.csv": csv(wiring),
        "wiring.txt": csv(wiring).replace(b",", b" "),
        "wiring.tsv": csv(wiring).replace(b",", b"\t"),
        "wiring_none.npy": npy(np.zeros_like(wiring)),
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
        "text.npy": npy(np.array([["a", "b"]])),
        "complex.npy": npy(np.ones((4, 8), complex)),
        "empty.npy": b"",
        "no_rows.npy": npy(np.zeros((0, 8))),
        "huge.npy": header_only((10**6, 10**6)),
        "cube.npy": npy(np.zeros((4, 8, 2))),
        "ragged.csv": b"1,0,1\n1,0\n",
        "header.csv": b"a,b\n1,0\n",
        "semicolon.csv": b"1;0\n0;1\n",
        "comma.csv": b"0,5;1\n",
        "really_npy.csv": npy(wiring),
        "broken.npz": npz(wiring=wiring)[:60],
    }


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name, content in files().items():
        (DATA / name).write_bytes(content)
