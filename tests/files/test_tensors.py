"""Safetensors files: what is whole is read exactly, the rest is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netbuild.errors import DataFileError
from netbuild.files.tensors import read_tensors

WHOLE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def written(path: Path, header: Any, data: bytes = b"\0" * 8) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4), np.int8)}
    save_file(arrays, tmp_path / "x.safetensors", {"netbuild": "{}"})
    found = read_tensors(tmp_path / "x.safetensors")
    assert found.metadata == {"netbuild": "{}"}
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found.arrays[name], array)
    assert not read_tensors(written(tmp_path / "none.safetensors", {}, b"")).arrays


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b"{", b"\xff", b"[" * 5000, [], None, 3, {"w": None}, {"w": []}, {"w": {}}),
        *({"w": WHOLE | {"dtype": kind}} for kind in ("F8", None, [], 1)),
        *({"w": WHOLE | {"shape": shape}} for shape in ([3], [-2], [2.0], "2", None, [True, 2])),
        *({"w": WHOLE | {"shape": shape}} for shape in ([0] + [10**6] * 5, [0] * 40, [10**40])),
        *({"w": WHOLE | {"data_offsets": at}} for at in ([8, 16], [0], [8, 0], [0, 8, 8], None)),
        *({"w": WHOLE, "__metadata__": notes} for notes in ([], {"a": 1}, "x")),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(DataFileError) as caught:
        read_tensors(written(tmp_path / "x.safetensors", header))
    assert caught.value.code == "NB204"
