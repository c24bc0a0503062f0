"""Figures show what they are given, and give back the numbers that they show."""

from __future__ import annotations

import csv
import io
import math
import re
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars
import pytest
import scipy.sparse
from decision import decision_run
from hypothesis import given, settings
from hypothesis import strategies as st

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.drawing.matrices import MOST, MOST_SPARSE, binned, matrix
from netbuild.layers import LinearLayer
from netbuild.plots.conditions import condition_of, grouped
from netbuild.plots.drawing import colours, write_table
from netbuild.plots.panels import Span, name_spans
from netbuild.results.activity import Activity
from netbuild.results.maps import LabelledMap, _held_signs, labelled_maps
from netbuild.results.selectivity import selectivity
from netbuild.results.units import Units

Trials = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    return decision_run(tmp_path_factory.mktemp("decision"))


@pytest.fixture(scope="module")
def activity(run: netbuild.Run) -> Activity:
    return run.activity()


def png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def normal(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


def simulated(bias: float, slope: float, *, seed: int, count: int = 400) -> Trials:
    """Trials of a subject whose psychometric curve is known."""
    rng = np.random.default_rng(seed)
    coh = rng.choice([0.0, 3.2, 6.4, 12.8, 25.6], size=count)
    truth = rng.integers(0, 2, size=count)
    signed = np.where(truth == 1, coh, -coh)
    second = rng.random(count) < [normal(slope * (x - bias)) for x in signed]
    choice = second + 1
    correct = (choice == truth + 1).astype(float)
    return {
        "coh": coh,
        "ground_truth": truth,
        "answer": truth + 1,
        "choice": choice,
        "correct": correct,
    }


# Networks


def test_a_panel_a_layer(small: Path) -> None:
    network = netbuild.build(small)
    for kind in ("weights", "distributions"):
        figure = plots.layers(network, kind)
        titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
        assert titles == ["hidden", "readout"]


def test_weights_stand_by_area_and_sign(run: netbuild.Run) -> None:
    ax = new_axes()
    figure, data = plots.weights(run, ax)
    one = run.maps()["cortex.recurrent"]
    assert np.array_equal(ax.images[0].get_array(), one.weight)
    assert data["weight"].tolist() == one.weight.ravel().tolist()
    assert data["pre"][:16].tolist() == one.pre.name.tolist()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["V1 E", "V1 I", "PFC E", "PFC I"]
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert high == pytest.approx(np.percentile(np.abs(one.weight[one.weight != 0]), 99))
    colours = [patch.get_facecolor()[:3] for patch in ax.patches]
    assert len(colours) == 8  # four groups along each axis
    assert len(set(colours)) == 2
    assert png(figure).startswith(b"\x89PNG")


def test_signs_are_shown_where_the_map_holds_its_weights_to_them(small: Path) -> None:
    spec = netbuild.load(small, ["layers[readout].dale=none"])
    free = labelled_maps(netbuild.build(spec), spec.plan.layers)["readout"]
    assert set(free.pre.sign.tolist()) == {1, -1}  # the units are what they were
    assert not free.signs.any()
    ax = new_axes()
    plots.weights(free, ax)
    assert not ax.patches
    bound = labelled_maps(netbuild.build(small), netbuild.load(small).plan.layers)["readout"]
    assert bound.signs.tolist() == bound.pre.sign.tolist()
    ax = new_axes()
    plots.weights(bound, ax)
    assert len(ax.patches) == 2
    ax = new_axes()
    netbuild.build(spec).get_submodule("readout").plot_layer("dist", ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["free"]


def test_units_whose_weights_have_other_signs_show_none() -> None:
    signs, wired = [[1, 1], [1, -1], [-1, -1]], [[1, 1], [1, 0], [1, 1]]
    layer = LinearLayer(3, 2, ei_mask=signs, seed=0)
    sparse = LinearLayer(3, 2, storage="sparse", ei_mask=signs, sparsity_mask=wired, seed=0)
    units = np.array([1, 1, 1], np.int8)
    assert _held_signs(layer, units).tolist() == [1, 0, 0]
    assert _held_signs(sparse, units).tolist() == [1, 1, 0]  # its other connection is absent
    assert _held_signs(LinearLayer(3, 2), units).tolist() == [0, 0, 0]


def test_the_numbers_of_a_figure_are_made_when_they_are_asked_for() -> None:
    count = 500
    names = np.array([f"hidden_{i}" for i in range(count)])
    units = Units(names, np.full(count, ""), np.ones(count, np.int8))
    one = LabelledMap(np.ones((count, count), np.float32), np.zeros(count), None, units, units)
    plots.weights(one)  # whatever matplotlib keeps
    tracemalloc.start()
    data = plots.weights(one).data
    _, drawn = tracemalloc.get_traced_memory()
    assert len(data["post"]) == count**2
    _, told = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    text = sum(data[name].nbytes for name in ("map", "post", "pre"))
    assert drawn < text / 2 < told
    assert repr(data) == "Table(map, post, pre, weight)"


def test_trials_without_a_right_choice_have_no_part_in_selectivity() -> None:
    rates = np.random.default_rng(0).normal(size=(6, 5, 2)).astype(np.float32)
    units = Units(np.array(["a_0", "a_1"]), np.array(["", ""]), np.zeros(2, np.int8))

    def of(answer: list[int]) -> Any:
        own, count = rates[: len(answer)], np.full(len(answer), 5)
        trials = {"answer": np.array(answer)}
        return selectivity(Activity({"a": own}, own, {"a": units}, trials, count, 10.0), "a")

    assert np.allclose(of([0, 1, 0, 1]), of([0, 1, 0, 1, -1, -1]))
    for wrong, words in (([0, 1, 2], "have 3"), ([1, -1, -1], "have 1"), ([-1, -1], "have 0")):
        with pytest.raises(netbuild.NetbuildError, match=words) as caught:
            of(wrong)
        assert caught.value.exit_code == 2


def test_every_map_has_a_panel_of_its_own(run: netbuild.Run) -> None:
    figure, data = plots.weights(run)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert (
        titles == ["cortex.input", "cortex.recurrent", "readout"] == [*dict.fromkeys(data["map"])]
    )
    assert len(data["weight"]) == 16 * 3 + 16 * 16 + 3 * 3


def test_units_that_are_out_of_order_are_put_in_order() -> None:
    names = np.array(["a", "b", "c", "d"])
    units = Units(names, np.array(["Y", "X", "Y", "Y"]), np.array([-1, 1, 1, -1], np.int8))
    weight = np.arange(16.0).reshape(4, 4)
    one = LabelledMap(weight, np.zeros(4), None, units, units)
    _, data = plots.weights(one)
    assert data["pre"][:4].tolist() == ["c", "a", "d", "b"]
    assert data["weight"][:4].tolist() == weight[2, [2, 0, 3, 1]].tolist()


def test_sorted_by_selectivity_within_area_and_sign(run: netbuild.Run, activity: Activity) -> None:
    _, data = plots.weights(run, layer="cortex", sort="selectivity")
    names = data["pre"][:16].tolist()
    values = dict(zip(activity.units["cortex"].name, selectivity(activity, "cortex"), strict=True))
    for group in (names[:8], names[8:10], names[10:13], names[13:]):
        found = [values[name] for name in group]
        assert found == sorted(found, reverse=True)
    assert {name[:2] for name in names[:10]} == {"V1"}
    weight = run.weights("cortex.recurrent")
    place = {name: i for i, name in enumerate(activity.units["cortex"].name)}
    for post, pre, value in zip(data["post"], data["pre"], data["weight"], strict=True):
        assert weight[place[post], place[pre]] == value


def test_large_matrices_are_drawn_as_means() -> None:
    rng = np.random.default_rng(0)
    rows, columns = MOST + 500, 30
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.1)
    small = binned(dense)
    assert small.shape == (MOST, columns)
    starts = [math.ceil(b * rows / MOST) for b in range(MOST + 1)]
    for b in (0, 3, MOST - 1):
        assert np.allclose(small[b], dense[starts[b] : starts[b + 1]].mean(0))
    sparse = scipy.sparse.csr_array(dense)
    assert np.allclose(binned(sparse, MOST), small)
    assert np.allclose(binned(sparse), binned(dense, MOST_SPARSE))
    ax = new_axes()
    matrix(ax, dense)
    assert ax.images[0].get_extent() == [-0.5, columns - 0.5, rows - 0.5, -0.5]


def test_sparse_matrices_are_never_made_dense() -> None:
    count = 400_000  # 1.3 TB, if it were
    places = np.arange(0, count, 7)
    shape = (count, count)
    weight = scipy.sparse.coo_array((np.ones(len(places)), (places, places)), shape=shape).tocsr()
    small = binned(weight)
    assert small.shape == (MOST_SPARSE, MOST_SPARSE)
    assert small.sum() * (count / MOST_SPARSE) ** 2 == pytest.approx(len(places))


def test_eigenvalues_of_a_known_matrix() -> None:
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    units = Units(np.array(["a_0", "a_1"]), np.array(["", ""]), np.zeros(2, np.int8))
    one = LabelledMap(turn, np.zeros(2), None, units, units)
    figure, data = plots.eigenvalues({"a.recurrent": one})
    assert sorted(data["imaginary"].tolist()) == pytest.approx([-2.0, 2.0])
    assert data["real"].tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    (ax,) = figure.axes
    assert "spectral radius 2" in ax.get_title()
    circle = ax.lines[2].get_xydata()
    assert np.allclose(np.linalg.norm(circle, axis=1), 1)
    assert ax.get_xlim()[1] > 2
    for wrong in ({"a": one}, {}):
        with pytest.raises(netbuild.NetbuildError, match="there is none") as caught:
            plots.eigenvalues(wrong)
        assert caught.value.exit_code == 2
    broken = {"a.recurrent": one._replace(weight=turn * np.nan)}
    with pytest.raises(netbuild.NetbuildError, match="holds NaN or Inf"):
        plots.eigenvalues(broken)


# Training


def test_learning_curve_holds_every_point() -> None:
    metrics = [
        {
            "kind": "train",
            "step": step,
            "loss": 1.0 / step,
            "accuracy": 0.5,
            "regularizers": {"dale": {"raw": 2.0, "weighted": 0.2}},
        }
        for step in (10, 20)
    ] + [{"kind": "evaluation", "step": 20, "loss": 0.1}]
    figure, data = plots.learning(metrics)
    loss, regularizers, accuracy = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.1], [20, 0.05]]
    assert loss.lines[1].get_xydata().tolist() == [[20, 0.1]]
    assert regularizers.lines[0].get_xydata().tolist() == [[10, 0.2], [20, 0.2]]
    assert accuracy.get_ylabel() == "accuracy"
    assert accuracy.lines[0].get_xydata().tolist() == [[10, 0.5], [20, 0.5]]
    rows = list(zip(*data.values(), strict=True))
    assert rows[2] == (20, "loss", "evaluation", 0.1)
    assert len(rows) == 7
    ax = new_axes()
    plots.learning(metrics, ax, panel="accuracy")
    assert ax.get_ylabel() == "accuracy"
    with pytest.raises(netbuild.NetbuildError, match="no accuracy"):
        plots.learning(metrics[2:], panel="accuracy")
    with pytest.raises(netbuild.NetbuildError, match="nothing down yet"):
        plots.learning([])
    with pytest.raises(TypeError, match="one run, or the lines of its log, not a list of Run"):
        plots.learning([netbuild.Run(Path())])  # type: ignore[list-item]


