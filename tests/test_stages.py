"""Stages of a training: overrides, ends, and what stays the same throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import said_of, spec_of

import netbuild
from netbuild.spec.training import StopWhen
from netbuild.training.stopping import should_stop

BASE = """layers: [{name: out, type: linear, output_dim: 2}]
task: {type: arrays, inputs: x.npy, targets: y.npy, split: {train: 0.5}}
regularizers: [{name: small, type: L2, params: out.weight, Lambda: 0.1}]
training:
  batch_size: 4
  log_every: 1
  optimizer: {type: SGD, lr: 0.1}
"""
TWO = """  stages:
  - {name: first, steps: 3}
  - {name: second, steps: 2, set: {training.optimizer.lr: 0.01, "regularizers[small].Lambda": 0}}
"""


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return {"x": x, "y": (x[:, 0] > 0).astype(int)}


def records(run: netbuild.training.Run) -> list[dict[str, Any]]:
    return [record for record in run.metrics if record["kind"] == "train"]


def test_each_stage_has_its_own_words_and_steps_go_on(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, BASE + TWO, **arrays())
    assert [stage.model.training.optimizer.lr for stage in spec.stages] == [0.1, 0.01]
    run = netbuild.train(spec, tmp_path / "runs")
    found = records(run)
    assert [(r["step"], r["stage"]) for r in found] == [
        *((step, "first") for step in (1, 2, 3)),
        *((step, "second") for step in (4, 5)),
    ]
    assert [r["lr"] for r in found] == [0.1] * 3 + [0.01] * 2
    weighted = [r["regularizers"]["small"]["weighted"] for r in found]
    assert min(weighted[:3]) > 0
    assert weighted[3:] == [0, 0]
    assert run.about["step"] == 5
    assert run.about["status"] == "finished"


def test_one_stage_without_changes_is_the_training_itself(tmp_path: Path) -> None:
    runs = [
        netbuild.train(spec_of(tmp_path, BASE + more, **arrays()), tmp_path / "runs")
        for more in ("  steps: 6\n", "  stages: [{name: a, steps: 4}, {name: b, steps: 2}]\n")
    ]
    one, other = (run.network().state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_stage_ends_when_it_is_good_enough(tmp_path: Path) -> None:
    more = """  evaluate: {every: 2}
  stages:
  - {name: first, stop_when: {metric: loss, at_most: 100}}
  - {name: second, steps: 3}
"""
    run = netbuild.train(spec_of(tmp_path, BASE + more, **arrays()), tmp_path / "runs")
    assert [r["step"] for r in records(run) if r["stage"] == "first"] == [1, 2]
    assert run.about["step"] == 5


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("stages: [{name: a}]", "NB102 training.stages[a]: nothing says when this stage ends"),
        ("stages: []", "NB104 training.stages: needs at least 1 item, has none"),
        (
            "stages: [{name: a, steps: 1}, {name: a, steps: 1}]",
            "NB303 training.stages[1].name: two stages are named `a`",
        ),
        (
            "{epochs: 1, stages: [{name: a, steps: 1}]}",
            "NB308 training.epochs: `epochs` and `stages` both say how long",
        ),
        (
            "stages: [{name: a, steps: 1, set: {layers: []}}]",
            "NB110 layers: in stage `a`: a stage cannot change `layers`",
        ),
        (
            "stages: [{name: a, steps: 1, set: {training.steps: 3}}]",
            "NB110 training.steps: in stage `a`: the `set` of a stage cannot change",
        ),
        (
            "stages: [{name: a, steps: 1, set: {training.loos: mse}}]",
            "NB101 training.loos: in stage `a`: unknown key `loos`",
        ),
        (
            "stages: [{name: a, steps: 1, set: {training.optimizer.lr: -1}}]",
            "NB104 training.optimizer.lr: in stage `a`: must be more than 0, found `-1`",
        ),
        (
            "stages: [{name: a, steps: 1, set: {training.optimizer.type: Adam}}]",
            "NB308 training.optimizer: in stage `a`: stage `a` has another kind of optimizer",
        ),
        (
            "stages: [{name: a, steps: 1, set: {task.inputs: z.npy}}]",
            "NB308 task.inputs.file: in stage `a`: stage `a` names a file of its own, z.npy",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, more: str, said: str) -> None:
    text = BASE + (f"  {more}\n" if not more.startswith("{") else "")
    if more.startswith("{"):
        text = BASE + "".join(f"  {part.strip()}\n" for part in more[1:-1].split(",", 1))
    found = said_of(tmp_path, text, z=arrays()["x"], **arrays())
    assert [words[: len(said)] for words in found] == [said]


NEUROGYM = """dt: 20
layers: [{name: out, type: linear, output_dim: 17}]
task: {type: neurogym, TASK}
training: {steps: STEPS, evaluate: {every: 20}, stop_when: {RULE}}
"""
ONE = "env: yang19.go-v0"
SEVERAL = "envs: [{name: go, env: yang19.go-v0}, {name: anti, env: yang19.anti-v0}]"
RULE = "metric: accuracy, at_least: 0.9"


@pytest.mark.parametrize(
    ("task", "steps", "rule", "said"),
    [
        (ONE, 20, RULE, ""),
        (SEVERAL, 100, f"{RULE}, of: worst_task", ""),
        (
            ONE,
            19,
            RULE,
            ": this counts evaluations, and the first one would be after 20 of 19 steps",
        ),
        (
            ONE,
            100,
            f"{RULE}, of: worst_task",
            ".of: there is no worst of one task: this is of several `envs`",
        ),
        (
            SEVERAL,
            100,
            "metric: loss, at_most: 0.1, of: worst_task",
            ".of: `worst_task` is of `metric: accuracy`; there is one loss for all",
        ),
    ],
)
def test_a_rule_that_can_never_hold_is_refused(
    tmp_path: Path, task: str, steps: int, rule: str, said: str
) -> None:
    text = NEUROGYM.replace("TASK", task).replace("STEPS", str(steps)).replace("RULE", rule)
    assert said_of(tmp_path, text) == ([f"NB308 training.stop_when{said}"] if said else [])


def test_the_worst_task_decides_where_it_is_asked_for() -> None:
    found = {"loss": 0.1, "accuracy": 0.9, "environments": {"go": 1.0, "anti": 0.8}}
    rule = {"metric": "accuracy", "at_least": 0.85}
    assert should_stop(StopWhen(**rule), [found])
    assert not should_stop(StopWhen(**rule, of="worst_task"), [found])
