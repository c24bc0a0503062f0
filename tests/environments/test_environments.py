"""Trials by neurogym: every environment, its draws, its periods, and the windows of `Dataset`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netbuild.environments.facts import facts_of, overruled, parameters_of, periods_of, settable
from netbuild.environments.player import EnvironmentFailed, Player
from netbuild.environments.recipe import Environment, Levels, Recipe
from netbuild.environments.registry import environment_names, quietly
from netbuild.environments.trials import Drawn, draw_trials
from netbuild.environments.windows import CACHED, WindowSource
from netbuild.streams import rng_of

PERCEPTUAL = "PerceptualDecisionMaking-v0"
TIMING = {"fixation": ["choice", [40, 100]], "stimulus": ["choice", [100, 200, 400]]}
FROM_REWARDS = ["Bandit-v0", "DawTwoStep-v0", "EconomicDecisionMaking-v0", "Null-v0"]
ANGLES = ["Reaching1D-v0", "Reaching1DWithSelfDistraction-v0"]
NEEDED = {"AnnubesEnv-v0": {"session": {"v": 0.5, "o": 0.5}, "catch_prob": 0.5}}


def recipe(env: str = PERCEPTUAL, dt: float = 20, **words: Any) -> Recipe:
    kwargs = words.pop("kwargs", {"timing": TIMING} if env == PERCEPTUAL else NEEDED.get(env, {}))
    trials = words.pop("trials", {})
    return Recipe((Environment(env, kwargs=kwargs, trials=trials),), dt, **words)


def drawn(given: Recipe, count: int = 8, step: int = 0, seed: int = 0) -> Drawn:
    return draw_trials(given, count, rng_of(seed, "train", step))


def same(one: Drawn, other: Drawn) -> bool:
    arrays = [(a.inputs, a.targets, a.loss_mask) for a in (one, other)]
    if not all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True)):
        return False
    a, b = one.trials or {}, other.trials or {}
    return list(a) == list(b) and all(
        a[key].dtype == b[key].dtype and a[key].tobytes() == b[key].tobytes() for key in a
    )


LEARNABLE = [n for n in environment_names() if n not in (*FROM_REWARDS, *ANGLES)]


@pytest.mark.parametrize("env", LEARNABLE)
def test_every_environment_gives_the_same_trials_again(env: str) -> None:
    words = recipe(env)
    facts = facts_of(words.environments[0], 20)
    found = drawn(words)
    assert same(found, drawn(words))
    later = drawn(words, step=1)
    assert found.inputs.tobytes() != later.inputs.tobytes() or not same(found, later)
    assert found.inputs.dtype == np.float32
    assert found.inputs.shape[2] == facts.inputs
    assert np.isfinite(found.inputs).all()
    assert found.loss_mask is not None
    assert found.trials is not None
    assert all(len(column) == 8 for column in found.trials.values())
    assert all(column.dtype.kind in "biufU" for column in found.trials.values())
    assert (found.loss_mask.sum(1) == found.trials["steps"]).all()
    if facts.actions is None:
        assert found.targets.shape == (8, found.inputs.shape[1], facts.values)
    else:
        assert found.targets.shape == found.inputs.shape[:2]
        assert found.targets.min() >= 0
        assert found.targets.max() < facts.actions
        rows = np.arange(8)
        at = found.targets[rows, found.trials["answer_end"] - 1]
        assert (at == found.trials["answer"]).all()
    for period in facts.periods:
        if f"{period}_start" in found.trials:
            start, end = found.trials[f"{period}_start"], found.trials[f"{period}_end"]
            assert ((start == -1) == (end == -1)).all()
            assert (end <= found.trials["steps"]).all()
            assert ((end > start) | (start == -1)).all()


@pytest.mark.parametrize("env", LEARNABLE)
def test_a_batch_alone_is_the_batch_after_others(env: str) -> None:
    """Whatever was drawn before, and whether the environment is a new one or was reset."""
    words = recipe(env)
    known: dict[int, Player] = {}
    order = (3, 1, 3)
    after = [draw_trials(words, 30, rng_of(0, "train", step), known) for step in order]
    for found, step in zip(after, order, strict=True):
        assert same(found, drawn(words, 30, step))
    windows = replace(words, window=40)
    source = WindowSource(windows, 5)
    anew = int(CACHED)  # steps enough for the streams to have begun again
    for step in (0, 1, anew, 0):
        assert same(source.batch(step, 2), WindowSource(windows, 5).batch(step, 2))


def test_almost_all_environments_can_be_reset() -> None:
    with quietly():
        parts = {env: recipe(env).environments[0] for env in LEARNABLE}
        players = {env: Player(part, 20, 0, resettable=True) for env, part in parts.items()}
        reset = {env for env, player in players.items() if player.reset(1)}
    assert set(LEARNABLE) - reset == {"AnnubesEnv-v0"}  # it draws from numbers of its own


def test_either_rule_comes_first() -> None:
    """A block of HierarchicalReasoning has 10 trials or more, and batches may have fewer."""
    tables = [drawn(recipe("HierarchicalReasoning-v0"), 2, step).trials for step in range(20)]
    first = {int(table["rule"][0]) for table in tables if table is not None}
    assert first == {0, 1}


def test_windows_that_failed_begin_anew() -> None:
    words = recipe(window=40)
    source, other = WindowSource(words, 5), WindowSource(words, 5)
    source.batch(0, 3)
    player = source._streams[1].players[0]
    player._new_trial = lambda **_: 1 / 0
    with pytest.raises(EnvironmentFailed, match="division by zero"):
        source.batch(8, 3)
    assert same(source.batch(1, 3), other.batch(1, 3))


@pytest.mark.parametrize("env", FROM_REWARDS)
def test_tasks_without_right_answers_are_refused(env: str) -> None:
    with pytest.raises(EnvironmentFailed, match=f"{env} has no ground truth"):
        facts_of(Environment(env), 20)


@pytest.mark.parametrize("env", ANGLES)
def test_angles_as_actions_are_refused(env: str) -> None:
    with pytest.raises(
        EnvironmentFailed, match=r"right answers of .* 0 to 6, but it has 3 actions"
    ):
        facts_of(Environment(env), 20)


def test_trials_are_those_of_the_environment_itself() -> None:
    """Observations and answers are what `new_trial` of an environment with the same seed gives."""
    import neurogym

    words = recipe()
    rng = rng_of(0, "train", 0)
    [seed] = rng.integers(0, 2**32, size=1)
    with quietly():
        own = neurogym.make(PERCEPTUAL, dt=20, timing=TIMING).unwrapped
    own.seed(int(seed))
    found = drawn(words, 20)
    assert found.trials is not None
    for i in range(20):
        variables = own.new_trial()
        steps = len(own.ob)
        assert found.trials["steps"][i] == steps
        assert np.array_equal(found.inputs[i, :steps], own.ob)
        assert np.array_equal(found.targets[i, :steps], own.gt)
        assert not found.inputs[i, steps:].any()
        assert not found.targets[i, steps:].any()
        assert found.trials["coh"][i] == variables["coh"]
        assert found.trials["ground_truth"][i] == variables["ground_truth"]
        assert found.trials["stimulus_start"][i] == own.start_ind["stimulus"]
        assert found.trials["decision_end"][i] == own.end_ind["decision"] == steps


def test_optional_periods_are_of_their_own_trial() -> None:
    found = drawn(recipe("PostDecisionWager-v0"), 60).trials
    assert found is not None
    assert 5 < found["wager"].sum() < 55
    assert ((found["pre_sure_start"] >= 0) == found["wager"]).all()


def test_both_modalities_come_up_in_first_trials() -> None:
    """neurogym's schedule begins with the first one and takes turns."""
    first = [drawn(recipe("yang19.go-v0"), 1, step).trials for step in range(40)]
    parts = [int(table["part"][0]) for table in first if table is not None]
    assert 8 < sum(parts) < 32