# Choices


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


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def counted(fractions: list[float], n: int = 100) -> Trials:
    """Trials of two choices, `n` at each of 0, 1, ..., with these fractions of the second."""
    x = np.repeat(np.arange(float(len(fractions))), n)
    choice = np.concatenate([np.arange(n) < round(f * n) for f in fractions]).astype(int)
    answer = np.arange(len(x)) % 2
    return {"x": x, "answer": answer, "choice": choice, "correct": (choice == answer).astype(float)}


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
    assert png(figure).startswith(b"\x89PNG")


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


def test_coherences_are_signed_in_each_environment_by_itself() -> None:
    trials = {
        "environment": np.array(["a", "a", "b", "b", "c"]),
        "ground_truth": np.array([0.0, 1.0, 1.0, 2.0, np.nan]),
        "coh": np.array([5.0, 6.0, 7.0, 8.0, np.nan]),
    }
    found = condition_of(trials)
    assert found is not None
    assert found.signed
    assert np.array_equal(found.values, [-5, 6, -7, 8, np.nan], equal_nan=True)
    trials["coh"][0] = -5.0
    signed = condition_of(trials)
    assert signed is not None
    assert not signed.signed
    assert signed.values[:3].tolist() == [-5, 6, 7]


def test_the_difference_of_two_variables() -> None:
    trials = {"v1": np.array([1, 2]), "v2": np.array([3.0, 1.0]), "word": np.array(["a", "b"])}
    found = condition_of(trials, "v1-v2")
    assert found is not None
    assert found.values.tolist() == [-2.0, 1.0]
    assert condition_of(trials) is None
    with pytest.raises(netbuild.NetbuildError, match="no variable `v1-word`"):
        condition_of(trials, "v1-word")


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
    run: netbuild.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.plots import psychometry

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
    psychometry._draw_ideal(ax, Fake, trials)  # type: ignore[arg-type]
    x, y = ax.lines[0].get_data()
    at = np.abs(np.asarray(x) - 6.4).argmin()
    expected = normal(np.asarray(x)[at] / 100 * math.sqrt(500 / 2) / 2)
    assert np.asarray(y)[at] == pytest.approx(expected, abs=1e-9)
    trials["stimulus_end"] = np.array([20, 25, 25])
    psychometry._draw_ideal(ax, Fake, trials)  # type: ignore[arg-type]
    assert len(ax.lines) == 1  # of unequal durations there is no one curve


