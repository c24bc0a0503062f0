"""One process a run: the lock, what the second one is told, and what needs none."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from resuming import begun, stopped_at

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.runs.lock import take_lock


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    held = take_lock(tmp_path / ".lock", "the run")
    with pytest.raises(NetbuildError) as caught:
        take_lock(tmp_path / ".lock", "the run")
    assert caught.value.exit_code == Exit.LOCKED
    who = f"the run is in use by process {os.getpid()} on {socket.gethostname()}, since "
    assert str(caught.value).startswith(who)
    os.close(held)
    os.close(take_lock(tmp_path / ".lock", "the run"))


def test_a_holder_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    program = (
        "import fcntl, os, sys; held = open(sys.argv[1], 'w'); fcntl.flock(held, fcntl.LOCK_EX)\n"
        "held.write(repr(os.getpid())); held.flush(); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / ".lock"
    assert subprocess.run([sys.executable, "-c", program, path], check=False).returncode == -9
    assert path.read_text() != str(os.getpid())
    os.close(take_lock(path, "the run"))


def test_a_file_that_says_nothing_is_in_use_all_the_same(tmp_path: Path) -> None:
    held = take_lock(tmp_path / ".lock", "the run")
    for content in ("", "{", '{"pid": "x"}', "[" * 2000):
        (tmp_path / ".lock").write_text(content)
        with pytest.raises(NetbuildError, match="the run is in use by another process"):
            take_lock(tmp_path / ".lock", "the run")
    os.close(held)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / ".lock").symlink_to("other")
    with pytest.raises(NetbuildError, match=r"\.lock is a symbolic link, and not a file") as caught:
        take_lock(tmp_path / ".lock", "the run")
    assert caught.value.exit_code == Exit.RUN
    (tmp_path / ".lock").unlink()
    os.link(tmp_path / "other", tmp_path / ".lock")
    with pytest.raises(NetbuildError, match=r"\.lock has another name too") as caught:
        take_lock(tmp_path / ".lock", "the run")
    assert caught.value.exit_code == Exit.RUN
    assert (tmp_path / "other").read_text() == "kept"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(NetbuildError, match="cannot be locked") as caught:
        take_lock(tmp_path / ".lock", "the run")
    assert caught.value.exit_code == Exit.IO


def test_a_run_is_trained_by_one_process_and_read_by_any(
    small: Path, tmp_path: Path, cli: Any
) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10))
    held = take_lock(path / ".lock", "the test")
    before = (path / "run.json").read_bytes()
    with pytest.raises(NetbuildError) as caught:
        netbuild.resume(path)
    assert caught.value.exit_code == Exit.LOCKED
    result = cli("resume", path)
    assert result.code == Exit.LOCKED
    assert f"{path} is in use by process {os.getpid()}" in result.err
    assert (path / "run.json").read_bytes() == before
    assert cli("inspect", path).code == 0
    assert netbuild.open_run(path).step == 10
    os.close(held)
    assert cli("resume", path).code == 0


def test_train_resume_starts_one_run_and_goes_on_with_it(
    small: Path, tmp_path: Path, cli: Any
) -> None:
    out = tmp_path / "runs"
    begun(small, out, stopped_at(10))
    words = ("train", small, "--out", out, "--resume")
    assert cli(*words, "--set", "seed=9").code == 0  # another spec: a run of its own
    assert len(list(out.glob("small/*/run.json"))) == 2
    result = cli(*words)
    assert result.code == 0
    assert "finished after 24 steps" in result.out
    assert len(list(out.glob("small/*/run.json"))) == 2
    assert cli(*words, "--again").code == 0
    assert len(list(out.glob("small/*/run.json"))) == 3
    spec = netbuild.load(small)
    held = take_lock(out / "small" / f".{spec.hash}.lock", "the test")
    assert cli(*words).code == Exit.LOCKED
    os.close(held)
