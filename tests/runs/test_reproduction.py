"""A run done again: the same bits, or the first place where they are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import begun, killed_at, stopped_at

import netbuild
from netbuild import durable
from netbuild.durable import digest
from netbuild.errors import Exit, NetbuildError
from netbuild.runs import reproduction
from netbuild.runs.checkpoint import checkpoints, pack, unpack
from netbuild.runs.log import NotNowError


def test_a_run_is_the_same_again(run: netbuild.Run) -> None:
    found = netbuild.reproduce(run.path)
    assert found.same, found.difference
    count = len(checkpoints(run.path / "checkpoints"))
    assert (found.steps, found.checkpoints, found.lines) == (24, count, 6)


@pytest.mark.parametrize("cut", [stopped_at(16), killed_at(20)])
def test_a_run_that_was_cut_is_the_same_as_far_as_it_goes(
    small: Path, tmp_path: Path, cut: Any
) -> None:
    path = begun(small, tmp_path / "runs", cut)
    found = netbuild.reproduce(path)
    assert found.same, found.difference
    assert netbuild.reproduce(netbuild.resume(path).path).same


def test_stages_too(small: Path, tmp_path: Path) -> None:
    stages = (
        "training.stages=[{name: a, steps: 7}, {name: b, steps: 9, set: {task.inputs.divide: 3}}]"
    )
    run = netbuild.train(netbuild.load(small, [stages], unset=["training.steps"]), tmp_path)
    assert netbuild.reproduce(run.path).same
    assert run.about["step"] == 16


def test_a_line_that_differs_is_named(run: netbuild.Run) -> None:
    file = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["loss"] += 1e-9
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = netbuild.reproduce(run.path)
    assert not found.same
    assert found.difference.startswith(f"{lines[2]['kind']} line of step {lines[2]['step']}: loss ")
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[:1]))
    assert "the log has no" in netbuild.reproduce(run.path).difference


@pytest.mark.parametrize("name", ["network.safetensors", "optimizer.safetensors"])
def test_a_bit_of_a_checkpoint_that_differs_is_named(run: netbuild.Run, name: str) -> None:
    """Even where whoever changed it has written new digests down."""
    from netbuild.rundir import sealed, unsealed

    folder = checkpoints(run.path / "checkpoints")[0]
    tensors = unpack((folder / name).read_bytes(), name)
    key = next(each for each in sorted(tensors) if tensors[each].dtype == torch.float32)
    key = "hidden.bias" if name.startswith("network") else "hidden.bias.exp_avg"
    tensors[key].view(torch.int32)[0] ^= 1
    data = pack(tensors, {"format": 1, "step": int(folder.name[5:])})
    (folder / name).write_bytes(data)
    state = unsealed((folder / "state.json").read_bytes())
    state["sha256"][name] = digest(data)
    (folder / "state.json").write_bytes(sealed(state))
    found = netbuild.reproduce(run.path)
    assert found.difference == f"the checkpoint of step {int(folder.name[5:])}: `{key}` in {name}"


def test_another_start_is_told(run: netbuild.Run) -> None:
    path = run.path / "initial.safetensors"
    tensors = unpack(path.read_bytes(), "initial")
    tensors["hidden.bias"] += 0.5
    data = pack(tensors, {"format": 1, "step": 0})
    path.write_bytes(data)
    rewrite(run.path / "run.json", lambda about: about.update(initial_sha256=digest(data)))
    found = netbuild.reproduce(run.path)
    assert found.difference == "the initial weights differ, in `hidden.bias` first"


def test_nothing_is_written(run: netbuild.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.path.parent.rglob("*")}
    monkeypatch.setattr(durable, "replace_file", None)
    assert netbuild.reproduce(run.path).same
    assert before == {p: p.stat().st_mtime_ns for p in run.path.parent.rglob("*")}


def test_a_damaged_run_is_not_compared(run: netbuild.Run) -> None:
    (run.path / "resolved.yaml").write_text((run.path / "resolved.yaml").read_text() + "# x\n")
    with pytest.raises(NetbuildError, match="recorded digest") as caught:
        netbuild.reproduce(run.path)
    assert caught.value.exit_code == Exit.RUN


def rewrite(path: Path, change: Any) -> None:
    """Change a file of JSON, as somebody would who knows how a checkpoint is sealed."""
    from netbuild.rundir import sealed

    data = json.loads(path.read_text())
    change(data)
    data.pop("digest", None)
    path.write_bytes(sealed(data) if path.name == "state.json" else json.dumps(data).encode())


def newest_state(run: Path) -> Path:
    return checkpoints(run / "checkpoints")[-1] / "state.json"


FORGED = {
    "run.json: accuracy": lambda run: rewrite(
        run / "run.json", lambda about: about.update(accuracy=0.999)
    ),
    "run.json: best": lambda run: rewrite(
        run / "run.json", lambda about: about["best"].update(value=0.999)
    ),
    "run.json: status": lambda run: rewrite(
        run / "run.json", lambda about: about.update(status="stopped early")
    ),
    "the checkpoint of step 24: `best` in state.json": lambda run: rewrite(
        newest_state(run), lambda state: state["best"].update(value=0.999)
    ),
    "the checkpoint of step 24: `evaluations` in state.json": lambda run: rewrite(
        newest_state(run), lambda state: state["evaluations"][-1].update(loss=0.001)
    ),
    "the checkpoint of step 24: `optimizer` in state.json": lambda run: rewrite(
        newest_state(run), lambda state: state["optimizer"]["groups"][0].update(lr=0.1)
    ),
    "the answers in evaluation/trials.parquet": lambda run: (
        run / "evaluation" / "trials.parquet"
    ).write_bytes(b"PAR1"),
    "there is no evaluation/trials.parquet": lambda run: (
        run / "evaluation" / "trials.parquet"
    ).unlink(),
}


@pytest.mark.parametrize("difference", FORGED)
def test_what_was_forged_is_named(run: netbuild.Run, difference: str) -> None:
    FORGED[difference](run.path)
    assert netbuild.reproduce(run.path).difference.startswith(difference)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("spec.yaml", ("steps: 24", "steps: 25"), "spec.yaml does not match"),
        (
            "resolved.yaml",
            ("seed: 3", "seed: 4"),
            "resolved.yaml does not match",
        ),
        ("run.json", ('"seed": 3', '"seed": 4'), "run.json says seed 4, resolved.yaml 3"),
    ],
)
def test_words_that_were_changed_are_found_before_training(
    run: netbuild.Run, name: str, change: tuple[str, str], reason: str
) -> None:
    text = (run.path / name).read_text()
    assert change[0] in text
    (run.path / name).write_text(text.replace(*change))
    with pytest.raises(NetbuildError, match=reason):
        netbuild.reproduce(run.path)


def test_a_checkpoint_that_is_pruned_meanwhile_is_passed_over(small: Path, tmp_path: Path) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(20))
    older = checkpoints(path / "checkpoints")[0]

    def watch(record: Any, trainer: Any) -> None:
        if record.step == 8:
            shutil.rmtree(older)

    found = netbuild.reproduce(path, watch=watch)
    assert found.same, found.difference
    assert found.checkpoints == 1


def test_a_disk_that_refuses_is_no_difference(
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise NotNowError("metrics.jsonl cannot be read: Input/output error", Exit.IO)

    monkeypatch.setattr(reproduction, "refuse_other_log", refused)
    with pytest.raises(NotNowError):
        netbuild.reproduce(run.path)


def test_a_key_without_a_value_is_a_difference(run: netbuild.Run) -> None:
    file = run.path / "metrics.jsonl"
    file.write_text(file.read_text().replace('"kind"', '"more":null,"kind"', 1))
    assert "more None then, None now" in netbuild.reproduce(run.path).difference


def test_the_log_must_be_that_of_the_checkpoints(run: netbuild.Run) -> None:
    file = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["steps_per_second"] = 1e9  # which is not compared
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    difference = netbuild.reproduce(run.path).difference
    assert difference.startswith("the checkpoint of step 20: ")
    assert "metrics.jsonl" in difference


UNANSWERED = """\
netbuild: 1
task: {type: neurogym, env: GoNogo-v0, targets: {fixation: false}, \
evaluation: {trials: {ground_truth: 0}}}
dt: 100
layers: [{name: a, type: ctrnn, size: 6, tau: 100}, {name: out, type: linear, output_dim: 1}]
training: {steps: 6, loss: mse, batch_size: 4, evaluate: {every: 2, trials: 5}}
"""


def test_trials_without_a_right_answer_have_no_accuracy(tmp_path: Path, cli: Any) -> None:
    pytest.importorskip("neurogym")
    (tmp_path / "go.yaml").write_text(UNANSWERED)
    result = cli("train", tmp_path / "go.yaml", "--out", tmp_path / "runs")
    assert result.code == 0, result
    assert "test loss" in result.out
    (path,) = tmp_path.glob("runs/*/*")
    for name in ("run.json", "metrics.jsonl", "checkpoints/step-00000006/state.json"):
        assert "NaN" not in (path / name).read_text()
    about = netbuild.open_run(path).about
    assert (about["accuracy"], about["best"]["metric"]) == (None, "loss")
    found = netbuild.reproduce(path)
    assert found.same, found.difference


def test_a_training_that_is_said_to_have_ended_before_is_found(small: Path, tmp_path: Path) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10))
    rewrite(path / "run.json", lambda about: about.update(status="finished"))
    found = netbuild.reproduce(path)
    assert found.difference == "the run finished after step 10, and continues now"


def test_the_command(run: netbuild.Run, cli: Any) -> None:
    result = cli("reproduce", run.path)
    assert result.code == 0, result
    assert "the same bits (24 steps, 6 lines of the log" in result.out
    (run.path / "metrics.jsonl").write_text("")
    result = cli("reproduce", run.path, "--format", "json")
    assert result.code == Exit.RUN
    found = json.loads(result.out)
    assert found["same"] is False
    assert found["difference"].startswith("the log has no")