def test_a_run_is_its_scored_trials(run: netbuild.Run) -> None:
    _, data = plots.psychometric(run)
    table = run.trials()
    assert data["trials"].sum() == table["choice"].is_in([1, 2]).sum()
    assert data["chosen"].sum() == (table["choice"] == 2).sum()
    assert data["x"].tolist() == [-51.2, -12.8, 0.0, 12.8, 51.2]


def test_what_no_curve_can_be_drawn_of(small: Path, tmp_path: Path) -> None:
    run = netbuild.train(small, tmp_path / "runs")
    for draw, words in (
        (plots.psychometric, "no coherence"),
        (plots.trajectories, "no time"),
        (plots.rates, "no time"),
        (plots.eigenvalues, "recurrent layers"),
    ):
        with pytest.raises(netbuild.NetbuildError, match=words) as caught:
            draw(run)
        assert caught.value.exit_code == 2
    with pytest.raises(netbuild.NetbuildError, match="something is chosen"):
        plots.psychometric({"coh": np.zeros(3)})
    with pytest.raises(netbuild.NetbuildError, match="no variable `speed`") as caught:
        plots.psychometric(simulated(0, 1, seed=0), condition="speed")
    assert caught.value.hint == "there are coh, ground_truth, answer, choice, correct"
    with pytest.raises(netbuild.NetbuildError, match="no map `hidden2`"):
        plots.weights(run, layer="hidden2")


