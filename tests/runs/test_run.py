"""The run directory: its layout, what it proves, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from safetensors import safe_open

import netbuild
from netbuild.errors import Exit, NetbuildError
from netbuild.runs import run as run_module
from netbuild.runs.checkpoint import open_checkpoint
from netbuild.runs.log import NotNowError
from netbuild.tasks import Batch


def test_layout(run: netbuild.Run, small: Path) -> None:
    files = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    inputs = {name for name in files if name.startswith("inputs/")}
    assert len(inputs) == 1
    assert files - inputs == {
        *(".lock", "spec.yaml", "resolved.yaml", "run.json", "metrics.jsonl", "specs.json"),
        "initial.safetensors",
        *(
            f"checkpoints/step-000000{step}/{name}"
            for step in (20, 24)
            for name in ("network.safetensors", "optimizer.safetensors", "state.json")
        ),
        "evaluation/trials.parquet",
    }
    assert (run.path / "spec.yaml").read_bytes() == small.read_bytes()
    assert run.path.parent.name == "small"
    assert run.about["status"] == "finished"
    assert run.about["step"] == 24
    assert run.about["environment"]["packages"]["torch"] == torch.__version__


def test_an_evaluation_in_which_nothing_counts_has_no_score(small: Path, tmp_path: Path) -> None:
    """It is no loss of 0, which would end the training."""

    class Masked:
        def batch(self, step: int, size: int, rng: Any) -> Batch:
            return Batch(torch.ones(size, 5), torch.zeros(size, dtype=torch.long))

        def evaluation(self) -> Batch:
            return self.batch(0, 4, None)._replace(loss_mask=torch.zeros(4))

        validation = evaluation

    small.write_text(small.read_text() + "  stop_when: {metric: loss, at_most: 0.5}\n")
    run = netbuild.train(small, tmp_path / "runs", task=Masked())
    assert run.about["status"] == "finished"
    assert run.final["loss"] is None
    assert run.final["accuracy"] is None
    assert run.best == {}
    assert [line["step"] for line in run.metrics if line["kind"] == "evaluation"] == [8, 16, 24]


def test_metrics_are_lines_without_gap(run: netbuild.Run) -> None:
    assert [line["step"] for line in run.metrics if line["kind"] == "train"] == [10, 20, 24]
    assert [line["step"] for line in run.metrics if line["kind"] == "evaluation"] == [8, 16, 24]
    assert run.final["accuracy"] == run.about["accuracy"]


def test_a_run_stands_alone_wherever_it_is_copied(run: netbuild.Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "copy"
    shutil.copytree(run.path, elsewhere)
    shutil.rmtree(run.path)
    (tmp_path / "data.npz").unlink()
    copy = netbuild.open_run(elsewhere)
    assert torch.equal(copy.weights("hidden"), copy.network().hidden.weight)
    assert copy.final["step"] == 24
    text = (elsewhere / "resolved.yaml").read_text()
    assert str(tmp_path) not in text


def test_what_trained_once_trains_again(run: netbuild.Run, small: Path, tmp_path: Path) -> None:
    again = netbuild.train(run.path / "resolved.yaml", tmp_path / "again")
    for name in ("network.safetensors", "optimizer.safetensors"):
        assert (run.checkpoint() / name).read_bytes() == (again.checkpoint() / name).read_bytes()

    def without_clock(found: netbuild.Run) -> list[dict[str, object]]:
        return [
            {k: v for k, v in line.items() if k != "steps_per_second"} for line in found.metrics
        ]

    assert without_clock(run) == without_clock(again)


def test_safetensors_hold_masks_and_one_key_of_metadata(run: netbuild.Run) -> None:
    with safe_open(run.checkpoint() / "network.safetensors", "pt") as file:
        assert list(file.metadata()) == ["netbuild"]
        about = json.loads(file.metadata()["netbuild"])
        (split,) = about.pop("trained_on")
        assert about == {"format": 1, "step": 24}
        assert (split["samples"], split["trained"], split["seed"]) == (60, 48, 3)
        assert {"hidden.weight", "hidden.connected", "readout.sign", "readout.plasticity"} <= set(
            file.keys()
        )


def test_effective_weights_are_saved_beside_raw_ones(small: Path, tmp_path: Path) -> None:
    spec = netbuild.load(small, ["layers[readout].dale=abs"])
    run = netbuild.train(spec, tmp_path / "runs")
    with safe_open(run.checkpoint() / "network.safetensors", "pt") as file:
        raw, used = file.get_tensor("readout.weight"), file.get_tensor("readout.effective_weight")
    assert (raw < 0).any()
    assert torch.equal(used, raw.abs() * torch.tensor([1.0] * 9 + [-1.0] * 3))
    assert torch.equal(run.weights("readout"), used)


def test_trials_table_has_a_row_a_test_sample(run: netbuild.Run) -> None:
    table = polars.read_parquet(run.path / "evaluation" / "trials.parquet")
    assert table.columns == ["sample", "target", "choice", "correct"]
    assert len(table) == 12
    assert table["correct"].mean() == pytest.approx(run.final["accuracy"])


def test_a_flipped_bit_is_detected(run: netbuild.Run) -> None:
    file = run.checkpoint() / "network.safetensors"
    data = bytearray(file.read_bytes())
    for position in (4, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(NetbuildError, match="does not match its recorded digest") as caught:
            netbuild.open_run(run.path)
        assert caught.value.exit_code == Exit.RUN
    file.write_bytes(data)
    netbuild.open_run(run.path)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("run.json", b"", "cannot be read"),
        ("run.json", b'{"format": 9}', "newer version"),
        ("run.json", None, r"no run\.json"),
        ("checkpoints/step-00000024/state.json", b"{", "not a whole checkpoint"),
        ("checkpoints/step-00000024/optimizer.safetensors", None, "not a whole checkpoint"),
    ],
)
def test_a_damaged_run_is_refused(
    run: netbuild.Run, name: str, spoil: bytes | None, message: str
) -> None:
    if spoil is None:
        (run.path / name).unlink()
    else:
        (run.path / name).write_bytes(spoil)
    with pytest.raises(NetbuildError, match=message) as caught:
        netbuild.open_run(run.path)
    assert caught.value.exit_code == Exit.RUN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("id", "name", "status", "initial_sha256", "environment")),
        *((name, 3) for name in ("overrides", "unset", "inputs", "sources", "task_widths")),
        *(("overrides", [1]), ("unset", "seed"), ("inputs", {"x": 1}), ("environment", {})),
        *(("sources", {"files": {"a": 1}}), ("step", "24"), ("resumed", {}), ("own_task", 1)),
    ],
)
def test_what_a_run_says_of_itself_has_its_types(
    run: netbuild.Run, name: str, value: object
) -> None:
    path = run.path / "run.json"
    path.write_text(json.dumps(run.about | {name: value}))
    for action in (netbuild.open_run, netbuild.resume, netbuild.reproduce):
        with pytest.raises(NetbuildError, match=f"damaged: see `{name}`") as caught:
            action(run.path)
        assert caught.value.exit_code == Exit.RUN
    path.write_text(json.dumps({k: v for k, v in run.about.items() if k != "id"}))
    with pytest.raises(NetbuildError, match="damaged: see `id`"):
        netbuild.open_run(run.path)


def test_what_is_no_file_is_not_waited_for(run: netbuild.Run) -> None:
    for name in ("initial.safetensors", "metrics.jsonl"):
        (run.path / name).unlink()
        os.mkfifo(run.path / name)
    with pytest.raises(NetbuildError, match=r"initial.safetensors is a FIFO, and not a file"):
        _ = netbuild.Run(run.path).initial
    with pytest.raises(NetbuildError, match=r"metrics.jsonl is a FIFO, and not a file"):
        _ = run.metrics


def test_weights_that_break_a_constraint_are_never_saved(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.layers import Network

    monkeypatch.setattr(Network, "attach", lambda self, optimizer: None)
    with pytest.raises(NetbuildError, match="violate the constraint") as caught:
        netbuild.train(small, tmp_path / "runs")
    assert caught.value.exit_code == Exit.BUG
    assert not list((tmp_path / "runs").rglob("step-*"))


def test_a_run_opens_whatever_the_start_would_be_today(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another processor or torch draws another start; the saved one is what counts."""
    from netbuild.layers import start

    monkeypatch.setattr(start, "draw", lambda scheme, shape, *_, **__: torch.full(shape, 0.5))
    assert torch.equal(netbuild.open_run(run.path).weights("hidden"), run.weights("hidden"))


