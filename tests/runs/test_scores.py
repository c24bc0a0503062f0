"""The final scores of a run: of its last and best weights, on trials that nothing has looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from resuming import assert_same, begun, killed_at, stopped_at

import netbuild
from netbuild.results.evaluation import evaluate
from netbuild.tasks import Batch

VALIDATED = "task.split={train: 0.7, validation: 0.15}"
# A rate that wrecks what was learnt: the best evaluation is the first one.
WRECKED = (
    "training.optimizer={type: SGD, lr: 0.2, schedule: {type: exponential, factor: 1.25}}",
    "training.clip_grad_norm=null",
)


class Sums:
    """A task that draws its trials."""

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        x = torch.from_numpy(rng.normal(size=(size, 4)).astype(np.float32))
        return Batch(x, (x.sum(1) > 0).long())


SUMS: dict[str, Any] = {
    "netbuild": 1,
    "layers": [{"name": "out", "type": "linear", "input_dim": 4, "output_dim": 2}],
    "training": {
        "steps": 12,
        "evaluate": {"every": 4, "trials": 40},
        "checkpoint": {"every": 5},
        "optimizer": {"type": "Adam", "lr": 0.1},
    },
}


def numbers(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if key in ("loss", "accuracy")}


def test_scores_are_those_of_the_last_and_the_best_weights_on_both_sets(small: Path) -> None:
    run = netbuild.train(netbuild.load(small, [VALIDATED, *WRECKED]), small.parent / "runs")
    about = json.loads((run.path / "run.json").read_text())
    assert about["selected_on"] == "validation"
    assert about["scores"] == run.scores
    steps = {"last": 24, "best": run.best["step"]}
    assert steps["best"] < 24
    for on in ("validation", "test"):
        for which, step in steps.items():
            found = run.scores[on][which]
            assert found["step"] == step
            again = evaluate(run, step, on=on)  # type: ignore[arg-type]
            assert numbers(found) == again.values == again.logged
    assert numbers(run.scores["validation"]["last"]) == numbers(run.final) == numbers(about)
    assert run.final["on"] == "validation"
    assert run.scores["test"]["last"] != run.scores["test"]["best"]
    assert run.trials()["correct"].mean() == pytest.approx(run.scores["test"]["last"]["accuracy"])
    assert netbuild.reproduce(run.path).same


def test_without_validation_samples_the_scores_are_in_the_log(small: Path) -> None:
    run = netbuild.train(netbuild.load(small, WRECKED), small.parent / "runs")
    assert run.about["selected_on"] == "test"
    assert [*run.scores] == ["test"]
    logged = {x["step"]: numbers(x) for x in run.metrics if x["kind"] == "evaluation"}
    for found in run.scores["test"].values():
        assert numbers(found) == logged[found["step"]]
    assert netbuild.reproduce(run.path).same


def test_a_resumed_run_has_the_scores_of_one_that_never_stopped(small: Path) -> None:
    spec = netbuild.load(small, [VALIDATED, *WRECKED])
    whole = netbuild.train(spec, small.parent / "whole")
    for cut in (stopped_at(10), killed_at(16), killed_at(24)):
        path = begun(spec, small.parent / "cut", cut)
        again = netbuild.resume(path)
        assert_same(whole, again)
        assert again.scores == whole.scores
    path = begun(spec, small.parent / "stopped", stopped_at(10))
    assert "scores" not in json.loads((path / "run.json").read_text())


def test_the_best_weights_are_left_out_where_their_checkpoint_is_damaged(small: Path) -> None:
    spec = netbuild.load(small, [VALIDATED, *WRECKED])
    path = begun(spec, small.parent / "runs", stopped_at(20))
    best = netbuild.open_run(path).best["step"]
    (path / "checkpoints" / f"step-{best:08d}" / "state.json").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="the best weights are not scored: .*step-"):
        run = netbuild.resume(path)
    assert run.about["status"] == "finished"
    assert [*run.scores["test"]] == ["last"]
    assert [*run.scores["validation"]] == ["last", "best"]


def test_drawn_test_trials_are_not_those_of_evaluations(tmp_path: Path) -> None:
    run = netbuild.train(SUMS, tmp_path, task=Sums())
    assert run.about["selected_on"] == "validation"
    test, validation = (run.batch(of=of) for of in ("test", "validation"))  # type: ignore[arg-type]
    assert len(test.inputs) == len(validation.inputs) == 40
    assert not torch.equal(test.inputs, validation.inputs)
    assert torch.equal(run.batch(7).inputs, test.inputs[:7])
    assert numbers(run.scores["validation"]["last"]) == numbers(run.final)
    assert numbers(run.scores["test"]["last"]) == evaluate(run).values
    assert netbuild.reproduce(run.path, Sums()).same


def test_a_run_of_format_1_goes_on_as_it_began(tmp_path: Path) -> None:
    """Cut before its first evaluation, it differs from a new run in `run.json` alone."""
    path = begun(netbuild.load(SUMS), tmp_path, killed_at(4), Sums())
    about = json.loads((path / "run.json").read_text())
    del about["selected_on"]
    (path / "run.json").write_text(json.dumps(about | {"format": 1}))
    (path / "metrics.jsonl").write_text("")
    run = netbuild.resume(path, Sums())
    assert run.scores == {}
    assert {"format": 1}.items() <= run.about.items()
    assert "selected_on" not in run.about
    assert "on" not in run.final
    assert run.trials()["correct"].mean() == pytest.approx(run.final["accuracy"])
    assert evaluate(run).values == evaluate(run).logged == numbers(run.final)
    assert netbuild.reproduce(run.path, Sums()).same
    new = netbuild.train(SUMS, tmp_path, task=Sums())
    assert numbers(new.final) == numbers(run.final)  # its trials are validation trials now
    with pytest.raises(netbuild.NetbuildError, match="has no validation trials"):
        evaluate(run, on="validation")


def test_of_several_stages_the_last_one_has_the_scores(small: Path) -> None:
    text = small.read_text().replace("  steps: 24\n", "")
    text += "  stages: [{name: a, steps: 8}, {name: b, steps: 16, set: {task.inputs: x}}]\n"
    small.write_text(text)
    run = netbuild.train(netbuild.load(small, [VALIDATED]), small.parent / "runs")
    for found in run.scores["test"].values():
        assert found["step"] > 8
        assert numbers(found) == evaluate(run, found["step"]).values
    assert netbuild.reproduce(run.path).same


def test_noise_in_evaluation_repeats(tmp_path: Path) -> None:
    layer = {"name": "hidden", "type": "ctrnn", "size": 5, "alpha": 0.4, "noise": 0.5}
    out = {"name": "out", "type": "linear", "output_dim": 2}
    x = np.random.default_rng(0).normal(size=(60, 4, 3))
    np.savez(tmp_path / "x.npz", x=x, y=(x[..., 0] > 0).astype(int))
    task = {"type": "arrays", "file": "x.npz", "inputs": "x", "targets": "y"}
    training = {"steps": 8, "batch_size": 10, "evaluate": {"every": 4, "noise": True}}
    spec = {"netbuild": 1, "layers": [layer, out], "task": task, "training": training}
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    checked = netbuild.load(tmp_path / "spec.yaml", ["task.split={train: 0.5, validation: 0.25}"])
    run = netbuild.train(checked, tmp_path / "runs")
    for on in ("validation", "test"):
        found = evaluate(run, on=on)  # type: ignore[arg-type]
        assert found.values == found.logged
    table = run.trials()
    assert run.trials(len(table)).equals(table)
    assert netbuild.reproduce(run.path).same
    cut = netbuild.resume(begun(checked, tmp_path / "cut", stopped_at(4)))
    assert_same(run, cut)