# Activity


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), points=st.integers(3, 40), units=st.integers(2, 12))
def test_principal_components_are_numpys(seed: int, points: int, units: int) -> None:
    x = np.random.default_rng(seed).normal(size=(points, units)) * np.arange(1, units + 1)
    plane = plots.principal_plane(np.concatenate([x, np.full((2, units), np.nan)]))
    centred = x - x.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    assert np.allclose(plane.explained, values[::-1][:2] / values.sum())
    scores = plane.project(x)
    for i in range(2):
        assert np.allclose(np.abs(scores[:, i]), np.abs(centred @ vectors[:, -1 - i]), atol=1e-6)
    assert np.allclose(plane.components @ plane.components.T, np.eye(2))


def test_trajectories_are_the_averages_in_the_plane(activity: Activity) -> None:
    figure, data = plots.trajectories(activity)
    signed = condition_of(activity.trials)
    assert signed is not None
    mean = activity.mean_by(signed.values, align="stimulus")
    rates = np.where(
        (mean.counts * 2 >= mean.counts.max(1)[:, None])[..., None], mean.rates["cortex"], np.nan
    )
    plane = plots.principal_plane(rates.reshape(-1, 16))
    expected = plane.project(rates)
    (ax,) = figure.axes
    lines = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert len(lines) == 5
    for line, path in zip(lines, expected, strict=True):
        assert np.allclose(line.get_xydata(), path, equal_nan=True)
    assert np.allclose(data["pc1"], expected[..., 0].ravel(), equal_nan=True)
    assert data["condition"][0] == "-51.2"
    assert f"PC 1 ({plane.explained[0]:.0%}" in ax.get_xlabel()
    assert png(figure).startswith(b"\x89PNG")
    again, _ = plots.trajectories(activity, new_axes(), plane=plane)
    assert again is not figure


