"""Systems that lack what Linux has: the commands start, and a small training runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import netbuild
from netbuild import system

# Removes what macOS or Windows lack, before anything of netbuild is loaded.
LACKING = """
import os, select, signal, sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC"):
    delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP"):
    delattr(signal, name)
del select.poll
import ctypes
class CDLL(ctypes.CDLL):
    def __init__(self, name, *rest, **more):
        if name is None:
            raise OSError("a program cannot be opened as a library")
        super().__init__(name, *rest, **more)
ctypes.CDLL = CDLL
from netbuild.cli import main
main()
"""


def lacking(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LACKING, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_system_that_lacks_locks_signals_and_flags_trains(small: Path) -> None:
    folder = small.parent
    split = "targets: y\n  split: {train: 0.8, validation: 0.1}"  # else a warning stands on stderr
    small.write_text(small.read_text().replace("targets: y", split))
    for words in (
        ["--help"],
        ["validate", small.name],
        ["build", small.name, "-o", "n.safetensors"],
    ):
        done = lacking(folder, *words)
        assert (done.returncode, done.stderr) == (0, "")
    done = lacking(folder, "train", small.name, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = (folder / "runs" / "small").iterdir()
    assert netbuild.open_run(run).about["status"] == "finished"
    assert json.loads(lacking(folder, "runs", "--format", "json").stdout)[0]["status"] == "finished"
    done = lacking(folder, "train", small.name, "--resume", "--again", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((folder / "runs" / "small").glob("*/run.json"))) == 2


def test_the_cores_at_hand_are_those_of_the_process() -> None:
    assert 1 <= system.cores() <= system.machine_cores()
    assert system.cores() == len(os.sched_getaffinity(0))


def test_the_package_is_the_program(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "netbuild", "validate", str(small)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, f"{small}: ok\n")
