"""Needs: the files that a spec reads, all of them, and where a copy of it looks for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from conftest import small_spec

import netbuild
from netbuild.language import load
from netbuild.language.needs import files_of


def copied(files: tuple[str, ...], folder: Path, to: Path) -> Path:
    """A copy of the files of a folder, as a cluster's machine has them, without links."""
    for path in files:
        place = to / Path(path).relative_to(os.path.realpath(folder))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    (to / "pyproject.toml").touch()
    return to


def test_a_spec_loads_from_copies_alone(tmp_path: Path) -> None:
    """Of a spec that extends another, whose data lies behind a link."""
    own = tmp_path / "own"
    (own / "base").mkdir(parents=True)
    (own / "disk").mkdir()
    (own / "pyproject.toml").touch()
    small_spec(own / "base")
    (own / "base/data.npz").rename(own / "disk/data.npz")
    (own / "base/here").symlink_to(own / "disk")
    text = (own / "base/small.yaml").read_text().replace("data.npz", "here/data.npz")
    (own / "base/small.yaml").write_text(text)
    (own / "spec.yaml").write_text("netbuild: 1\nextends: base/small.yaml\n")
    (tmp_path / "link").symlink_to(own)
    spec = load(tmp_path / "link/spec.yaml")
    files = files_of(spec)
    assert sorted(os.path.relpath(path, os.path.realpath(own)) for path in files) == [
        "base/here/data.npz",
        "base/small.yaml",
        "disk/data.npz",
        "spec.yaml",
    ]
    to = copied(files, own, tmp_path / "to")
    shutil.rmtree(own)
    assert load(to / "spec.yaml").hash == spec.hash


def test_a_spec_that_starts_from_a_run_needs_its_weights(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "pyproject.toml").touch()
    small_spec(own)
    run = netbuild.train(load(own / "small.yaml"), out=own / "runs")
    for which in ("last", "best"):
        text = (own / "small.yaml").read_text()
        start = f"start_from: {{run: runs/small/latest, checkpoint: {which}}}\n"
        (own / "again.yaml").write_text(text.replace("seed: 3\n", f"seed: 3\n{start}"))
        spec = load(own / "again.yaml")
        to = copied(files_of(spec), own, tmp_path / which)
        assert load(to / "again.yaml").hash == spec.hash
    assert not list((tmp_path / "last").rglob("optimizer.safetensors"))
    assert run.path.is_dir()
