"""Stages of a training: overrides, ends, and what stays the same throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import said_of, spec_of
from resuming import assert_same, begun, killed_at, stopped_at

import netbuild
from netbuild.language.training import StopWhen
from netbuild.training.rules import should_stop

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


def records(run: netbuild.Run) -> list[dict[str, Any]]:
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
            "NB308 training.optimizer: in stage `a`: the optimizer is SGD in the whole spec",
        ),
        (
            "stages: [{name: a, steps: 1, set: {task.inputs: z.npy}}]",
            "NB308 task.inputs.file: in stage `a`: only the whole spec can name a file, z.npy",
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
            ".of: `worst_task` needs several `envs`, and this task has only one",
        ),
        (
            SEVERAL,
            100,
            "metric: loss, at_most: 0.1, of: worst_task",
            ".of: `worst_task` needs `metric: accuracy`; a loss is that of all trials",
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


# What a stage shares with the whole spec


def test_the_problems_of_stages_are_told_with_those_of_the_whole_spec(tmp_path: Path) -> None:
    more = "  stages: [{name: a, steps: 1, set: {training.loos: mse}}, {name: b, steps: 1}]\n"
    text = (BASE + more).replace("out.weight", "outt.weight")
    assert [words.split(":")[0] for words in said_of(tmp_path, text, **arrays())] == [
        "NB304 regularizers[small].params[0]",
        "NB101 training.loos",
    ]


def test_a_file_of_a_stage_is_told_where_the_stage_names_it(tmp_path: Path) -> None:
    text = BASE + (
        "  stages:\n  - name: a\n    steps: 1\n    set:\n"
        "      regularizers[far]: {name: far, type: DaleLawL2, params: out.weight,"
        " reference: {file: w.npy, rows: post}}\n"
    )
    text = text.replace("small, type", "far, type")
    weights = np.ones((2, 3))
    with pytest.raises(netbuild.errors.SpecError) as caught:
        spec_of(tmp_path, text, w=weights, **arrays())
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("NB308", "regularizers[far].reference.file")
    assert problem.place is not None
    assert "regularizers[far]: {name: far" in problem.place.text


def test_all_stages_share_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netbuild.files.arrays import read_array
    from netbuild.language import context

    opened: list[str] = []

    def counted(path: Path, array: str | None) -> Any:
        opened.append(path.name)
        return read_array(path, array)

    monkeypatch.setattr(context, "read_array", counted)
    mask = np.ones((3, 2))
    text = (BASE + TWO).replace("output_dim: 2", "output_dim: 2, sparsity_mask: m.npy")
    spec = spec_of(tmp_path, text, m=mask, **arrays())
    assert sorted(opened) == ["m.npy", "x.npy", "y.npy"]
    for stage in spec.stages:
        assert stage.plan.layers is spec.plan.layers
        assert np.shares_memory(stage.plan.task.samples, spec.plan.task.samples)
        assert np.shares_memory(stage.plan.task.targets, spec.plan.task.targets)


def test_stages_of_another_scale_have_inputs_of_their_own(tmp_path: Path) -> None:
    more = "  stages: [{name: a, steps: 1}, {name: b, steps: 1, set: {task.inputs.divide: 2}}]\n"
    first, second = spec_of(tmp_path, BASE + more, **arrays()).stages
    assert np.allclose(first.plan.task.samples, second.plan.task.samples * 2)


CHANNELS = """dt: 100
layers:
- {name: w, type: linear, from: input, output_dim: 4}
- {name: a, type: linear, from: READS, output_dim: 3}
- {name: b, type: linear, from: w, output_dim: 17}
task:
  type: neurogym
  envs: [{name: go, env: yang19.go-v0}, {name: dm, env: yang19.dm1-v0}]
  rule_input: true
training:
  stages: [{name: one, steps: 2}, {name: two, steps: 2, set: {CHANGE}}]
"""
OTHER_ORDER = '"task.envs": [{name: dm, env: yang19.dm1-v0}, {name: go, env: yang19.go-v0}]'
RENAMED = '"task.envs": [{name: first, env: yang19.dm1-v0}, {name: second, env: yang19.go-v0}]'


@pytest.mark.parametrize(
    ("reads", "change", "said"),
    [
        ("go", OTHER_ORDER, "at another position than in the whole spec"),
        ("input", OTHER_ORDER, "at another position than in the whole spec"),
        ("input", RENAMED, "the rule input of `go` is that of `first` here"),
        ("fixation", "task.rule_input: false", "the task gives 33 inputs, and 35 in the whole"),
    ],
)
def test_each_input_means_the_same_in_all_stages(
    tmp_path: Path, reads: str, change: str, said: str
) -> None:
    found = said_of(tmp_path, CHANNELS.replace("READS", reads).replace("CHANGE", change))
    (words,) = [each for each in found if each.startswith("NB301")]
    where = "task.envs" if "task.envs" in change else "task"
    assert words.startswith(f"NB301 {where}: in stage `two`: ")
    assert said in words


def test_a_stage_may_rename_an_environment(tmp_path: Path) -> None:
    change = '"task.envs": [{name: first, env: yang19.go-v0}, {name: dm, env: yang19.dm1-v0}]'
    said = said_of(tmp_path, CHANNELS.replace("READS", "input").replace("CHANGE", change))
    assert [each for each in said if each.startswith("NB301")] == []


# The life of a run


@pytest.mark.parametrize(
    "changes", ["training.optimizer.momentum: 0.9", "regularizers: []", "training.batch_size: 3"]
)
@pytest.mark.parametrize("stop", [stopped_at, killed_at])
def test_a_stage_is_resumed_and_reproduced(tmp_path: Path, changes: str, stop: Any) -> None:
    more = f"""  checkpoint: {{every: 2}}
  stages: [{{name: warm, steps: 3, set: {{{changes}}}}}, {{name: main, steps: 5}}]
