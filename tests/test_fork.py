"""A fork: a new run from the newest weights of another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import begun, contents, killed_at, last_state, stopped_at

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.training.checkpoint import checkpoints


def test_a_fork_finds_the_data_where_the_run_did(small: Path, tmp_path: Path) -> None:
    home, data = tmp_path / "project", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (home / ".git").mkdir()  # a project ends here
    shutil.move(tmp_path / "data.npz", data / "data.npz")
    text = small.read_text().replace("file: data.npz", "file: ../data/data.npz")
    (home / "small.yaml").write_text(text)
    spec = netbuild.load(home / "small.yaml", data_root=tmp_path)
    run = begun(spec, home / "runs", stopped_at(10))
    assert netbuild.fork(run, home / "runs").about["status"] == "finished"


def test_a_fork_starts_from_the_old_weights_with_the_spec_as_it_is(
    small: Path, tmp_path: Path
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(10))
    old = netbuild.open_run(run)
    small.write_text(small.read_text().replace("lr: 1e-2", "lr: 1e-4"))
    new = netbuild.fork(run, tmp_path / "cut")
    assert new.path.parent == run.parent
    assert new.spec.model.training.optimizer.lr == 1e-4
    assert torch.equal(new.initial["hidden.weight"], old.weights("hidden"))
    assert last_state(new.path)["step"] == 24


def test_a_fork_passes_over_a_damaged_checkpoint(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "cut", killed_at(24))
    older, newer = checkpoints(run / "checkpoints")
    (newer / "network.safetensors").write_bytes(b"else")
    with pytest.warns(RuntimeWarning, match=rf"{newer.name}.*; the one before is used"):
        new = netbuild.fork(run, tmp_path / "cut")
    weights = netbuild.open_run(run, verify=False).network(checkpoint=int(older.name[5:]))
    assert torch.equal(new.initial["hidden.weight"], weights.hidden.weight)
    for path in (older, newer):
        (path / "state.json").write_bytes(b"")
    with (
        pytest.warns(RuntimeWarning, match="the one before is used"),
        pytest.raises(NetbuildError, match=rf"{newer.name} is not a whole checkpoint") as caught,
    ):
        netbuild.fork(run, tmp_path / "cut")
    assert caught.value.exit_code == Exit.RUN


def test_a_fork_of_a_fork_needs_nothing_of_the_first_run(small: Path, tmp_path: Path) -> None:
    first = begun(small, tmp_path / "cut", stopped_at(10))
    second = netbuild.fork(first, tmp_path / "cut")
    shutil.rmtree(first)
    third = netbuild.fork(second.path, tmp_path / "cut")
    assert torch.equal(third.initial["hidden.weight"], second.weights("hidden"))


def test_a_fork_starts_from_the_run_whatever_the_spec_says_of_a_start(
    small: Path, tmp_path: Path
) -> None:
    first = begun(small, tmp_path / "runs", stopped_at(10))
    again = tmp_path / "again.yaml"
    words = f"start_from: {{run: runs/small/{first.name}, params: hidden.weight}}\n"
    again.write_text(small.read_text().replace("name: small", "name: again") + words)
    run = netbuild.train(netbuild.load(again, unset=["start_from"]), tmp_path / "runs")
    new = netbuild.fork(run.path, tmp_path / "runs")
    assert torch.equal(new.initial["readout.weight"], run.weights("readout"))
    assert new.about["inputs"]["start_from.run"]["file"].startswith("runs/again/")


def test_a_fork_lies_beside_its_run_from_any_folder(
    small: Path, tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    before = contents(run)
    link = tmp_path / "a link"
    link.symlink_to(run)
    for place, name in ((run, "."), (run.parent, run.name), (tmp_path, link)):
        monkeypatch.chdir(place)
        assert cli("resume", name, "--fork", "--quiet").code == 0
    assert contents(run) == before
    assert len([*run.parent.iterdir()]) == 4
    assert [*(tmp_path / "runs").iterdir()] == [run.parent]


def test_where_a_fork_is_written_may_be_said(
    small: Path, tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    assert cli("resume", run, "--fork", "--out", tmp_path / "other").code == 0
    assert len([*(tmp_path / "other" / "small").iterdir()]) == 1
    copy = tmp_path / "away" / "copy"
    shutil.copytree(run, copy)
    monkeypatch.chdir(copy.parent)
    assert cli("resume", "copy", "--fork", "--spec", small).code == 0
    assert len([*(copy.parent / "runs" / "small").iterdir()]) == 1
    assert cli("resume", run, "--out", tmp_path / "other").code == Exit.USAGE


def test_overrides_of_a_fork_replace_those_of_the_run(small: Path, tmp_path: Path) -> None:
    changes = ["training.optimizer.lr=0.5", "training.steps=10", "seed=4"]
    spec = netbuild.load(small, changes, unset=["training.clip_grad_norm"])
    run = netbuild.train(spec, tmp_path / "runs").path
    section = "training={steps: 5, batch_size: 4, clip_grad_norm: 2}"
    new = netbuild.fork(run, tmp_path / "runs", set=[section])
    assert new.spec.model.training.steps == 5
    assert new.spec.model.training.clip_grad_norm == 2
    assert new.spec.model.seed == 4
    again = netbuild.fork(run, tmp_path / "runs", set=["training.clip_grad_norm=3"])
    assert again.spec.model.training.clip_grad_norm == 3
    assert again.spec.model.training.optimizer.lr == 0.5
