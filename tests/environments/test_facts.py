"""What is known of an environment before any training, and which environments are refused."""

from __future__ import annotations

import pytest
from recipes import ANGLES, FROM_REWARDS, PERCEPTUAL, TIMING

from netbuild.environments.facts import facts_of, overruled, parameters_of, periods_of, settable
from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Environment


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


def test_facts() -> None:
    facts = facts_of(Environment(PERCEPTUAL, kwargs={"timing": {"delay": 0}}), 20)
    assert (facts.inputs, facts.actions, facts.values) == (3, 3, 0)
    assert facts.channels == {"fixation": (0,), "stimulus": (1, 2)}
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
