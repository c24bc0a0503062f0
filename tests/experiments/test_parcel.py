"""Parcels: a copy of a run is brought up to date while the run is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from netbuild.experiments.parcel import Parcel, Stamps, pack, unpack


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a run looks like, with a lock and a checkpoint that is being written."""
    path = tmp_path / "run"
    for step in (10, 20):
        (path / f"checkpoints/step-{step}").mkdir(parents=True)
        (path / f"checkpoints/step-{step}/state.json").write_text(str(step))
    (path / "checkpoints/.step-30.12345678.tmp").mkdir()
    (path / "figures").mkdir()
    (path / "inputs").mkdir()
    (path / "inputs/x.npz").write_bytes(b"x")
    (path / "metrics.jsonl").write_text("1\n")
    (path / "run.json").write_text("{}")
    (path / ".lock").write_text("pid")
    return path


def tree(path: Path) -> dict[str, bytes | None]:
    """Every entry that is not hidden, with the bytes of files."""
    return {
        str(each.relative_to(path)): each.read_bytes() if each.is_file() else None
        for each in path.rglob("*")
        if not any(part.startswith(".") for part in each.relative_to(path).parts)
    }


def test_a_copy_has_everything_but_what_is_hidden(run: Path, tmp_path: Path) -> None:
    unpack(tmp_path / "copy", pack(run, {}))
    assert tree(tmp_path / "copy") == tree(run)
    assert not (tmp_path / "copy" / ".lock").exists()


def test_only_what_has_changed_is_packed_again(run: Path, tmp_path: Path) -> None:
    known: Stamps = {}
    unpack(tmp_path / "copy", pack(run, known))
    assert pack(run, known).files == {}
    shutil.rmtree(run / "checkpoints/step-10")
    (run / "checkpoints/step-30").mkdir()
    (run / "checkpoints/step-30/state.json").write_text("30")
    (run / "metrics.jsonl").write_text("1\n2\n")
    again = pack(run, known)
    assert sorted(again.files) == ["checkpoints/step-30/state.json", "metrics.jsonl"]
    unpack(tmp_path / "copy", again)
    assert tree(tmp_path / "copy") == tree(run)


def test_a_checkpoint_of_another_attempt_is_replaced(run: Path, tmp_path: Path) -> None:
    unpack(tmp_path / "copy", pack(run, {}))
    (run / "checkpoints/step-20/state.json").write_text("twenty")
    unpack(tmp_path / "copy", pack(run, {}))
    assert tree(tmp_path / "copy") == tree(run)


def test_what_makes_it_a_run_is_written_last(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is interrupted anywhere has no `run.json`, or all that belongs to it."""
    from netbuild import durable

    order: list[str] = []
    replace_file, write_folder = durable.replace_file, durable.write_folder
    monkeypatch.setattr(
        durable, "replace_file", lambda p, *a, **k: (order.append(p.name), replace_file(p, *a, **k))
    )
    monkeypatch.setattr(
        durable, "write_folder", lambda p, *a, **k: (order.append(p.name), write_folder(p, *a, **k))
    )
    unpack(tmp_path / "copy", pack(run, {}))
    assert order == ["metrics.jsonl", "step-10", "step-20", "x.npz", "run.json"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/inputs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="link"):
        unpack(tmp_path / "copy", Parcel({"inputs/x": b"x"}, ("inputs/", "inputs/x")))
    assert list((tmp_path / "elsewhere").iterdir()) == []