def test_given_values_are_drawn_equally_often() -> None:
    words = recipe(trials={"coh": [12.8, 51.2, 100], "ground_truth": [1]})
    found = drawn(words, 600).trials
    assert found is not None
    values, counts = np.unique(found["coh"], return_counts=True)
    assert values.tolist() == [12.8, 51.2, 100]
    assert abs(counts - 200).max() < 4 * math.sqrt(600 * 2 / 9)
    assert (found["ground_truth"] == 1).all()
    assert (found["answer"] == 2).all()


def test_lists_as_values() -> None:
    found = drawn(recipe("DelayComparison-v0", trials={"vpair": [[18, 10], [34, 26]]}), 30).trials
    assert found is not None
    assert {tuple(row) for row in found["vpair"].tolist()} == {(18, 10), (34, 26)}


def test_levels_are_targets_for_regression() -> None:
    plain = drawn(recipe())
    full = drawn(recipe(levels=Levels(0.2, 1)))
    choices = drawn(recipe(levels=Levels(0.2, 1, fixation=False)))
    assert full.targets.dtype == choices.targets.dtype == np.float32
    assert full.targets.shape == (*plain.targets.shape, 3)
    assert np.array_equal(full.targets.argmax(-1), plain.targets)
    assert np.array_equal(choices.targets, full.targets[..., 1:])
    assert set(np.unique(full.targets)) == {np.float32(0.2), np.float32(1)}
    assert plain.trials is not None
    assert choices.trials is not None
    assert np.array_equal(choices.trials["answer"], plain.trials["answer"] - 1)


