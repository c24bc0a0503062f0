"""Standard streams that are closed, full or without a reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import netbuild
from netbuild.errors import Exit
from netbuild.render import Progress

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


def test_progress_that_cannot_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with Progress("test") as progress:
            progress.update("evaluation", 1, 2, {"loss": 1.0})
        assert progress.quiet
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, full.fileno())  # else closing it would fail
        os.close(nowhere)