"""
    text = BASE.replace("type: L2, params: out.weight", "type: DaleHinge, params: out.weight")
    text = text.replace(
        "{name: out,", "{name: h, type: linear, output_dim: 4, excitatory: 0.5}, {name: out,"
    )
    spec = spec_of(tmp_path, text + more, **arrays())
    whole = netbuild.train(spec, tmp_path / "whole")
    assert netbuild.reproduce(whole.path).same
    for step in (2, 3, 4, 7):
        cut = begun(spec, tmp_path / f"cut{step}", stop(step))
        assert_same(whole, netbuild.resume(cut, warn=refuse))


@pytest.mark.parametrize(
    ("optimizer", "change"),
    [
        ("{type: SGD, lr: 0.1}", "training.optimizer.momentum: 0.9"),
        ("{type: SGD, lr: 0.1, momentum: 0.9}", "training.optimizer.momentum: 0"),
        ("{type: RMSprop, lr: 0.1}", "training.optimizer.momentum: 0.9"),
        ("{type: Adam, lr: 0.1}", "training.optimizer.amsgrad: true"),
        ("{type: AdamW, lr: 0.1, amsgrad: true}", "training.optimizer.amsgrad: false"),
    ],
)
def test_a_stage_turns_an_option_of_the_optimizer_on_or_off(
    tmp_path: Path, optimizer: str, change: str
) -> None:
    text = (
        BASE.replace("{type: SGD, lr: 0.1}", optimizer)
        + f"""  checkpoint: {{every: 1}}
  stages: [{{name: warm, steps: 3}}, {{name: main, steps: 4, set: {{{change}}}}}]
"""
    )
    spec = spec_of(tmp_path, text, **arrays())
    whole = netbuild.train(spec, tmp_path / "whole")
    for step in (3, 5):
        cut = begun(spec, tmp_path / f"cut{step}", killed_at(step))
        assert_same(whole, netbuild.resume(cut, warn=refuse))


def test_a_layer_may_get_its_first_gradient_in_a_later_stage(tmp_path: Path) -> None:
    text = BASE.replace(
        "[{name: out,", "[{name: side, type: linear, output_dim: 2}, {name: out, from: input,"
    )
    text = text.replace("lr: 0.1}", "lr: 0.1, momentum: 0.9}").replace(
        "params: out.w", "params: side.w"
    )
    more = """  stages:
  - {name: one, steps: 3, set: {regularizers: []}}
  - {name: two, steps: 3}
"""
    run = netbuild.train(spec_of(tmp_path, text + more, **arrays()), tmp_path / "runs")
    assert run.about["status"] == "finished"
    assert not torch.equal(run.weights("side"), run.initial["side.weight"])


def refuse(message: str) -> None:
    raise AssertionError(message)


def test_a_run_is_looked_at_on_the_trials_of_its_last_stage(tmp_path: Path) -> None:
    """`st` is the easy array first, then the hard one, which has other samples."""
    more = """  checkpoint: {every: 1, keep: 9}
  stages: [{name: easy, steps: 2}, {name: hard, steps: 2, set: {task.inputs: hard}}]
"""
    text = BASE.replace("inputs: x.npy, targets: y.npy", "file: st.npz, inputs: easy, targets: y")
    easy = arrays()["x"].astype(np.float32)
    np.savez(tmp_path / "st.npz", easy=easy, hard=-easy, y=arrays()["y"])
    run = netbuild.train(spec_of(tmp_path, text + more), tmp_path / "runs")
    sample = run.trials()["sample"].to_numpy()
    assert np.array_equal(run.batch().inputs.numpy(), -easy[sample])
    assert np.array_equal(run.task.evaluation().inputs.numpy(), -easy[sample])
    assert run.trials(len(sample)).equals(run.trials())
    last, first = run.activity(5), run.activity(5, checkpoint=1)
    assert [each.trials["sample"].tolist() for each in (last, first)] == [sample[:5].tolist()] * 2
    for activity, checkpoint, inputs in ((last, None, -easy), (first, 1, easy)):
        network = run.network(checkpoint=checkpoint)
        expected = network(torch.from_numpy(inputs[sample[:5]])).detach().numpy()
        assert np.array_equal(activity["out"].reshape(5, 2), expected)
    assert run.part()[0] == "hard"
    assert run.part(run.saved(1))[0] == "easy"
