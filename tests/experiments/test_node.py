"""Nodes: a job is trained in a folder that has nothing but what was sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import small_spec

from netbuild.experiments.job import Job, Outcome
from netbuild.experiments.node import PREFIX, Node
from netbuild.experiments.parcel import Parcel, pack, unpack
from netbuild.language import load
from netbuild.language.needs import files_of

ARGV = ["netbuild", "sweep", "try.yaml"]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", sys.argv)
    (tmp_path / f"{PREFIX}killed").mkdir()
    (tmp_path / f"{PREFIX}killed/.lock").touch()
    found = Node(ARGV, {"OMP_NUM_THREADS": "1"})
    yield found
    found.close()
    assert list(tmp_path.glob(f"{PREFIX}*")) == []  # neither its own nor that of a killed one


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of 24 steps, the files of which lie in a folder of their own."""
    (tmp_path / "own").mkdir()
    spec = load(small_spec(tmp_path / "own"))
    git = ("c" * 40, "a patch\n")
    files = files_of(spec)
    return Job(spec.hash, "p/small.yaml", (), (), None, "e/runs", None, files, git)


def trained(node: Node, job: Job, run: Parcel | None, copy: Path) -> Outcome:
    """Train a job to its end, with a copy of its run."""
    files = {f"p/{Path(path).name}": Path(path).read_bytes() for path in job.files}
    news = node.begin(json.dumps(job.to_data()), run, list(files), *files.values())
    while not news.outcome:
        if news.run is not None:
            unpack(copy, news.run)
        news = node.news(1.0)
    assert news.run is not None
    unpack(copy, news.run)
    return Outcome(**json.loads(news.outcome))


def test_a_run_is_resumed_from_its_copy_to_the_same_bits(
    node: Node, job: Job, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert trained(node, replace(job, until=10), None, copy) == Outcome("interrupted")
    about = json.loads((copy / "run.json").read_text())
    assert about["environment"]["argv"] == ARGV
    assert about["git"] == {"commit": "c" * 40, "changed": True}
    assert (copy / "git.diff").read_text() == "a patch\n"
    assert set(about["sources"]["files"]) == {
        "../../../p/small.yaml",
        "../../../p/data.npz",
    }
    assert trained(node, job, pack(copy, {}), copy) == Outcome("finished")
    assert [each["step"] for each in json.loads((copy / "run.json").read_text())["resumed"]] == [10]
    assert trained(node, job, None, tmp_path / "whole") == Outcome("finished")
    for name in ("network.safetensors", "optimizer.safetensors"):
        one, other = (p / "checkpoints/step-00000024" / name for p in (copy, tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_what_changed_since_the_sweep_began_is_a_failure(
    node: Node, job: Job, tmp_path: Path
) -> None:
    files = {f"p/{Path(path).name}": Path(path).read_bytes() for path in job.files}
    files["p/small.yaml"] += b"\ndt: 2\n"
    news = node.begin(json.dumps(job.to_data()), None, list(files), *files.values())
    log = news.log
    while not news.outcome:
        news = node.news(1.0)
        log += news.log
    outcome = Outcome(**json.loads(news.outcome))
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    assert log.startswith(b"failed, exit code 3: ")
    assert news.run is None
