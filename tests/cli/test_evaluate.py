"""`netbuild evaluate`: a checkpoint's scores are those that the training wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from decision import decision_run

import netbuild
from netbuild.cli import training
from netbuild.errors import Exit, NetbuildError
from netbuild.results.evaluation import evaluate
from netbuild.runs.checkpoint import checkpoints
from netbuild.system import machine_cores
from netbuild.tasks import Batch


def run_of(small: Path, *changes: str) -> netbuild.Run:
    spec = netbuild.load(small, ["training.checkpoint.every=8", *changes])
    return netbuild.train(spec, small.parent / "runs")


def scores(run: netbuild.Run, step: int) -> dict[str, Any]:
    """What the log has of an evaluation."""
    (line,) = [x for x in run.metrics if x["kind"] == "evaluation" and x["step"] == step]
    return {key: line[key] for key in ("loss", "accuracy")}


def files_of(run: netbuild.Run) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_every_checkpoint_scores_as_it_did_in_the_training(cli: Any, small: Path) -> None:
    run = run_of(small, "training.checkpoint.keep=3")
    steps = [int(path.name[5:]) for path in checkpoints(run.path / "checkpoints")]
    assert steps == [8, 16, 24]
    before = files_of(run)
    for step in steps:
        result = cli("evaluate", run.path, "--checkpoint", step, "--format", "json")
        found = json.loads(result.out)
        assert found == {
            "run": str(run.path),
            "step": step,
            "on": "test",
            "trials": 12,
            **scores(run, step),
            "logged": scores(run, step),
        }
    assert files_of(run) == before
    assert len({json.dumps(scores(run, step)) for step in steps}) == 3  # or this tells nothing


def test_best_and_last(cli: Any, small: Path) -> None:
    # A rate that wrecks what was learnt: the best evaluation is the first.
    run = run_of(small, "training.optimizer={type: SGD, lr: 3}", "training.clip_grad_norm=null")
    best = run.best["step"]
    assert best != 24
    for which, step in (("best", best), ("last", 24)):
        found = json.loads(cli("evaluate", run.path, "--checkpoint", which, "--format", "json").out)
        assert found["step"] == step
        assert {key: found[key] for key in ("loss", "accuracy")} == scores(run, step)


def test_what_is_printed(cli: Any, small: Path) -> None:
    run = run_of(small)
    score = f"accuracy {run.final['accuracy']:.4f}, loss {run.final['loss']:.4f}"
    result = cli("evaluate", run.path)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        f"{run.path}: step 24, 12 test trials",
        score,
        "the training wrote the same",
    ]
    assert cli("evaluate", run.path, "--quiet").out == f"{score}\n"
    log = run.path / "metrics.jsonl"
    log.write_text(log.read_text().replace(repr(run.final["loss"]), "0.125"))
    other = cli("evaluate", run.path).out.splitlines()[2]
    assert other == f"the training wrote accuracy {run.final['accuracy']:.4f}, loss 0.1250"


def test_fewer_trials_are_the_first_of_them(cli: Any, small: Path, tmp_path: Path) -> None:
    run = run_of(small)
    output = tmp_path / "trials.parquet"
    result = cli("evaluate", run.path, "--trials", 5, "-o", output, "--format", "json")
    found = json.loads(result.out)
    assert (found["trials"], found["logged"]) == (5, None)
    table, whole = polars.read_parquet(output), run.trials()
    assert table.equals(whole.head(5))
    assert found["accuracy"] == table["correct"].mean()
    assert cli("evaluate", run.path, "-o", output).out.splitlines()[-1] == str(output)
    assert polars.read_parquet(output).equals(whole)


def test_recurrent_networks_and_trials_with_decisions(tmp_path: Path) -> None:
    run = decision_run(tmp_path)
    found = evaluate(run, 80)
    assert found.logged is not None
    assert found.values == found.logged
    assert found.trials == 120
    assert set(found.columns) >= {"coh", "choice", "correct"}
    assert evaluate(run, "last").values == {k: run.final[k] for k in ("loss", "accuracy")}


def test_a_stage_is_scored_in_its_own_words(cli: Any, small: Path) -> None:
    text = small.read_text().replace("  steps: 24\n", "").replace("every: 8}", "every: 4}")
    text = text.replace("every: 10, keep: 2", "every: 4, keep: 9")
    text += (
        "  stages:\n  - {name: first, steps: 8}\n"
        "  - {name: second, steps: 8, set: {task.inputs: {array: x, divide: 8}}}\n"
    )
    small.write_text(text)
    run = netbuild.train(small, small.parent / "runs")
    for step, stage in ((4, "first"), (8, "first"), (12, "second"), (16, "second")):
        found = evaluate(run, step)
        assert (found.step, found.stage) == (step, stage)
        assert found.logged is not None
        assert found.values == found.logged
    assert "step 16, stage second, 12 test trials" in cli("evaluate", run.path).out


def test_the_process_is_as_it_was_in_the_training(
    cli: Any, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(small, "training.steps=8")
    about = json.loads((run.path / "run.json").read_text())
    about["environment"]["threads"] = machine_cores()
    (run.path / "run.json").write_text(json.dumps(about))
    given: list[Any] = []
    monkeypatch.setattr(training, "prepare_process", lambda spec, threads: given.append(threads))
    result = cli("evaluate", run.path)
    assert (result.code, result.err, given) == (0, "", [machine_cores()])


@pytest.mark.parametrize("recorded", [machine_cores() + 1, 4096, 10**30])
def test_more_threads_than_the_machine_has_cores_cannot_be_had(
    cli: Any, small: Path, monkeypatch: pytest.MonkeyPatch, recorded: int
) -> None:
    run = run_of(small, "training.steps=8")
    about = json.loads((run.path / "run.json").read_text())
    about["environment"]["threads"] = recorded
    (run.path / "run.json").write_text(json.dumps(about))
    given: list[Any] = []
    monkeypatch.setattr(training, "prepare_process", lambda spec, threads: given.append(threads))
    result = cli("evaluate", run.path)
    assert (result.code, given) == (0, [machine_cores()])
    (line,) = result.err.splitlines()
    assert line.startswith(f"warning: the run had {recorded:,} threads, and this machine has ")


class Sums:
    """A task from Python, as the documentation has one."""

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        inputs = torch.from_numpy(rng.normal(size=(size, 4)).astype(np.float32))
        return Batch(inputs, inputs.sum(1, keepdim=True))


def test_a_task_from_python_is_given_again(cli: Any, tmp_path: Path) -> None:
    spec = {
        "netbuild": 1,
        "layers": [{"name": "out", "type": "linear", "input_dim": 4, "output_dim": 1}],
        "training": {"steps": 4, "loss": "mse"},
    }
    run = netbuild.train(spec, tmp_path, task=Sums())
    found = evaluate(netbuild.open_run(run.path, Sums()))
    assert found.values == found.logged == {"loss": run.scores["test"]["last"]["loss"]}
    found = evaluate(netbuild.open_run(run.path, Sums()), on="validation")
    assert found.values == found.logged == {"loss": run.final["loss"]}
    with pytest.raises(NetbuildError, match="trained on a task given in Python"):
        evaluate(netbuild.open_run(run.path))
    assert cli("evaluate", run.path).code == Exit.RUN


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--checkpoint", "newest"], 2, "--checkpoint is best, last or a step; got `newest`"),
        (["--checkpoint", "7"], 5, "has no checkpoint of step 7"),
        (["--trials", "0"], 2, ""),
        (["-o", "trials.csv"], 2, "a table of trials ends in .parquet"),
        (["-o", "no/such/trials.parquet"], 7, "there is no folder no/such"),
        (["--device", "cuda:99"], 10, "cuda:99 is not there"),
    ],
)
def test_what_is_refused(cli: Any, small: Path, arguments: list[str], code: int, what: str) -> None:
    run = run_of(small, "training.steps=8")
    result = cli("evaluate", run.path, *arguments)
    assert (result.code, result.out) == (code, "")
    assert what in result.err
    assert "Traceback" not in result.err


def test_a_spec_is_not_evaluated_and_damaged_weights_neither(cli: Any, small: Path) -> None:
    assert "is not a run" in cli("evaluate", small).err
    run = run_of(small, "training.steps=8")
    path = run.checkpoint() / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    result = cli("evaluate", run.path)
    assert (result.code, result.out) == (5, "")


def test_a_damaged_checkpoint_names_the_others(cli: Any, small: Path) -> None:
    run = run_of(small, "training.checkpoint.keep=3")
    (run.path / "checkpoints" / "step-00000024" / "state.json").write_bytes(b"")
    for words in ([], ["--checkpoint", "best"]):
        result = cli("evaluate", run.path, *words)
        assert result.code == Exit.RUN
        assert "state.json is damaged" in result.err
        assert "`--checkpoint STEP` names one of 8, 16" in result.err
    assert cli("evaluate", run.path, "--checkpoint", 16).code == 0
    (run.path / "initial.safetensors").write_bytes(b"")
    result = cli("evaluate", run.path, "--checkpoint", 16)
    assert result.code == Exit.RUN
    assert "--checkpoint" not in result.err


def test_validation_samples_are_scored_where_there_are_any(cli: Any, small: Path) -> None:
    result = cli("evaluate", run_of(small, "training.steps=8").path, "--on", "validation")
    assert (result.code, result.out) == (2, "")
    assert "has no validation trials" in result.err
    run = run_of(small, "task.split={train: 0.7, validation: 0.15}")
    for on in ("validation", "test"):
        lines = cli("evaluate", run.path, "--on", on).out.splitlines()
        assert lines[0] == f"{run.path}: step 24, 9 {on} trials"
        assert lines[2] == "the training wrote the same"