def test_a_checkpoint_that_goes_while_it_is_read_makes_way_for_the_newest(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where the run is still trained: a reader lists, and then the trainer prunes."""
    found = run.checkpoint()
    newer = found.with_name("step-00000025")
    monkeypatch.setattr(
        netbuild.Run, "checkpoint", lambda self, which: newer if newer.exists() else found
    )
    newer.mkdir()
    opened = []

    def pruned(path: Path) -> Any:
        opened.append(path)
        if newer.exists():
            newer.rmdir()
        return open_checkpoint(path)

    monkeypatch.setattr(run_module, "open_checkpoint", pruned)
    assert run.saved().step == 24
    assert opened == [newer, found]


@pytest.mark.parametrize("target", ["nowhere", "step-00000100"])
def test_a_checkpoint_that_leads_nowhere_is_an_error(
    run: netbuild.Run, target: str, tmp_path: Path
) -> None:
    (run.path / "checkpoints" / "step-00000100").symlink_to(target)
    with pytest.raises(NetbuildError, match="step-00000100 is a symbolic link, and not a folder"):
        run.saved()


def test_a_checkpoint_that_the_disk_refuses_is_no_reason_to_look_again(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> Any:
        raise NotNowError(f"{path} cannot be read: Permission denied", Exit.IO)

    monkeypatch.setattr(run_module, "open_checkpoint", refused)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # as it says then
    with pytest.raises(NotNowError, match="Permission denied"):
        run.saved()


def test_a_bug_of_ours_is_no_damage_of_the_run(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(run_module, "load", broken)
    with pytest.raises(KeyError, match="planted"):
        _ = netbuild.Run(run.path).spec
