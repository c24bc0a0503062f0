"""Standard streams that are closed, full or without a reader; freed memory that is kept."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import netbuild
from netbuild.errors import Exit
from netbuild.render import Progress

SAYS = "from netbuild.system import keep_freed_memory; print(keep_freed_memory())"
PROGRAM = "from netbuild.cli import main; main()"


def command(folder: Path, streams: str, *words: str) -> int:
    """The exit code of a command line whose streams lead elsewhere, as a shell writes that."""
    shell = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(shell, cwd=folder, check=False, timeout=60).returncode


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">/dev/null 2>/dev/full"])
def test_a_training_needs_no_streams(small: Path, streams: str) -> None:
    assert command(small.parent, streams, "train", "small.yaml", "--out", "runs") == Exit.DONE
    (path,) = small.parent.glob("runs/small/*")
    run = netbuild.open_run(path)
    assert run.about["status"] == "finished"
    assert len(run.metrics) == 6  # steps 10, 20 and 24, and three evaluations


def test_a_training_goes_on_where_nobody_reads(small: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-c", PROGRAM, "train", "small.yaml"]
    done = subprocess.run(
        line,
        cwd=small.parent,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert done.returncode == Exit.DONE
    (path,) = small.parent.glob("runs/small/*")
    assert netbuild.open_run(path).about["status"] == "finished"


def test_errors_have_their_codes_where_they_cannot_be_read(small: Path) -> None:
    folder = small.parent
    (folder / "bad.yaml").write_text("netbuild: 1\nlayers: 3\n")
    for streams in ("", "2>/dev/full", "2>&-"):
        assert command(folder, streams, "validate", "bad.yaml") == Exit.SPEC
    assert command(folder, ">/dev/full", "config", "small.yaml") == Exit.IO


def unread(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """A command whose output nobody reads, and that does not keep it back."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(writer)
    return process


def test_a_verdict_has_its_code_where_nobody_reads_it(small: Path) -> None:
    run = netbuild.train(small, small.parent / "runs")
    log = run.path / "metrics.jsonl"
    log.write_text(log.read_text().replace('"accuracy":', '"accuracy":1', 1))
    process = unread(small.parent, "reproduce", str(run.path), "--quiet")
    process.communicate(timeout=60)
    assert process.returncode == Exit.RUN


def test_a_signal_has_its_code_where_nobody_reads(small: Path) -> None:
    changes = ["--set", "training.steps=100000000", "--set", "training.optimizer.schedule=null"]
    process = unread(small.parent, "train", "small.yaml", *changes)
    for _ in range(6000):
        if any(path.stat().st_size for path in small.parent.glob("runs/small/*/metrics.jsonl")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGUSR1
    assert b"saved: netbuild resume runs/small/" in error


def test_paths_may_be_any_bytes(small: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(small.parent) + b"/\xff \xc3\xbc"))
    folder.mkdir()
    for name in ("small.yaml", "data.npz"):
        shutil.copy(small.parent / name, folder / name)
    for encoding, shown, words in (
        ("ascii", b"\\udcff", ["train", "small.yaml", "--out", str(folder / "runs")]),
        ("ascii", b"\\udcff", ["runs", str(folder)]),
        ("utf-8:strict", b"\\udcff", ["runs", str(folder)]),
        ("utf-8:surrogateescape", b"\xff", ["runs", str(folder)]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words, "--quiet"],
            cwd=folder,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == Exit.DONE, done.stderr
        assert shown in done.stdout


def test_progress_that_cannot_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with Progress("test") as progress:
            progress.update("evaluation", 1, 2, {"loss": 1.0})
        assert progress.quiet
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, full.fileno())  # else closing it would fail
        os.close(nowhere)


def test_glibc_takes_the_thresholds_and_others_are_left_alone() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SAYS], capture_output=True, text=True, check=True
    )
    glibc = sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"
    assert result.stdout.strip() == str(glibc)
