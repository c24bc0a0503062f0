"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from netbuild import durable as files
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import ForeignEntryError, TooLargeError

CALLS = ("open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir", "close", "ftruncate")


@contextmanager
def failing(number: int, code: int) -> Iterator[list[str]]:
    """The n-th call that changes the disk fails, once; gives the list of calls so far."""
    made: list[str] = []

    def wrap(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            made.append(name)
            if len(made) == number and name != "close":
                raise OSError(code, os.strerror(code))
            return real(*arguments, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(name, getattr(os, name)))
        yield made


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

    def fail(*_: object, **__: object) -> None:
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


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_whichever_call_fails_a_folder_is_whole_or_not_there(tmp_path: Path, code: int) -> None:
    content = {"x": b"1", "y": b"2" * 10**5}
    for number in itertools.count(1):
        home = tmp_path / str(number)
        home.mkdir()
        done = False
        with failing(number, code) as made, suppress(OSError):
            files.write_folder(home / "folder", content)
            done = True
        if (home / "folder").exists():
            assert {p.name: p.read_bytes() for p in (home / "folder").iterdir()} == content
        assert done or code != errno.EIO  # what may pass is tried again
        if code != errno.EIO and not (home / "folder").exists():
            assert not [p for p in home.iterdir() if not p.name.startswith(".")]
        files.remove_leftovers(home)
        assert [p.name for p in home.iterdir()] in ([], ["folder"])
        if len(made) < number:
            break
    assert number > 12


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_whichever_call_fails_a_file_is_the_old_or_the_new(tmp_path: Path, code: int) -> None:
    path = tmp_path / "a"
    for number in itertools.count(1):
        path.write_bytes(b"old")
        done = False
        with failing(number, code) as made, suppress(OSError):
            files.replace_file(path, b"new and longer")
            done = True
        assert path.read_bytes() in ((b"new and longer",) if done else (b"old", b"new and longer"))
        assert done or code != errno.EIO
        files.remove_leftovers(tmp_path)
        if len(made) < number:
            break
    assert number > 6


def test_what_fails_each_time_is_told_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        files.write_folder(tmp_path / "folder", {"x": b"1"})
    assert os.listdir(tmp_path) == []


def test_a_disk_that_lies_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def lie(descriptor: int, data: memoryview) -> int:
        return real(descriptor, bytes(len(data)))

    monkeypatch.setattr(os, "write", lie)
    with pytest.raises(OSError, match="does not hold what was written"):
        files.write_folder(tmp_path / "folder", {"x": b"123"})


def test_what_is_appended_begins_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    at = files.append(path, b"one\n", 0)
    assert files.append(path, b"two\n", at) == 8
    assert path.read_bytes() == b"one\ntwo\n"
    files.cut_file(path, 4)
    assert path.read_bytes() == b"one\n"


def test_nothing_is_appended_to_what_somebody_else_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with pytest.raises(FileNotFoundError):
        files.append(path, b"one\n", 0)
    assert not path.exists()
    for content in (b"one\ntwo\n", b"one"):
        path.write_bytes(content)
        with pytest.raises(NetbuildError, match="another program has changed it") as caught:
            files.append(path, b"three\n", 4)
        assert caught.value.exit_code == Exit.IO
        assert path.read_bytes() == content


def test_an_append_that_failed_half_way_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write, parts = tmp_path / "log", os.write, [3]
    path.write_bytes(b"one\n")

    def half(descriptor: int, data: bytes) -> int:
        if parts:
            write(descriptor, data[: parts.pop()])
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", half)
    assert files.append(path, b"two\n", 4) == 8
    assert path.read_bytes() == b"one\ntwo\n"


def test_the_hash_of_a_beginning_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    found = files.hash_beginning(path, 4)
    assert found.hexdigest() == files.digest(b"one\n")
    found.update(b"six\n")
    assert found.hexdigest() == files.digest(b"one\nsix\n")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ForeignEntryError, match="is a FIFO, and not a file"):
        files.hash_beginning(tmp_path / "fifo", 4)


def test_leftovers_go_and_everything_else_stays(tmp_path: Path) -> None:
    kept = ["a.tmp", ".a.tmp", ".hidden", "step-00000001", ".x.0123456.tmp"]
    for name in kept:
        (tmp_path / name).write_text("")
    (tmp_path / ".run.json.01234567.tmp").write_text("")
    (tmp_path / ".step-00000002.89abcdef.tmp").mkdir()
    (tmp_path / ".step-00000002.89abcdef.tmp" / "state.json").write_text("")
    (tmp_path / ".step-00000002.89abcdef.tmp" / "folder").mkdir()
    (tmp_path / ".step-00000002.89abcdef.tmp" / "folder" / "link").symlink_to(tmp_path)
    files.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_only_regular_files_of_fair_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ForeignEntryError, match="is a FIFO, and not a file"):
        files.read_file(tmp_path / "fifo")
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(TooLargeError, match="has 5 bytes; at most 4 are read") as caught:
        files.read_file(tmp_path / "a", 4)
    assert caught.value.exit_code == Exit.RESOURCES


def test_a_disk_that_is_nearly_full_is_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(f_bavail=3, f_frsize=1 << 20)
    monkeypatch.setattr(os, "statvfs", lambda path: free)
    files.require_space(tmp_path, 2 << 20)
    with pytest.raises(NetbuildError, match=r"has 3,145,728 bytes free; 4,194,304 are needed") as e:
        files.require_space(tmp_path, 3 << 20)
    assert e.value.exit_code == Exit.IO


def test_new_folders_are_exclusive(tmp_path: Path) -> None:
    files.make_folders(tmp_path / "a" / "b" / "c")
    with pytest.raises(FileExistsError):
        files.make_folders(tmp_path / "a" / "b" / "c")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "gone"), Exit.RUN),
        (NotADirectoryError(errno.ENOTDIR, "a file"), Exit.RUN),
        (ValueError("damaged"), Exit.RUN),
        (PermissionError(errno.EACCES, "refused"), Exit.IO),
        (OSError(errno.EIO, "broken"), Exit.IO),
        (OSError(errno.ENOSPC, "full"), Exit.IO),
        (MemoryError(), Exit.RESOURCES),
    ],
)
def test_a_run_that_is_damaged_and_a_disk_that_fails_are_told_apart(
    error: Exception, code: Exit
) -> None:
    with pytest.raises(NetbuildError) as caught, files.reading(Path("run.json")):
        raise error
    assert caught.value.exit_code == code
