"""A run directory during training: what is written, and what an error leaves."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.runs.checkpoint import checkpoints
from netbuild.runs.writer import RunWriter, json_bytes, reopen


def test_a_task_that_fails_leaves_a_run_that_says_so(small: Path, tmp_path: Path) -> None:
    class Broken:
        def batch(self, step: int, size: int, rng: object) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.zeros(size, 5), torch.zeros(size)

    with pytest.raises(TypeError, match=r"must return a netbuild\.tasks\.Batch"):
        netbuild.train(small, tmp_path / "runs", task=Broken())
    (path,) = (tmp_path / "runs" / "small").iterdir()
    about = json.loads((path / "run.json").read_text())
    assert about["status"] == "failed"
    assert "TypeError" in about["error"]


def test_old_checkpoints_go_by_step(run: netbuild.Run) -> None:
    found = checkpoints(run.path / "checkpoints")
    assert [path.name for path in found] == ["step-00000020", "step-00000024"]


def test_a_log_that_the_disk_failed_to_take_is_written_again(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for the same file again would tell nothing: a failure is told once."""
    log = run.path / "metrics.jsonl"
    before, data, asked = log.stat().st_ino, log.read_bytes(), []
    writer = RunWriter(
        run.path, run.info, -1, {}, logged=len(data), logged_hash=hashlib.sha256(data)
    )

    def fails(descriptor: int) -> None:
        asked.append(os.fstat(descriptor).st_ino)
        if asked == [before]:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    writer.sync_log()
    assert (log.read_bytes(), asked.count(before)) == (data, 1)
    assert log.stat().st_ino in asked[1:]
    writer.logged_hash = hashlib.sha256(b"what is no longer there")
    asked.clear()
    before = log.stat().st_ino
    with pytest.raises(OSError, match="Input/output error"):
        writer.sync_log()


def test_the_log_is_continued_where_it_was_cut(run: netbuild.Run) -> None:
    log = run.path / "metrics.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:2])
    writer = RunWriter(run.path, run.info, -1, {})
    writer.rewind(len(kept))
    writer.log("train", 11, {"loss": float("nan")})
    data = log.read_bytes()
    assert data == kept + b'{"kind":"train","loss":null,"step":11}\n'
    assert (writer.logged, writer.logged_hash.digest()) == (
        len(data),
        hashlib.sha256(data).digest(),
    )


def test_a_run_is_locked_until_its_writer_is_closed(run: netbuild.Run) -> None:
    writer = reopen(run.path)
    with pytest.raises(NetbuildError, match=r"is in use by process \d+") as caught:
        reopen(run.path)
    assert caught.value.exit_code == Exit.LOCKED
    writer.close()
    writer.close()  # which changes nothing
    reopen(run.path).close()


def test_json_of_a_run_is_text_whatever_its_numbers_and_names() -> None:
    data = {"loss": float("inf"), "name": "é", "path": "\udcff"}
    assert json.loads(json_bytes(data)) == data | {"loss": None}