def test_padding_is_in_no_figure(activity: Activity) -> None:
    spoiled = {name: rates.copy() for name, rates in activity.items()}
    mask = activity.mask
    assert mask is not None
    for rates in spoiled.values():
        rates[~mask] = 1e9
    other = Activity(
        spoiled, activity.inputs, activity.units, activity.trials, activity.steps, activity.dt
    )
    for draw in (plots.trajectories, plots.rates):
        one, two = draw(activity).data, draw(other).data
        for name in one:
            assert np.array_equal(one[name], two[name], equal_nan=one[name].dtype.kind == "f")


def test_rates_of_units_by_sign_area_and_name(activity: Activity) -> None:
    figure, data = plots.rates(activity, condition="coh", align="decision")
    assert [*dict.fromkeys(data["units"])] == ["excitatory", "inhibitory"]
    signed = condition_of(activity.trials, "coh")
    assert signed is not None
    mean = activity.mean_by(signed.values, align="decision")
    sign = activity.units["cortex"].sign
    drawn = data["rate"][data["units"] == "excitatory"].reshape(mean.counts.shape)
    expected = mean.rates["cortex"][..., sign == 1].mean(-1)
    enough = mean.counts * 2 >= mean.counts.max(1, keepdims=True)
    assert np.allclose(drawn[enough], expected[enough])
    assert np.isnan(drawn[~enough]).all()
    upper, lower = figure.axes
    assert np.allclose(upper.lines[0].get_ydata(), drawn[0], equal_nan=True)
    assert lower.get_xlabel() == "time from decision (ms)"
    for units, which in (("PFC", slice(10, 16)), ("V1_3", slice(3, 4))):
        ax = new_axes()
        _, data = plots.rates(activity, ax, units=units, condition="coh")
        assert len(ax.get_lines()) >= 3
        aligned = activity.mean_by(signed.values, align="stimulus")
        expected = aligned.rates["cortex"][..., which].mean(-1)
        drawn = data["rate"].reshape(expected.shape)
        assert np.allclose(drawn[~np.isnan(drawn)], expected[~np.isnan(drawn)])
    for wrong in ({"units": "V4"}, {"layer": "hidden"}, {"align": "delay"}, {"condition": "x"}):
        with pytest.raises(netbuild.NetbuildError, match="no ") as caught:
            plots.rates(activity, **wrong)
        assert caught.value.exit_code == 2


def test_without_coherence_it_is_the_right_answer_that_tells_trials_apart(
    activity: Activity,
) -> None:
    trials = {name: values for name, values in activity.trials.items() if name != "coh"}
    trials["choice"] = np.zeros(120, int)  # as of an untrained network
    trials["answer"] = np.where(np.arange(120) < 5, -1, trials["answer"])  # nothing is right

    def drawn() -> list[str]:
        changed = (activity.rates, activity.inputs, activity.units, trials, activity.steps, 20.0)
        return [*dict.fromkeys(plots.rates(Activity(*changed)).data["condition"].tolist())]

    assert drawn() == ["1", "2"]
    trials["answer"] = np.full(120, -1)
    assert drawn() == ["0"]
    del trials["answer"], trials["choice"]
    assert drawn() == ["all trials"]


# Several environments


@pytest.fixture(scope="module")
def several(activity: Activity) -> Activity:
    """Trials of two environments, of which one has neither coherences nor a stimulus."""
    go = np.arange(120) % 3 == 0
    trials = {name: values.copy() for name, values in activity.trials.items()}
    trials["environment"] = np.where(go, "go", "match")
    trials["coh"] = np.where(go, np.nan, trials["coh"])
    for edge in ("start", "end"):
        trials[f"stimulus_{edge}"][go] = -1
    return Activity(
        activity.rates, activity.inputs, activity.units, trials, activity.steps, activity.dt
    )