def test_periods_weigh_in_the_loss() -> None:
    found = drawn(recipe(period_weights={"fixation": 0.5, "decision": 2}))
    assert found.trials is not None
    assert found.loss_mask is not None
    for i, mask in enumerate(found.loss_mask):
        wanted = np.zeros(len(mask), np.float32)
        wanted[: found.trials["fixation_end"][i]] = 0.5
        wanted[found.trials["decision_start"][i] : found.trials["decision_end"][i]] = 2
        assert np.array_equal(mask, wanted)


def mixed(**words: Any) -> Recipe:
    parts = (
        Environment("yang19.go-v0", "go", weight=5),
        Environment("yang19.dm1-v0", "dm", weight=1),
        Environment("yang19.dms-v0", weight=4),
    )
    return Recipe(parts, 20, rule_input=True, **words)


def test_environments_are_mixed_by_weight_with_their_rule() -> None:
    found = drawn(mixed(), 400)
    assert found.trials is not None
    assert found.inputs.shape[2] == 33 + 3
    names = found.trials["environment"]
    for name, share in (("go", 0.5), ("dm", 0.1), ("yang19.dms-v0", 0.4)):
        assert abs((names == name).mean() - share) < 4 * math.sqrt(share * (1 - share) / 400)
    rule = found.inputs[..., 33:]
    steps = np.arange(found.inputs.shape[1]) < found.trials["steps"][:, None]
    assert np.array_equal(rule.sum(-1), steps)
    order = ["go", "dm", "yang19.dms-v0"]
    assert all(order[int(row[0].argmax())] == name for row, name in zip(rule, names, strict=True))
    assert np.isnan(found.trials["coh1_mod1"][names != "dm"]).all()
    assert not np.isnan(found.trials["coh1_mod1"][names == "dm"]).any()
    assert (found.trials["sample_start"][names != "yang19.dms-v0"] == -1).all()


def test_an_environment_may_follow_itself() -> None:
    """Which neurogym's own schedulers never allow."""
    names = drawn(mixed(), 60).trials["environment"]  # type: ignore[index]
    assert (names[1:] == names[:-1]).sum() > 8


@pytest.mark.parametrize(("cohs", "duration"), [([0, 6.4, 12.8], 500), ([3.2, 6.4], 1000)])
@pytest.mark.parametrize("dt", [20, 100])
def test_the_ideal_observer_does_what_it_must(cohs: list[float], duration: int, dt: float) -> None:
    """Summed evidence decides with Phi(coh/100 * sqrt(T/2) / sigma), T in ms, whatever the dt."""
    words = recipe(dt=dt, kwargs={"timing": {"stimulus": duration}}, trials={"coh": cohs})
    found = drawn(words, 2000)
    assert found.trials is not None
    evidence = found.inputs[..., 1:].sum(1, dtype=np.float64)
    right = evidence.argmax(1) == found.trials["ground_truth"]
    assert (found.trials["answer"] == found.trials["ground_truth"] + 1).all()
    for coh in cohs:
        chosen = right[found.trials["coh"] == coh]
        wanted = 0.5 * (1 + math.erf(coh / 100 * math.sqrt(duration / 2) / math.sqrt(2)))
        assert abs(chosen.mean() - wanted) < 3 * math.sqrt(wanted * (1 - wanted) / len(chosen))


