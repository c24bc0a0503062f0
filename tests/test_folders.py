"""Folders that somebody else may have filled: nothing in them is followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netbuild import durable as files
from netbuild import folders
from netbuild.errors import Exit
from netbuild.folders import ForeignEntryError, check_file, check_files, entered


@pytest.fixture(params=["relative", "plain"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose folder `linked` leads out of it; with and without opening relative to folders."""
    if request.param == "plain":
        monkeypatch.setattr(folders, "RELATIVE", False)
        monkeypatch.setattr(folders, "_FILE", folders._FILE & ~os.O_NOFOLLOW)
    run, victim = tmp_path / "run", tmp_path / "victim"
    (run / "inner").mkdir(parents=True)
    victim.mkdir()
    (victim / "file").write_bytes(b"precious")
    (run / "linked").symlink_to(victim)
    (run / "inner" / "file").symlink_to(victim / "file")
    (run / "own").write_bytes(b"own")
    return run


def test_what_leads_out_of_a_folder_is_refused(run: Path) -> None:
    for path in (run / "linked" / "file", run / "inner" / "file"):
        for look in (files.read_file, check_file, files.is_there):
            with pytest.raises(ForeignEntryError, match="is a symbolic link, and not a") as caught:
                look(path, within=run)
            assert caught.value.exit_code == Exit.RUN
    linked = run / "linked" / "new"
    for change in (
        lambda: files.replace_file(linked, b"new", within=run),
        lambda: files.write_folder(linked, {"a": b""}, within=run),
        lambda: files.need_folder(linked, within=run),
        lambda: files.need_folder(run / "linked", within=run),
        lambda: files.remove_folder(run / "linked" / "file", within=run),
        lambda: files.remove_leftovers(run / "linked", within=run),
        lambda: files.names_in(run / "linked", within=run),
        lambda: files.rename_entry(run / "linked" / "file", "other", within=run),
        lambda: check_files(run / "inner", within=run),
        lambda: files.append(run / "inner" / "file", b"more", 8),
        lambda: files.cut_file(run / "inner" / "file", 0),
        lambda: files.sync_file(run / "inner" / "file"),
        lambda: files.hash_beginning(run / "inner" / "file", 8),
    ):
        with pytest.raises(ForeignEntryError):
            change()
    victim = run.parent / "victim"
    assert [p.name for p in victim.iterdir()] == ["file"]
    assert (victim / "file").read_bytes() == b"precious"


def test_links_on_the_way_to_a_folder_are_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "shortcut").symlink_to(run)
    assert files.read_file(tmp_path / "shortcut" / "own") == b"own"
    files.replace_file(run / "inner" / "file", b"new", within=run)  # the link itself goes
    assert (run / "inner" / "file").read_bytes() == b"new"
    assert (tmp_path / "victim" / "file").read_bytes() == b"precious"


def test_what_has_several_names_is_read_and_not_written_in_place(run: Path) -> None:
    os.link(run / "own", run.parent / "other")
    assert files.read_file(run / "own") == b"own"
    for act in (
        lambda: files.append(run / "own", b"more", 3),
        lambda: files.cut_file(run / "own", 0),
    ):
        with pytest.raises(ForeignEntryError, match="has another name too"):
            act()
    files.replace_file(run / "own", b"new")
    assert (run.parent / "other").read_bytes() == b"own"


def test_a_name_that_somebody_has_chosen_is_fit_for_a_terminal(run: Path) -> None:
    (run / "inner" / "file").rename(run / "inner" / "\x1b[31m\nfile")
    with pytest.raises(ForeignEntryError, match=r"\\x1b\[31m\\nfile is a symbolic link"):
        check_files(run / "inner", within=run)


def test_removing_removes_links_and_never_what_they_lead_to(run: Path) -> None:
    files.remove(run)
    assert not run.exists()
    assert (run.parent / "victim" / "file").read_bytes() == b"precious"


def test_what_is_missing_is_missing(run: Path) -> None:
    assert not files.is_there(run / "nothing")
    assert not files.is_there(run / "own" / "nothing", within=run)
    check_files(run / "nothing", within=run)
    with pytest.raises(FileNotFoundError), entered(run / "nothing", within=run):
        pass
    files.need_folder(run / "made", within=run)
    assert files.names_in(run / "made", within=run) == []


def test_it_loads_where_the_system_has_less(tmp_path: Path) -> None:
    """Windows has neither fcntl nor most flags of `os.open`, and opens nothing by a folder."""
    program = (
        "import os, sys; sys.modules['fcntl'] = None; os.supports_dir_fd = set()\n"
        "[delattr(os, n) for n in dir(os) if n in ('O_CLOEXEC', 'O_NOFOLLOW', 'O_NONBLOCK',"
        " 'O_NOCTTY', 'O_DIRECTORY', 'O_PATH')]\n"
        "from netbuild.listing import entry; from netbuild.folders import RELATIVE, check_file\n"
        "from pathlib import Path; print(RELATIVE, entry(Path(sys.argv[1])).status)"
    )
    argv = [sys.executable, "-c", program, tmp_path]
    found = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "damaged"]