def test_each_environment_has_panels_of_its_own(several: Activity) -> None:
    figure, data = plots.rates(several)
    assert [ax.get_xlabel() for ax in figure.axes] == [
        *["time from trial start (ms)"] * 2,
        *["time from stimulus (ms)"] * 2,
    ]
    titles = [ax.get_title() for ax in figure.axes[::2]]
    assert titles == ["go: cortex, 40 trials", "match: cortex, 80 trials"]
    go = several.trials["environment"] == "go"
    for name, rows in (("go", go), ("match", ~go)):
        own = data["environment"] == name
        alone = several.where(rows)
        _, expected = plots.rates(alone)
        for column in ("units", "condition", "time", "rate"):
            found = data[column][own]
            equal_nan = found.dtype.kind == "f"
            assert np.array_equal(found, expected[column], equal_nan=equal_nan)
        named = plots.rates(several, environment=name).data
        assert "environment" in named
        assert np.array_equal(named["rate"], expected["rate"], equal_nan=True)
    assert "environment" not in expected
    assert {"0", "-51.2"} <= set(data["condition"][data["environment"] == "match"])


def test_environments_share_a_plane_and_a_scale(several: Activity) -> None:
    figure, data = plots.trajectories(several)
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert [ax.get_title().splitlines()[0] for ax in figure.axes] == [
        "go: cortex, 40 trials",
        "match: cortex, 80 trials",
    ]
    own = data["environment"] == "match"
    line = right.lines[0].get_xydata()
    assert np.allclose(data["pc1"][own][: len(line)], line[:, 0], equal_nan=True)
    alone = plots.trajectories(several, condition="environment").data
    assert [*dict.fromkeys(alone["condition"])] == ["go", "match"]


def test_an_environment_without_the_variable_is_all_trials(several: Activity) -> None:
    _, data = plots.rates(several, condition="coh", align="stimulus", units="V1")
    go = data["environment"] == "go"
    assert set(data["condition"][go]) == {"all trials"}
    mean = several.where(several.trials["environment"] == "go").mean_by(np.zeros(40))
    expected = mean.rates["cortex"][0, :, :10].mean(-1)
    drawn = data["rate"][go]
    assert np.allclose(drawn[~np.isnan(drawn)], expected[~np.isnan(drawn)])


@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        ({"environment": "no"}, "no environment `no`", "there are go, match"),
        ({"environment": "go", "align": "stimulus"}, "no period `stimulus`", "decision"),
        ({"environment": "go", "condition": "coh"}, "no variable `coh`", "there are sample, steps"),
        ({"condition": "no"}, "no variable `no`", "there are sample, steps"),
        ({"align": "no"}, "no period `no`", "there are decision, stimulus"),
        ({"ax": True}, "one panel cannot show 2 environments", "names one of go, match"),
    ],
)
def test_what_no_environment_has(several: Activity, given: Any, what: str, hint: str) -> None:
    if "ax" in given:
        given = {"ax": new_axes()}
    for draw in (plots.rates, plots.trajectories):
        with pytest.raises(netbuild.NetbuildError, match=what) as caught:
            draw(several, **given)
        assert caught.value.exit_code == 2
        assert hint in caught.value.hint
    with pytest.raises(netbuild.NetbuildError, match="there is no environment"):
        plots.psychometric(simulated(0, 1, seed=0), environment="go")


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


def test_periods_are_named_where_they_are(activity: Activity) -> None:
    ax = new_axes()
    plots.rates(activity, ax, align="stimulus")
    last = ax.get_xlim()[1]
    names = {text.get_text() for text in ax.texts}
    assert names == {"stimulus", "decision starts"}  # trials are of unequal length
    band = ax.patches[-1].get_extents().transformed(ax.transData.inverted())
    starts = (activity.trials["decision_start"] - activity.trials["stimulus_start"]) * 20.0
    assert band.x0 == pytest.approx(starts.min())
    assert band.x1 == pytest.approx(min(starts.max(), last))
    ax = new_axes()
    plots.rates(activity, ax, align="decision", units="V1_3")
    lines = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2]
    assert lines == [0]
    assert "decision" in {text.get_text() for text in ax.texts}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 14))
