"""A fork: a new run from the newest weights of another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import begun, contents, killed_at, last_state, stopped_at

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.runs.checkpoint import checkpoints
from netbuild.runs.provenance import changed
from netbuild.runs.schema import Sources


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
    new = netbuild.fork(run, home / "runs", data_root=tmp_path)
    assert new.about["status"] == "finished"


def test_a_fork_starts_from_the_old_weights_with_the_spec_as_it_is(
    small: Path, tmp_path: Path
) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    old = netbuild.open_run(run)
    small.write_text(small.read_text().replace("lr: 1e-2", "lr: 1e-4"))
    new = netbuild.fork(run, tmp_path / "runs")
    assert new.path.parent == run.parent
    assert new.spec.model.training.optimizer.lr == 1e-4
    assert torch.equal(new.initial["hidden.weight"], old.weights("hidden"))
    assert last_state(new.path)["step"] == 24


def test_a_fork_passes_over_a_damaged_checkpoint(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "runs", killed_at(24))
    older, newer = checkpoints(run / "checkpoints")
    (newer / "network.safetensors").write_bytes(b"else")
    with pytest.warns(RuntimeWarning, match=rf"{newer.name}.*; the one before is used"):
        new = netbuild.fork(run, tmp_path / "runs")
    weights = netbuild.open_run(run, verify=False).network(checkpoint=int(older.name[5:]))
    assert torch.equal(new.initial["hidden.weight"], weights.hidden.weight)
    for path in (older, newer):
        (path / "state.json").write_bytes(b"")
    with (
        pytest.warns(RuntimeWarning, match="the one before is used"),
        pytest.raises(NetbuildError, match=rf"{newer.name} is not a whole checkpoint") as caught,
    ):
        netbuild.fork(run, tmp_path / "runs")
    assert caught.value.exit_code == Exit.RUN


def test_a_fork_of_a_fork_needs_nothing_of_the_first_run(small: Path, tmp_path: Path) -> None:
    first = begun(small, tmp_path / "runs", stopped_at(10))
    second = netbuild.fork(first, tmp_path / "runs")
    shutil.rmtree(first)
    third = netbuild.fork(second.path, tmp_path / "runs")
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


def test_a_data_root_is_named_again(small: Path, tmp_path: Path, cli: Any) -> None:
    """What a `run.json` says of it would let a run from anybody read any file."""
    home, data = tmp_path / "project", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (home / ".git").mkdir()  # a project ends here
    shutil.move(tmp_path / "data.npz", data / "data.npz")
    text = small.read_text().replace("file: data.npz", "file: ../data/data.npz")
    (home / "small.yaml").write_text(text)
    run = begun(
        netbuild.load(home / "small.yaml", data_root=tmp_path), home / "runs", stopped_at(10)
    )
    before = sorted(run.parent.iterdir())
    found = cli("resume", run, "--fork", "--quiet")
    assert found.code == Exit.USAGE
    assert f"--data-root {tmp_path}" in found.err
    assert sorted(run.parent.iterdir()) == before
    (data / "data.npz").write_bytes((data / "data.npz").read_bytes() + b"changed")
    found = cli("resume", run, "--quiet", "--data-root", tmp_path)
    assert (found.code, "data.npz has changed" in found.err) == (Exit.RUN, True)
    found = cli("resume", run, "--quiet")  # which does not look there, and says so
    assert (found.code, found.err.count(f"--data-root {tmp_path}")) == (0, 1)


def test_a_run_cannot_say_where_files_are_read(small: Path, tmp_path: Path, cli: Any) -> None:
    """Neither its data root nor its spec leads out of the folder that it was put into."""
    run = begun(small, tmp_path / "runs", stopped_at(10))
    secret, received = tmp_path / "secret.csv", tmp_path / "downloads" / "received"
    secret.write_text("1,2,3,4,5\n" * 60)
    shutil.copytree(run, received)
    shutil.copy(tmp_path / "data.npz", received)
    text = small.read_text().replace("  file: data.npz\n", "")
    text = text.replace("{array: x, divide: 2}", "{file: ../../secret.csv, divide: 2}")
    text = text.replace("targets: y", "targets: {file: data.npz, array: y}")
    (received / "spec.yaml").write_text(text)
    out = tmp_path / "out"
    for said, code in (
        ({"spec": "spec.yaml", "data_root": "../../../../../..", "files": {}}, Exit.USAGE),
        ({"spec": "spec.yaml", "data_root": None, "files": {}}, Exit.DATA),
        ({"spec": "../../small.yaml", "data_root": None, "files": {}}, Exit.RUN),
    ):
        about = json.loads((received / "run.json").read_text()) | {"sources": said}
        (received / "run.json").write_text(json.dumps(about))
        found = cli("resume", received, "--fork", "--quiet", "--out", out)
        assert found.code == code, found.err
        assert not out.exists()


def test_files_that_a_run_names_elsewhere_are_not_read(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    received, secret = tmp_path / "downloads" / "received", tmp_path / "secret"
    secret.write_text("somebody's own")
    shutil.copytree(run, received)
    files = {"../../secret": "0" * 64, "../../../../../../../etc/passwd": "0" * 64}
    about = json.loads((received / "run.json").read_text())
    (received / "run.json").write_text(json.dumps(about | {"sources": {"files": files}}))
    found, unread = changed(received, Sources(files=files))
    assert (found, unread[0]) == ([], secret)
    (other,), _ = changed(received, Sources(files=files), tmp_path)
    assert other.file == secret
    with pytest.warns(RuntimeWarning, match=rf"{secret} was modified after the start"):
        assert netbuild.resume(received).about["status"] == "finished"


def test_a_link_in_a_run_is_not_followed_to_a_spec(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    (run / "spec.yaml").unlink()
    (run / "spec.yaml").symlink_to(small)
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"sources": {"spec": "spec.yaml"}}))
    with pytest.raises(NetbuildError, match="is a symbolic link, and not a file") as caught:
        netbuild.fork(run, tmp_path / "out")
    assert caught.value.exit_code == Exit.RUN


@pytest.mark.parametrize(
    "name", ['a"b, params: [x]', "tab\tnew\nline", "\x1b[31mred", "not \udcff utf-8", "{a: *b}"]
)
def test_a_run_may_lie_below_any_name(small: Path, tmp_path: Path, cli: Any, name: str) -> None:
    """The path of a run is data, and no part of a text that is parsed."""
    run = begun(small, tmp_path / "runs", stopped_at(10))
    home = tmp_path / name
    shutil.copytree(run, home / "small" / "received")
    args = ("--fork", "--quiet", "--spec", small, "--set", "start_from.params=hidden.*")
    found = cli("resume", home / "small" / "received", *args)
    assert found.code == 0, found.err
    (new,) = [path for path in (home / "small").iterdir() if path.name != "received"]
    opened = netbuild.open_run(new)
    start = opened.spec.model.start_from
    assert start is not None
    assert start.params == ["hidden.*"]
    old = netbuild.open_run(run)
    assert torch.equal(opened.initial["hidden.weight"], old.weights("hidden"))
    assert cli("resume", new, "--fork", "--quiet", "--spec", small).code == 0


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


@pytest.mark.parametrize("change", [{"format": 3}, {"seed": "damaged"}])
def test_a_run_to_resume_that_cannot_be_read_is_refused_and_not_begun_again(
    small: Path, tmp_path: Path, cli: Any, change: dict[str, Any]
) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10))
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | change))
    assert cli("train", small, "--out", tmp_path / "runs", "--resume").code == Exit.RUN
    assert list((tmp_path / "runs").glob("*/*/run.json")) == [path / "run.json"]
