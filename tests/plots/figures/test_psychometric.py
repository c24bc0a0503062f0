"""The psychometric curve: its points, its fit, and the ideal observer."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from choices import Trials, normal, simulated
from hypothesis import given, settings
from hypothesis import strategies as st

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def counted(fractions: list[float], n: int = 100) -> Trials:
    """Trials of two choices, `n` at each of 0, 1, ..., with these fractions of the second."""
    x = np.repeat(np.arange(float(len(fractions))), n)
    choice = np.concatenate([np.arange(n) < round(f * n) for f in fractions]).astype(int)
    answer = np.arange(len(x)) % 2
    return {"x": x, "answer": answer, "choice": choice, "correct": (choice == answer).astype(float)}


@pytest.mark.parametrize(("bias", "slope"), [(0.0, 0.1), (5.0, 0.06), (-3.0, 0.3), (2.0, -0.1)])
def test_the_fit_recovers_a_known_curve_within_its_error(bias: float, slope: float) -> None:
    within = np.zeros(2)
    for seed in range(40):
        trials = simulated(bias, slope, seed=seed)
        x = np.where(trials["ground_truth"] == 1, trials["coh"], -trials["coh"])
        fit = plots.fit_psychometric(x, trials["choice"] == 2, np.ones(len(x)))
        assert fit is not None
        z = [(fit.bias - bias) / fit.bias_error, (fit.slope - slope) / fit.slope_error]
        within += np.abs(z) < 2
    assert (within >= 34).all()  # 38 are expected; fewer than 34 have odds of about 1 %
    assert (within <= 40).all()


def test_the_fit_is_the_optimum() -> None:
    x, n = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.full(5, 50)
    k = np.array([3, 10, 30, 44, 48])
    fit = plots.fit_psychometric(x, k, n)
    assert fit is not None

    def likelihood(bias: float, slope: float) -> float:
        p = np.array([normal(slope * (value - bias)) for value in x])
        return float(k @ np.log(p) + (n - k) @ np.log1p(-p))

    best = likelihood(fit.bias, fit.slope)
    h = 1e-4
    for db, ds in ((h, 0), (-h, 0), (0, h), (0, -h), (h, h), (-h, h)):
        assert likelihood(fit.bias + db, fit.slope + ds) < best
    curve = likelihood(fit.bias, fit.slope + h) + likelihood(fit.bias, fit.slope - h) - 2 * best
    assert fit.slope_error >= (-curve / h**2) ** -0.5 * 0.999  # of the slope alone, at the least


@pytest.mark.parametrize(
    ("fractions", "why"),
    [
        ([0.2, 0.8], "2 values, 4 are needed"),
        ([0.2, 0.5, 0.8], "3 values, 4 are needed"),
        ([1.0, 0.0, 0.0, 0.9], "these points make no sigmoid"),
        ([0.1, 0.9, 0.1, 0.9], "these points make no sigmoid"),
        ([0.0, 0.0, 1.0, 1.0], "no choice is uncertain"),
        ([1.0, 1.0, 1.0, 1.0], "all choices are the same"),
        ([0.5, 0.5, 0.5, 0.5], "the slope is 0"),
    ],
)
def test_where_no_curve_is_fitted_the_legend_says_why(fractions: list[float], why: str) -> None:
    figure, data = plots.psychometric(counted(fractions), condition="x")
    assert legend(figure.axes[0]) == [f"no fit: {why}"]
    assert np.isnan(data["slope"]).all()
    assert np.isnan(figure.axes[0].lines[1].get_ydata()).all()


@pytest.mark.parametrize(
    "fractions",
    [
        [0.05, 0.3, 0.7, 0.95],
        [0.51, 0.5, 0.51, 0.52],  # a flat curve is one too
        [0.03, 0.02, 0.05, 0.5, 0.94, 0.97, 0.97],  # lapses
    ],
)
def test_a_curve_is_fitted_to_points_that_it_describes(fractions: list[float]) -> None:
    figure, data = plots.psychometric(counted(fractions, 1000), condition="x")
    assert not np.isnan(data["slope"]).any()
    assert "slope" in legend(figure.axes[0])[0]
    assert legend(figure.axes[0])[0].endswith(" per unit")


def test_the_numbers_of_a_fit_have_their_units() -> None:
    figure, _ = plots.psychometric(simulated(1.0, 0.1, seed=3))
    (words,) = legend(figure.axes[0])
    assert re.fullmatch(r"bias .* ± .* %\nslope .* ± .* per %", words)


def test_choices_that_have_no_fit() -> None:
    x, n = np.array([-1.0, 0.0, 1.0]), np.full(3, 10)
    assert plots.fit_psychometric(x, np.array([0, 0, 10]), n) is None  # separated
    assert plots.fit_psychometric(x, np.array([10, 10, 10]), n) is None
    assert plots.fit_psychometric(x[:1], np.array([5]), n[:1]) is None
    x, n = np.append(x, 2.0), np.full(4, 10)
    assert plots.fit_psychometric(x, np.array([0, 0, 10, 10]), n) is None
    assert plots.fit_psychometric(x, np.array([0, 3, 7, 10]), n) is not None
    trials = simulated(0.0, 1e6, seed=0)
    _, data = plots.psychometric(
        {name: values[trials["coh"] > 0] for name, values in trials.items()}
    )
    assert np.isnan(data["slope"]).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_solve_their_equation(case: tuple[int, int]) -> None:
    k, n = case
    z = 1.959964
    low, high = plots.wilson(np.array([k]), np.array([n]))
    assert 0 <= low[0] <= k / n <= high[0] <= 1
    for end in (low[0], high[0]):
        assert (k / n - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-12)


def test_the_points_are_the_fractions() -> None:
    trials = simulated(1.0, 0.1, seed=3)
    trials["choice"][:10] = 0  # neither: left out
    figure, data = plots.psychometric(trials)
    signed = np.where(trials["ground_truth"] == 1, trials["coh"], -trials["coh"])
    for i, x in enumerate(data["x"]):
        here = (signed == x) & (trials["choice"] > 0)
        assert data["trials"][i] == here.sum()
        assert data["chosen"][i] == (trials["choice"][here] == 2).sum()
    (ax,) = figure.axes
    points = ax.lines[0].get_xydata()
    assert np.allclose(points, np.stack([data["x"], data["proportion"]], 1))
    assert ax.get_ylabel() == "fraction of choice 2"  # of trials that have no periods
    trials |= {"answer_end": trials["coh"], "go_end": trials["coh"], "stop_end": trials["choice"]}
    figure, _ = plots.psychometric(trials)
    assert figure.axes[0].get_ylabel() == "fraction of choice 2\nat the end of go"


def test_a_curve_for_each_context_and_modality() -> None:
    rng = np.random.default_rng(0)
    count = 4000
    own, other, context = (rng.integers(0, 2, size=count) for _ in range(3))
    coh_1, coh_2 = (rng.choice([5, 15, 50], size=count) for _ in range(2))
    relevant = np.where(context == 0, coh_1, coh_2) * np.where(own == 1, 1, -1)
    choice = np.array([rng.random() < normal(0.08 * x) for x in relevant]) + 1
    trials = {
        "context": context,
        "ground_truth": own + 1,
        "other_choice": other + 1,
        "answer": own + 1,
        "coh_1": coh_1,
        "coh_2": coh_2,
        "choice": choice,
        "correct": (choice == own + 1).astype(float),
    }
    _, data = plots.psychometric(trials)
    assert [*dict.fromkeys(data["curve"])] == ["context 0", "context 1"]
    slope = {c: data["slope"][data["curve"] == c][0] for c in ("context 0", "context 1")}
    assert slope["context 0"] == pytest.approx(0.08, abs=0.01)
    assert slope["context 1"] == pytest.approx(0.0, abs=0.005)
    _, data = plots.psychometric(trials, condition="coh_2")
    assert data["slope"][0] == pytest.approx(0.0, abs=0.005)
    assert data["slope"][-1] == pytest.approx(0.08, abs=0.01)


def test_more_than_two_choices_are_right_or_wrong() -> None:
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 3, size=300)
    correct = rng.integers(0, 2, size=300).astype(float)
    x = rng.choice([1.0, 2.0], size=300)
    trials = {"answer": answer, "choice": answer, "correct": correct, "contrast": x}
    figure, data = plots.psychometric(trials, condition="contrast")
    assert data["proportion"].tolist() == [correct[x == v].mean() for v in (1.0, 2.0)]
    assert np.isnan(data["slope"]).all()
    assert figure.axes[0].get_ylabel() == "fraction correct"


def test_the_ideal_observer_of_the_decision_task(
    decision: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.plots.figures import psychometric

    class Task:
        env, evaluation = "PerceptualDecisionMaking-v0", None
        env_kwargs = MappingProxyType({"sigma": 2.0})

    class Spec:
        model = type("Model", (), {"task": Task, "dt": 20.0})

    class Fake:
        spec, given_task = Spec, None
        part = staticmethod(lambda: ("", Spec))

    ax = new_axes()
    ax.set_xlim(-10, 10)
    trials = {"stimulus_start": np.zeros(3), "stimulus_end": np.full(3, 25)}
    psychometric._draw_ideal(ax, Fake, trials)  # type: ignore[arg-type]
    x, y = ax.lines[0].get_data()
    at = np.abs(np.asarray(x) - 6.4).argmin()
    expected = normal(np.asarray(x)[at] / 100 * math.sqrt(500 / 2) / 2)
    assert np.asarray(y)[at] == pytest.approx(expected, abs=1e-9)
    trials["stimulus_end"] = np.array([20, 25, 25])
    psychometric._draw_ideal(ax, Fake, trials)  # type: ignore[arg-type]
    assert len(ax.lines) == 1  # of unequal durations there is no one curve


def test_a_run_is_its_scored_trials(decision: netbuild.Run) -> None:
    _, data = plots.psychometric(decision)
    table = decision.trials()
    assert data["trials"].sum() == table["choice"].is_in([1, 2]).sum()
    assert data["chosen"].sum() == (table["choice"] == 2).sum()
    assert data["x"].tolist() == [-51.2, -12.8, 0.0, 12.8, 51.2]


def test_a_curve_for_each_environment_that_has_the_variable() -> None:
    trials = simulated(0.0, 0.1, seed=1)
    kinds = np.array(["a", "b", "c", "d"])[np.arange(400) % 4]
    trials["environment"] = kinds
    trials["coh"] = np.where(np.isin(kinds, ["a", "b"]), trials["coh"], np.nan)
    _, data = plots.psychometric(trials)
    assert [*dict.fromkeys(data["curve"])] == ["a", "b"]
    assert data["trials"].sum() == 200
    _, alone = plots.psychometric(trials, environment="b")
    assert alone["proportion"].tolist() == data["proportion"][data["curve"] == "b"].tolist()
    many = simulated(0.0, 0.1, seed=1)
    many["environment"] = np.array(list("abcdefg"))[np.arange(400) % 7]
    with pytest.raises(netbuild.NetbuildError, match="7 environments have this variable"):
        plots.psychometric(many)
    assert set(plots.psychometric(many, environment="g").data["curve"]) == {""}