def test_names_of_periods_do_not_run_into_each_other(lengths: list[int], letters: int) -> None:
    ends = np.cumsum([0, *lengths])
    spans = [Span("m" * letters, float(a), float(b)) for a, b in pairwise(ends)]
    ax = new_axes()
    ax.set_xlim(0, ends[-1])
    height = name_spans(ax, spans, 0.0, float(ends[-1]))
    lines: dict[float, list[float]] = {}
    for text in ax.texts:
        assert 0 < text.xy[0] < 1
        lines.setdefault(text.xyann[1], []).append(text.xy[0])
    assert len(ax.texts) == len(spans)
    assert len(lines) * 10 == height
    assert all(low < high for places in lines.values() for low, high in pairwise(places))


def test_stages_of_a_training_are_named() -> None:
    lines = [
        {"kind": kind, "step": step, "stage": stage, "loss": 1.0, "accuracy": 0.5}
        for stage, steps in (("easy", (10, 20, 25)), ("hard", (30, 40)), ("last", (41,)))
        for step in steps
        for kind in ("train", "evaluation")
    ]
    figure, _ = plots.learning(lines)
    upper, lower = figure.axes
    assert [text.get_text() for text in upper.texts] == ["easy", "hard", "last"]
    for ax in (upper, lower):
        dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
        assert dashed == [25, 40]  # where the stage before has ended
    assert not lower.texts
    figure, _ = plots.learning([{**line, "stage": "only"} for line in lines])
    assert not figure.axes[0].texts
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]


# What they share


def test_nothing_touches_pyplot(run: netbuild.Run, activity: Activity) -> None:
    plots.rates(activity)
    plots.weights(run)
    pyplot = sys.modules.get("matplotlib.pyplot")  # neurogym imports it
    assert pyplot is None or not pyplot.get_fignums()


def test_many_values_are_put_together() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    few = grouped(values)
    assert len(np.unique(few)) == 8
    assert few.mean() == pytest.approx(values.mean())
    assert np.corrcoef(few, values)[0, 1] > 0.9
    assert grouped(values[:10]) is not few
    words = np.array(["a", "b"])
    assert grouped(words) is words


def test_colours_tell_conditions_apart() -> None:
    for values in (np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.arange(5.0), np.array(["a", "b"])):
        found = colours(values)
        assert len({tuple(np.round(c, 3)) if not isinstance(c, str) else c for c in found}) == len(
            values
        )


def test_tables_are_written_as_they_are(tmp_path: Path) -> None:
    data = {"name": np.array(["a, b", "c"]), "value": np.array([0.1, np.nan])}
    rows = list(csv.reader(io.StringIO(write_table(tmp_path / "x.csv", data).decode())))
    assert rows == [["name", "value"], ["a, b", "0.1"], ["c", "NaN"]]
    with np.load(io.BytesIO(write_table(tmp_path / "x.npz", data)), allow_pickle=False) as file:
        assert file["name"].tolist() == ["a, b", "c"]
    with pytest.raises(netbuild.NetbuildError, match=r"\.csv or \.npz"):
        write_table(tmp_path / "x.txt", data)


def test_maps_have_the_effective_weights(run: netbuild.Run, small: Path) -> None:
    for name, one in run.maps().items():
        assert np.array_equal(one.weight, run.weights(name).numpy())
    with pytest.raises(KeyError, match=r"several maps; name one of cortex.input, cortex.recurrent"):
        run.weights("cortex")
    readout = run.maps()["readout"]
    assert readout.pre.name.tolist() == ["PFC_0", "PFC_1", "PFC_2"]
    spec = netbuild.load(small, ["layers[readout].dale=abs"])
    network = netbuild.build(spec)
    one = labelled_maps(network, spec.plan.layers)["readout"]
    assert (one.weight[:, one.pre.sign == 1] >= 0).all()
    assert (one.weight[:, one.pre.sign == -1] <= 0).all()
    assert one.pre.name[0] == "drop_0"
    assert polars.DataFrame(dict(plots.weights(run).data)).height == 16 * 3 + 256 + 9
