"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netbuild.training import files


def test_write_file_never_overwrites(tmp_path: Path) -> None:
    files.write_file(tmp_path / "a", b"one")
    with pytest.raises(FileExistsError):
        files.write_file(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"


def test_replace_file_leaves_nothing_beside(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        files.replace_file(tmp_path / "a", data)
        assert (tmp_path / "a").read_bytes() == data
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "rename", "write"])
def test_a_failed_write_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    files.replace_file(tmp_path / "a", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        files.replace_file(tmp_path / "a", b"new")
    with pytest.raises(OSError, match="No space left"):
        files.write_folder(tmp_path / "folder", {"x": b"1", "y": b"2"})
    assert sorted(os.listdir(tmp_path)) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_write_folder_is_whole(tmp_path: Path) -> None:
    files.write_folder(tmp_path / "folder", {"x": b"1", "y": b"2" * 10**6})
    assert sorted(os.listdir(tmp_path)) == ["folder"]
    assert {p.name: p.stat().st_size for p in (tmp_path / "folder").iterdir()} == {
        "x": 1,
        "y": 10**6,
    }


def test_canonical_json_does_not_depend_on_order() -> None:
    assert files.canonical_json({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"é"],"b":1}'
