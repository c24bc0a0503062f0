"""Tasks of environments: what is wrong is told where it stands, and what is right is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checks import plan_of, said_of, spec_of

from netbuild.environments import registry
from netbuild.environments.recipe import Environment, Levels
from netbuild.environments.registry import environment_names
from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.language.plan import NeurogymPlan

LAYER = "layers: [{{name: a, type: linear, output_dim: {}}}]\n"
PERCEPTUAL = "env: PerceptualDecisionMaking-v0"


def text(task: str = PERCEPTUAL, outputs: int = 3, more: str = "", dt: str = "dt: 20\n") -> str:
    return f"{dt}task: {{type: neurogym, {task}}}\n{LAYER.format(outputs)}{more}"


def planned(folder: Path, *words: Any, **named: Any) -> NeurogymPlan:
    plan = plan_of(folder, text(*words, **named))
    assert isinstance(plan.task, NeurogymPlan)
    assert plan.layers["a"].reads.size == plan.task.inputs
    return plan.task


def test_an_environment_gives_the_widths(tmp_path: Path) -> None:
    found = planned(tmp_path)
    assert (found.inputs, found.outputs, found.classes) == (3, 3, True)
    assert found.channels == {"fixation": (0,), "stimulus": (1, 2)}
    assert found.recipe.dt == 20
    assert found.recipe.window is None
    assert found.recipe == found.evaluation


def test_everything_comes_into_the_recipe(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        f"{PERCEPTUAL}, env_kwargs: {{dt: 20, sigma: 2, timing: {{stimulus: [choice, [100, 200]],"
        " delay: [uniform, [0, 100]]}}, trials: {coh: [1, 2], ground_truth: 0},"
        " batches: {of: windows, steps: 7}, targets: {low: 0.2, high: 1, fixation: false},"
        " loss_mask: {fixation: 1, decision: 2},"
        " evaluation: {env_kwargs: {timing: {stimulus: 500}}, trials: {coh: 9}}",
        2,
        "training: {steps: 1, loss: mse, stop_when: {metric: accuracy, at_least: 1},"
        " evaluate: {every: 1}}\n",
    )
    timing = {"stimulus": ["choice", [100, 200]], "delay": ["uniform", [0, 100]]}
    [own] = found.recipe.environments
    assert own == Environment(
        "PerceptualDecisionMaking-v0",
        kwargs={"sigma": 2, "timing": timing},
        trials={"coh": [1, 2], "ground_truth": [0]},
    )
    assert found.recipe.window == 7
    assert found.recipe.levels == Levels(0.2, 1, fixation=False)
    assert found.recipe.period_weights == {"fixation": 1, "decision": 2}
    assert found.outputs == 2
    [scored] = found.evaluation.environments
    assert found.evaluation.window is None
    assert scored.kwargs == {"sigma": 2, "timing": timing | {"stimulus": 500}}
    assert scored.trials == {"coh": [9], "ground_truth": [0]}


def test_several_environments_and_their_rules(tmp_path: Path) -> None:
    words = "envs: [{name: go, env: yang19.go-v0, weight: 5}, {env: yang19.dm1-v0}]"
    assert planned(tmp_path, words, 17).inputs == 33
    found = planned(tmp_path, f"{words}, rule_input: true", 17)
    assert found.inputs == 35
    assert found.channels["go"] == (33,)
    assert found.channels["yang19.dm1-v0"] == (34,)
    assert [part.weight for part in found.recipe.environments] == [5, 1]


def test_answers_that_are_values(tmp_path: Path) -> None:
    mse = "training: {steps: 1, loss: mse}\n"
    found = planned(tmp_path, "env: ReachingDelayResponse-v0", 2, mse)
    assert (found.outputs, found.classes) == (2, False)
    said = said_of(tmp_path, text("env: ReachingDelayResponse-v0", 2))
    assert said == [
        "NB307 task.env: cross_entropy compares classes, and this task's answers are values"
    ]


@pytest.mark.parametrize(
    ("duration", "fine"),
    [
        ("100", True),
        ("0", True),
        ("110", True),  # neurogym rounds down to whole steps
        ("[100, 200]", True),
        ("[choice, [50, 100]]", True),
        ("[constant, 100]", True),
        ("[until, 500]", True),
        ("[truncated_exponential, [600, 300, 3000]]", True),
        ("[uniform, [100, 200]]", True),
        ("10", False),
        ("[10, 100]", False),
        ("-100", False),
        ("true", False),
        ("long", False),
        ("[]", False),
        ("[uniform, 100, 200]", False),
        ("[uniform, [100]]", False),
        ("[constant, [100]]", False),
        ("[unifrom, [100, 200]]", False),
        ("[truncated_exponential, [10, 5000, 6000]]", False),
        ("{mean: 100}", False),
    ],
)
def test_durations(tmp_path: Path, duration: str, fine: bool) -> None:
    words = f"{PERCEPTUAL}, env_kwargs: {{timing: {{stimulus: {duration}}}}}"
    said = said_of(tmp_path, text(words))
    assert [line[:5] for line in said] == ([] if fine else ["NB104"])


@pytest.mark.parametrize(
    ("task", "wrong"),
    [
        ("env: PerceptualDecisonMaking-v0", "NB105 task.env: neurogym registers no"),
        ("env: os.system", "NB105 task.env: neurogym registers no environment `os.system`"),
        ("rule_input: false", "NB102 task: no environment is named"),
        (f"{PERCEPTUAL}, envs: [{{{PERCEPTUAL}}}]", "NB308 task.envs: `env` and `envs` both"),
        (f"{PERCEPTUAL}, rule_input: true", "NB308 task.rule_input: a rule input says which"),
        (f"{PERCEPTUAL}, env_kwargs: {{coohs: [1]}}", "NB101 task.env_kwargs.coohs: Percept"),
        (f"{PERCEPTUAL}, env_kwargs: {{dt: 10}}", "NB308 task.env_kwargs.dt: the time step is"),
        (f"{PERCEPTUAL}, env_kwargs: {{dim_ring: 1e9}}", "NB104 task.env_kwargs.dim_ring: numb"),
        (f"{PERCEPTUAL}, env_kwargs: {{sigma: .nan}}", "NB104 task.env_kwargs.sigma: numbers"),
        (
            f"{PERCEPTUAL}, env_kwargs: {{dim_ring: 1000000}}",
            "NB310 task.env_kwargs.dim_ring: a tr",
        ),
        (f"{PERCEPTUAL}, env_kwargs: {{cohs: text}}", "NB310 task.env_kwargs.cohs: Percept"),
        (
            f"{PERCEPTUAL}, env_kwargs: {{rewards: 5, timing: {{stimulus: 500}}}}",
            "NB310 task.env_kwargs.rewards: PerceptualDecisionMaking-v0 cannot be made",
        ),
        (
            f"{PERCEPTUAL}, env_kwargs: {{rewards: 5, cohs: text}}",
            "NB310 task.env_kwargs: PerceptualDecisionMaking-v0 cannot be made",
        ),
        (f"{PERCEPTUAL}, env_kwargs: {{timing: 5}}", "NB103 task.env_kwargs.timing: expected"),
        (
            f"{PERCEPTUAL}, env_kwargs: {{timing: {{stimulsu: 100}}}}",
            "NB101 task.env_kwargs.timing.stimulsu: PerceptualDecisionMaking-v0 has no period",
        ),
        (f"{PERCEPTUAL}, trials: {{cohh: 1}}", "NB101 task.trials.cohh: trials of Perceptual"),
        (f"{PERCEPTUAL}, trials: {{coh: []}}", "NB104 task.trials.coh: 1 to 1,000 values"),
        (f"{PERCEPTUAL}, trials: {{coh: {{a: 1}}}}", "NB103 task.trials.coh: expected a value"),
        (f"{PERCEPTUAL}, trials: {{coh: [1, .inf]}}", "NB104 task.trials.coh[1]: numbers here"),
        (
            f"{PERCEPTUAL}, trials: {{ground_truth: [0, 9]}}",
            "NB310 task.trials.ground_truth[1]: PerceptualDecisionMaking-v0 cannot give a trial",
        ),
        (
            "env: yang19.dm1-v0, trials: {coh1_mod1: 0.5}",
            "NB310 task.trials.coh1_mod1: yang19.dm1-v0 always draws `coh1_mod1`",
        ),
        (
            "env: yang19.dlygo-v0, env_kwargs: {timing: {delay: 1000}}",
            "NB310 task.env_kwargs.timing.delay: yang19.dlygo-v0 replaces the value of",
        ),
        (
            "env: yang19.go-v0, env_kwargs: {anti: true}",
            "NB310 task.env_kwargs.anti: yang19.go-v0 replaces the value of `anti`",
        ),
        (f"{PERCEPTUAL}, loss_mask: {{delay: 1}}", "NB101 task.loss_mask.delay: no trial has"),
        (f"{PERCEPTUAL}, loss_mask: {{stimulus: -1}}", "NB104 task.loss_mask.stimulus: must be"),
        (f"{PERCEPTUAL}, loss_mask: {{stimulus: x}}", "NB103 task.loss_mask.stimulus: expected"),
        (f"{PERCEPTUAL}, loss_mask: {{stimulus: 0}}", "NB104 task.loss_mask: nothing counts"),
        (f"{PERCEPTUAL}, targets: {{low: 0}}", "NB308 task.targets: `targets` are values"),
        (
            f"{PERCEPTUAL}, evaluation: {{trials: {{coh: 1, cohh: 2}}}}",
            "NB101 task.evaluation.trials.cohh: trials of",
        ),
        (
            f"{PERCEPTUAL}, evaluation: {{env_kwargs: {{dim_ring: 4}}}}",
            "NB301 task.evaluation: here PerceptualDecisionMaking-v0 has 5 inputs and 5 actions",
        ),
        ("env: PulseDecisionMaking-v0", "NB310 task.env: its period `cue0` lasts 10 ms, less"),
        ("env: Bandit-v0", "NB310 task.env: Bandit-v0 has no ground truth"),
        ("env: Reaching1D-v0", "NB310 task.env: right answers of Reaching1D-v0 are 0 to 6"),
        ("env: AnnubesEnv-v0", "NB102 task.env: AnnubesEnv-v0 needs the argument `session`"),
        (
            "env: AnnubesEnv-v0, env_kwargs: {session: {v: 1}, catch_prob: 0, random_seed: 1}",
            "NB308 task.env_kwargs.random_seed: `random_seed` would make every batch the same",
        ),
        (
            f"envs: [{{{PERCEPTUAL}}}, {{env: GoNogo-v0}}]",
            "NB301 task.envs[1].env: GoNogo-v0 has 3 inputs and 2 actions, but",
        ),
        (
            f"envs: [{{{PERCEPTUAL}}}, {{{PERCEPTUAL}}}]",
            "NB303 task.envs[1].env: two of the environments are called",
        ),
        (
            f"envs: [{{{PERCEPTUAL}}}], trials: {{coh: 1}}",
            "NB308 task.trials: `trials` of the task has no effect",
        ),
        (
            f"envs: [{{name: a, {PERCEPTUAL}, trials: {{choh: 1}}}}]",
            "NB101 task.envs[a].trials.choh: trials of",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, task: str, wrong: str) -> None:
    said = said_of(tmp_path, text(task))
    assert any(line.startswith(wrong) for line in said), said
    assert {line[:5] for line in said} <= {wrong[:5], "NB102"}


def test_the_loss_and_the_outputs(tmp_path: Path) -> None:
    assert said_of(tmp_path, text(outputs=2)) == [
        "NB307 task.env: the task has 3 actions, but `a` has 2 outputs"
    ]
    mse = "training: {steps: 1, loss: mse}\n"
    assert said_of(tmp_path, text(more=mse)) == [
        "NB307 task.env: mse compares values, and this task's answers are actions"
    ]
    words = f"{PERCEPTUAL}, targets: {{fixation: false}}"
    assert said_of(tmp_path, text(words, 3, mse)) == [
        "NB307 task.env: the task has 2 actions other than fixation, but `a` has 3 outputs"
    ]
    assert said_of(tmp_path, text(more="training: {epochs: 3}\n")) == [
        "NB308 training.epochs: `epochs` counts passes over samples, and this task's trials are"
        " always new"
    ]


def test_a_time_step_is_needed(tmp_path: Path) -> None:
    said = said_of(tmp_path, text(dt=""))
    assert said[0] == "NB102 task: nothing says how long a time step is"


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise NetbuildError("neurogym is not there", Exit.MISSING, registry.INSTALL)

    monkeypatch.setattr(registry, "creators", missing)
    with pytest.raises(SpecError) as found:
        spec_of(tmp_path, text())
    problems = [problem for problem in found.value.problems if problem.code == "NB1001"]
    assert [(p.path, p.hint) for p in problems] == [("task.type", "pip install 'netbuild[tasks]'")]
    assert found.value.exit_code == Exit.MISSING or len(found.value.problems) > 1


def test_names_are_those_of_neurogym() -> None:
    names = environment_names()
    assert len(names) >= 50
    assert "PerceptualDecisionMaking-v0" in names
    assert "yang19.go-v0" in names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PerceptualDecisonMaking", "did you mean `PerceptualDecisionMaking-v0`?"),
        ("yang19.go", "did you mean `yang19.go-v0`?"),
        ("go", "one of `GoNogo-v0`, `yang19.go-v0`,"),
        ("foo", f"there are {len(environment_names())}, such as `AnnubesEnv-v0`, "),
        ("os.system", ""),
    ],
)
def test_an_unknown_environment_has_names_beside_it(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(SpecError) as found:
        spec_of(tmp_path, text(f"env: {name}"))
    [problem] = [problem for problem in found.value.problems if problem.code == "NB105"]
    assert problem.hint[: len(hint)] == hint
    assert bool(problem.hint) == bool(hint)
