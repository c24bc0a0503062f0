"""Checkpoints: what they hold, how they are written, and every way in which one can be wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from resuming import assert_same, lines

import netbuild
from netbuild.api import resume
from netbuild.builder import build, build_optimizer
from netbuild.durable import digest
from netbuild.errors import Exit, NetbuildError
from netbuild.rundir import NETWORK, OPTIMIZER, STATE, sealed, unsealed
from netbuild.runs.checkpoint import (
    checkpoints,
    initial_tensors,
    load_network,
    open_checkpoint,
    pack,
    prune,
    snapshot,
    unpack,
    write_checkpoint,
)
from netbuild.training import Trainer
from netbuild.training.progress import Progress


def test_a_state_that_is_not_finite_is_not_kept(small: Path, tmp_path: Path) -> None:
    """Gradients of 1e25 are finite, their squares are not."""
    changes = [
        "regularizers=[{name: r, type: FiringRateL2, layers: hidden, Lambda: 1e15}]",
        "task.inputs.divide=1e-7",
        "training.clip_grad_norm=null",
    ]
    spec = netbuild.load(small, changes)
    with pytest.raises(NetbuildError, match=r"the optimizer's `.*exp_avg_sq` holds NaN") as caught:
        netbuild.train(spec, tmp_path)
    assert caught.value.exit_code == Exit.DIVERGED
    assert not [*tmp_path.glob("*/*/checkpoints/*")]


def evaluations(run: netbuild.Run) -> list[dict[str, Any]]:
    """Those of the log, without what tells where they are."""
    found = [line for line in lines(run.path) if line["kind"] == "evaluation"]
    return [{k: v for k, v in line.items() if k not in ("step", "kind")} for line in found]


def test_evaluations_that_an_early_end_may_count_are_kept(small: Path, tmp_path: Path) -> None:
    rule = "training.stop_when={metric: loss, patience: 2}"
    run = netbuild.train(netbuild.load(small, [rule, "training.evaluate.every=2"]), tmp_path)
    seen = evaluations(run)
    assert len(seen) > 3
    state = open_checkpoint(run.checkpoint()).state
    best = min(seen[:-2], key=lambda found: found["loss"])
    assert state.evaluations == [best, *seen[-2:]]


def test_it_is_bound_to_its_run_and_says_where_the_training_stood(run: netbuild.Run) -> None:
    checkpoint = open_checkpoint(run.checkpoint())
    state = checkpoint.state
    assert state.run == run.about["id"]
    assert state.step == 24
    log = (run.path / "metrics.jsonl").read_bytes()
    assert (state.metrics, state.metrics_sha256) == (len(log), digest(log))
    assert state.ended == "finished"
    assert state.evaluations == evaluations(run)[-1:]  # no `stop_when` asks for more
    assert state.optimizer["type"] == "Adam"
    assert {name.rpartition(".")[2] for name in checkpoint.tensors(OPTIMIZER)} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


def test_each_bit_of_each_file_is_guarded(run: netbuild.Run) -> None:
    folder = run.checkpoint()
    for name in (NETWORK, OPTIMIZER, STATE):
        whole = (folder / name).read_bytes()
        for position in range(0, len(whole), 64):
            damaged = bytearray(whole)
            damaged[position + position // 64 % min(64, len(whole) - position)] ^= 1 << (
                position // 64 % 8
            )
            (folder / name).write_bytes(damaged)
            with pytest.raises(NetbuildError) as caught:
                open_checkpoint(folder)
            assert caught.value.exit_code == Exit.RUN
        for sixteenth in range(16):
            (folder / name).write_bytes(whole[: len(whole) * sixteenth // 16])
            with pytest.raises(NetbuildError):
                open_checkpoint(folder)
        (folder / name).write_bytes(whole)
    open_checkpoint(folder)


Change = Callable[[dict[str, Any], dict[str, torch.Tensor], dict[str, torch.Tensor]], object]


def _step(state: dict[str, Any], *_: object) -> None:
    state["step"] = 10**6


HOSTILE: dict[str, Change] = {
    "a step beyond the end": lambda s, n, o: (
        s.update(evaluations=s["evaluations"], start=0) or _end(s)
    ),
    "a negative start": lambda s, n, o: s.update(start=-1),
    "a start after the step": lambda s, n, o: s.update(start=21),
    "a stage that there is not": lambda s, n, o: s.update(stage=4),
    "another end": lambda s, n, o: s.update(ended="never"),
    "evaluations of no kind": lambda s, n, o: s.update(evaluations=[3]),
    "a best that is none": lambda s, n, o: s.update(best={"step": "x"}),
    "a best without a value": lambda s, n, o: s["best"].pop("value"),
    "another run": lambda s, n, o: s.update(run="0" * 32),
    "no place in the log": lambda s, n, o: s.pop("metrics"),
    "a negative place in the log": lambda s, n, o: s.update(metrics=-5),
    "an endless log": lambda s, n, o: s.update(metrics=float("inf")),
    "a digest of the log that is none": lambda s, n, o: s.update(metrics_sha256=7),
    "another optimizer": lambda s, n, o: s["optimizer"].update(type="SGD"),
    "no optimizer": lambda s, n, o: s.update(optimizer=None),
    "groups of others": lambda s, n, o: s["optimizer"]["groups"][0]["params"].reverse(),
    "a tensor more": lambda s, n, o: n.update({"../x": torch.zeros(1)}),
    "a tensor less": lambda s, n, o: n.pop("hidden.bias"),
    "another shape": lambda s, n, o: n.update({"hidden.bias": torch.zeros(3)}),
    "another type": lambda s, n, o: n.update({"hidden.bias": n["hidden.bias"].double()}),
    "NaN": lambda s, n, o: n["readout.bias"].fill_(float("nan")),
    "a weight where there is none": lambda s, n, o: n["hidden.weight"].fill_(0.5),
    "a wrong sign": lambda s, n, o: n["readout.weight"].neg_(),
    "another mask": lambda s, n, o: n["hidden.connected"].fill_(True),
    "a moment less": lambda s, n, o: o.pop("hidden.bias.exp_avg"),
    "a moment more": lambda s, n, o: o.update({"hidden.bias.sum": torch.zeros(12)}),
    "a moment of another shape": lambda s, n, o: o.update({"hidden.bias.exp_avg": torch.zeros(1)}),
    "a moment of nobody": lambda s, n, o: o.update({"nobody.exp_avg": torch.zeros(1)}),
    "a step that is no number": lambda s, n, o: o.update({"hidden.bias.step": torch.zeros(2)}),
}


def _end(state: dict[str, Any]) -> None:
    state["step"] = state["start"] = 10**6


@pytest.mark.parametrize("change", HOSTILE, ids=str)
def test_a_checkpoint_with_right_digests_and_wrong_content_is_not_used(
    cut: Path, whole: Path, change: str
) -> None:
    """Whoever wrote it knows the format; the one before it is used."""
    folder = checkpoints(cut / "checkpoints")[-1]
    state = unsealed((folder / STATE).read_bytes())
    network, optimizer = (
        unpack((folder / name).read_bytes(), name) for name in (NETWORK, OPTIMIZER)
    )
    HOSTILE[change](state, network, optimizer)
    for name, tensors in ((NETWORK, network), (OPTIMIZER, optimizer)):
        data = pack(tensors, {"format": 1, "step": 20})
        (folder / name).write_bytes(data)
        state["sha256"][name] = digest(data)
    (folder / STATE).write_bytes(sealed(state))
    said: list[str] = []
    again = resume(cut, warn=said.append)
    assert len(said) == 1
    assert "is now corrupt-step-00000020-" in said[0]
    assert_same(whole, again)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"[" * 10**5, b"9" * 5000, b"\xff", b'{"a": 1, "digest": "x"}\n']
)
def test_a_state_of_any_bytes_is_refused(run: netbuild.Run, content: bytes) -> None:
    (run.checkpoint() / STATE).write_bytes(content)
    with pytest.raises(NetbuildError, match=r"state\.json is damaged") as caught:
        open_checkpoint(run.checkpoint())
    assert caught.value.exit_code == Exit.RUN


def test_names_that_are_no_checkpoints_are_not_looked_at(run: netbuild.Run) -> None:
    home = run.path / "checkpoints"
    before = checkpoints(home)
    for name in ("step-000000024", "step-24", "step-x", ".step-00000030.01234567.tmp", "tmp-1"):
        shutil.copytree(run.checkpoint(), home / name)
    assert checkpoints(home) == before
    prune(home, 2)
    assert not (home / ".step-00000030.01234567.tmp").exists()


def test_a_checkpoint_under_another_name_is_refused(run: netbuild.Run) -> None:
    home = run.path / "checkpoints"
    shutil.copytree(run.checkpoint(), home / "step-00000099")
    with pytest.raises(NetbuildError, match="says that it is of step 24"):
        open_checkpoint(home / "step-00000099")


def test_a_full_disk_is_told_and_leaves_what_was_there(
    small: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = SimpleNamespace(f_bavail=1 << 30, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: room)

    def watch(record: Any, trainer: Any) -> None:
        room.f_bavail = 1000 if record.step >= 10 and record.kind == "checkpoint" else 1 << 30

    with pytest.raises(NetbuildError, match="bytes free") as caught:
        netbuild.train(small, tmp_path / "cut", watch=lambda r, t: r.step > 10 or watch(r, t))
    assert caught.value.exit_code == Exit.IO
    monkeypatch.undo()
    (path,) = (tmp_path / "cut" / "small").iterdir()
    assert [p.name for p in checkpoints(path / "checkpoints")] == ["step-00000008", "step-00000010"]
    assert_same(whole, resume(path))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_what_the_disk_refuses_is_exit_7(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(NetbuildError, match=os.strerror(code)) as caught:
        netbuild.train(
            small, tmp_path / "cut", watch=lambda r, t: monkeypatch.setattr(os, "fsync", fail)
        )
    assert caught.value.exit_code == Exit.IO
    monkeypatch.undo()
    (path,) = (tmp_path / "cut" / "small").iterdir()
    assert resume(path).about["status"] == "finished"


def test_a_run_that_cannot_begin_leaves_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0, f_frsize=1))
    with pytest.raises(NetbuildError, match="0 bytes free") as caught:
        netbuild.train(small, tmp_path / "runs")
    assert caught.value.exit_code == Exit.IO
    assert not (tmp_path / "runs").exists()
    monkeypatch.undo()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(NetbuildError, match="No space left"):
        netbuild.train(small, tmp_path / "runs")
    monkeypatch.undo()
    assert not list((tmp_path / "runs").glob("*/*"))


def begun_trainer(small: Path) -> tuple[Trainer, dict[str, torch.Tensor]]:
    """A training of three steps, and the parameters that it started from."""
    spec = netbuild.load(small)
    network = build(spec)
    optimizer = build_optimizer(spec.model.training, network)
    initial = {name: p.detach().clone() for name, p in network.named_parameters()}
    return Trainer.of(spec, network, optimizer, progress=Progress(step=3)), initial


def test_writing_twice_is_writing_once(small: Path, tmp_path: Path) -> None:
    trainer, initial = begun_trainer(small)
    files = snapshot(trainer, initial).packed()
    path = write_checkpoint(tmp_path, 3, files)
    times = {p: p.stat().st_mtime_ns for p in path.iterdir()}
    assert write_checkpoint(tmp_path, 3, files) == path
    assert times == {p: p.stat().st_mtime_ns for p in path.iterdir()}
    (path / NETWORK).write_bytes(b"else")
    write_checkpoint(tmp_path, 3, files)
    load_network(trainer.network, unpack((path / NETWORK).read_bytes(), "here"), "here")
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("corrupt-step-00000003")]) == 1


def test_a_state_that_breaks_a_constraint_is_never_packed(small: Path) -> None:
    trainer, initial = begun_trainer(small)
    with torch.no_grad():
        trainer.network.hidden.weight.fill_(1.0)
    with pytest.raises(NetbuildError, match="violate the constraint absent") as caught:
        snapshot(trainer, initial).packed()
    assert caught.value.exit_code == Exit.BUG


def test_a_log_that_says_what_json_cannot_is_still_read(run: netbuild.Run) -> None:
    assert all(json.loads(json.dumps(line)) == line for line in run.metrics)


def test_a_kept_state_is_not_changed_by_later_steps(small: Path) -> None:
    spec = netbuild.load(small)
    network = netbuild.build(spec)
    trainer = Trainer.of(spec, network, build_optimizer(spec.model.training, network))
    trainer._begin_stage()
    initial = initial_tensors(network)
    trainer.take_step(logged=False)
    now = snapshot(trainer, initial)
    kept, files = now.kept(), now.packed()
    trainer.take_step(logged=False)
    assert kept.packed() == files
    assert now.packed() != files