@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")  # it uses gymnasium's old ways
def test_windows_are_those_of_the_dataset() -> None:
    """With its environments seeded as ours are, neurogym's `Dataset` gives the same windows."""
    from neurogym import Dataset

    rows, steps = 16, 100
    source = WindowSource(recipe(window=steps), seed=3)
    words = {"dt": 20, "timing": TIMING}
    theirs = Dataset(PERCEPTUAL, words, rows, seq_len=steps, batch_first=True)
    step = 0
    for filling in range(2):
        seeds = rng_of(3, "train", "windows", filling).integers(0, 2**32, size=(rows, 2))[:, 0]
        for env, seed in zip(theirs.envs, seeds, strict=True):
            env.unwrapped.seed(int(seed))
        theirs._cache()
        for _ in range(15):  # 1600 steps are kept, and the last window of them never comes
            inputs, targets = theirs()
            ours = source.batch(step, rows)
            assert np.array_equal(ours.inputs, inputs)
            assert np.array_equal(ours.targets, targets)
            assert ours.loss_mask is None
            assert ours.trials is None
            step += 1
    assert theirs._seq_end + steps >= theirs._cache_len


def test_windows_are_functions_of_their_step() -> None:
    source = WindowSource(mixed(window=50, period_weights={"decision": 1}), seed=1)
    steps = [0, 3, 1, 40, 2, 3]
    found = {step: source.batch(step, 4) for step in steps}
    for step in steps:
        again = WindowSource(mixed(window=50, period_weights={"decision": 1}), seed=1)
        assert same(again.batch(step, 4), found[step])
    assert not same(found[0], found[1])
    assert found[0].inputs.shape == (4, 50, 36)
    assert found[0].loss_mask is not None
    assert 0 < found[0].loss_mask.mean() < 0.5


def test_what_is_given_is_the_callers_own() -> None:
    source = WindowSource(recipe(window=20), seed=0)
    first = source.batch(0, 3)
    kept = first.inputs.copy()
    first.inputs[:] = -1
    source.batch(1, 3)
    assert np.array_equal(source.batch(0, 3).inputs, kept)


def test_a_recipe_is_plain_data() -> None:
    words = mixed(window=7, levels=Levels(0.1, 0.9, False), period_weights={"decision": 2.0})
    data = json.loads(json.dumps(words.to_data()))
    assert Recipe.from_data(data) == words


def test_facts() -> None:
    facts = facts_of(Environment(PERCEPTUAL, kwargs={"timing": {"delay": 0}}), 20)
    assert (facts.inputs, facts.actions, facts.values) == (3, 3, 0)
    assert facts.channels == {"fixation": (0,), "stimulus": (1, 2)}
    assert facts.choices == {"fixation": (0,), "choice": (1, 2)}
    assert facts.periods == ("fixation", "stimulus", "decision")
    assert set(facts.variables) == {"ground_truth", "coh"}
    assert facts.constant["stimulus"] == 2000


def test_arguments_and_periods() -> None:
    assert set(parameters_of(PERCEPTUAL, 20)) >= {"timing", "cohs", "sigma", "dim_ring"}
    assert parameters_of("AnnubesEnv-v0", 20)["session"]
    assert not parameters_of("yang19.dm1-v0", 20)["cohs"]
    assert "dt" not in parameters_of("yang19.dm1-v0", 20)
    found = periods_of(Environment(PERCEPTUAL, kwargs={"timing": {"stimulsu": 1}}), 20)
    assert list(found) == ["fixation", "stimulus", "delay", "decision"]


def test_what_an_environment_overrules_is_found() -> None:
    given = {"timing": {"delay": 1000}, "anti": True}
    assert set(overruled(Environment("yang19.dlygo-v0", kwargs=given), 20)) == {
        "timing.delay",
        "anti",
    }
    assert overruled(Environment(PERCEPTUAL, kwargs={"timing": TIMING, "sigma": 2}), 20) == []


def test_settable() -> None:
    assert settable(Environment(PERCEPTUAL), 20, "coh", 100)
    assert not settable(Environment("yang19.dm1-v0"), 20, "coh1_mod1", 0.5)
    with pytest.raises(EnvironmentFailed, match=r"cannot give a trial with ground_truth: 7"):
        settable(Environment(PERCEPTUAL), 20, "ground_truth", 7)


def test_an_unknown_name_is_never_imported() -> None:
    with pytest.raises(ValueError, match="registers no environment os:system"):
        facts_of(Environment("os:system"), 20)


def test_long_trials_are_refused_before_they_are_made() -> None:
    environment = Environment(PERCEPTUAL, kwargs={"timing": {"stimulus": 1e9}})
    with pytest.raises(EnvironmentFailed, match="more than 10,000,000 numbers"):
        facts_of(environment, 20)
