"""Our figures have one look, and their words are inside them and apart from each other."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest
from figures import misplaced
from matplotlib.figure import Figure

import netbuild
from netbuild import plots
from netbuild.analysis import study
from netbuild.drawing.look import name_of, new_axes, own_look
from netbuild.results.activity import Activity
from netbuild.results.maps import LabelledMap
from netbuild.results.units import Units

LONG = "a_very_long_name_that_somebody_gave_to_" * 4
ODD = "$x^{ \x1b[31m\u202e\u4e2d\udcff"  # no formula; an escape, a mark of direction, no glyph


@pytest.fixture(scope="module")
def run(decision: netbuild.Run) -> netbuild.Run:
    return decision


def renamed(activity: Activity, name: str, *, kinds: int, scale: float = 1.0) -> Activity:
    """Activity whose layer, areas, units, periods and environments have such a name."""
    count = len(activity.inputs)
    (layer, readout), values = activity.units, activity.trials.items()
    units = activity.units[layer]
    area = np.array([f"{name}{word}" for word in units.area])
    trials = {key.replace("decision", f"{name}decision"): value for key, value in values}
    trials[f"{name}coh"] = trials["coh"]
    trials["environment"] = np.array([f"{name}{i % kinds}" for i in range(count)])
    if kinds == 1:
        del trials["environment"]
    rates = {f"{name}{layer}": activity[layer] * scale, readout: activity[readout]}
    own = Units(np.array([f"{name}{word}" for word in units.name]), area, units.sign)
    all_units = {f"{name}{layer}": own, readout: activity.units[readout]}
    return Activity(rates, activity.inputs, all_units, trials, activity.steps, activity.dt)


def maps(name: str, areas: int, size: int) -> dict[str, LabelledMap]:
    """A recurrent map and one onto three units, of areas with such a name."""
    rng = np.random.default_rng(0)
    area = np.array([f"{name}{i * areas // size}" for i in range(size)])
    signs = np.where(np.arange(size) % 5 == 0, -1, 1).astype(np.int8)
    units = Units(np.array([f"{name}_{i}" for i in range(size)]), area, signs)
    out = Units(np.array(["o_0", "o_1", "o_2"]), np.array([""] * 3), np.zeros(3, np.int8))
    weight = 1e-6 * rng.normal(size=(size, size)).astype(np.float32)
    return {
        f"{name}.recurrent": LabelledMap(weight, np.zeros(size), None, units, units),
        f"{name}.readout": LabelledMap(weight[:3], np.zeros(3), None, units, out),
        "third": LabelledMap(weight[:3], np.zeros(3), None, units, out),
    }


def log(name: str, stages: int) -> list[dict[str, Any]]:
    """A learning curve of several stages with tiny regularizers."""
    return [
        {
            "kind": kind,
            "step": step,
            "stage": f"{name}{step * stages // 41}",
            "loss": 10.0 ** -(step // 10),
            "accuracy": 0.5,
            "regularizers": {f"{name}{i}": {"weighted": step * 1e-7} for i in range(5)},
        }
        for step in range(1, 41)
        for kind in ("train", "evaluation")
    ]


def choices(name: str, kinds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    coh, truth = rng.choice([0.0, 6.4, 12.8, 25.6], size=900), rng.integers(0, 2, size=900)
    choice = np.where(rng.random(900) < 0.2, 1 - truth, truth)
    return {
        "coh": coh,
        "answer": truth,
        "choice": choice,
        "correct": (choice == truth).astype(float),
        "environment": np.array([f"{name}{i % kinds}" for i in range(900)]),
    }


def drawings(run: netbuild.Run, name: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every kind of figure, of few and of many conditions, with such a name in every place."""
    activity = run.activity(60)
    one, two = (renamed(activity, name, kinds=kinds, scale=1e-7) for kinds in (1, 2))
    coh, some = f"{name}coh", f"name={','.join(one.units[f'{name}cortex'].name[:6].tolist())}"
    yield "rates", lambda: plots.rates(one, condition=coh)
    yield "rates of many conditions", lambda: plots.rates(two, condition="sample")
    yield "rates of some units", lambda: plots.rates(one, units=some)
    yield "paths", lambda: plots.trajectories(two, condition=coh)
    yield "paths of some units", lambda: plots.trajectories(one, units=some, condition="sample")
    yield (
        "weights",
        lambda: plots.weights(maps(name, 3, 30), from_="excitatory", layer=f"{name}.readout"),
    )
    many = {key: maps(name, 60, 80)[key] for key in (f"{name}.recurrent", "third")}
    yield "weights of many areas", lambda: plots.weights(many)
    yield "eigenvalues", lambda: plots.eigenvalues(maps(name, 3, 30))
    yield "learning", lambda: plots.learning(log(name, 1))
    yield "learning in stages", lambda: plots.learning(log(name, 6))
    yield "psychometric", lambda: plots.psychometric(choices(name, 1))
    yield "psychometric of many", lambda: plots.psychometric(choices(name, 6))
    yield "distributions", lambda: plots.distributions(run)
    batch = run.batch(20)
    variables = dict(batch.trials or {})
    trials = batch._replace(trials=variables | {coh: variables["coh"]})
    found = study(run.network(), trials, condition=[coh], starts=2)
    yield "fixed points", lambda: plots.fixed_points(found)


def test_words_are_inside_the_figure_and_apart(run: netbuild.Run) -> None:
    """With the names that are hardest to place."""
    wrong = {}
    for kind, draw in drawings(run, ODD + LONG):  # a glyph that the font lacks is a warning
        if problems := misplaced(draw().figure):
            wrong[kind] = problems
    assert not wrong


def test_names_are_shortened_and_what_the_font_lacks_is_a_code() -> None:
    assert name_of(ODD, 100) == r"$x^{ \x1b[31m\u202e\u4e2d\udcff"
    assert name_of(LONG) == "a_very_lon…gave_to_"[:11] + LONG[-9:]
    assert name_of("naïve Δ_1") == "naïve Δ_1"


def test_long_labels_are_broken_into_lines() -> None:
    @own_look
    def draw() -> Any:
        ax = new_axes(3.0, 2.0)
        ax.set(xlabel="one two three " * 3, ylabel="x" * 400, title="fine")
        return ax.get_figure()

    figure = draw()
    (ax,) = figure.axes
    assert ax.get_title() == "fine"
    assert ax.get_xlabel().replace("\n", " ").split() == ["one", "two", "three"] * 3
    assert ax.get_xlabel().count("\n") > 0
    assert len(ax.get_ylabel().split("\n")) == 4
    assert ax.get_ylabel().endswith("…")
    assert not misplaced(figure)


def test_our_figures_have_one_look_and_given_axes_that_of_their_maker() -> None:
    def saved() -> bytes:
        buffer = io.BytesIO()
        plots.eigenvalues(maps("a", 2, 10)).figure.savefig(buffer, format="png")
        return buffer.getvalue()

    expected = saved()
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert saved() == expected
        assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"xtick.labelsize": 7, "axes.titlesize": 7, "font.size": 30}):
        ax = Figure().subplots()
        plots.eigenvalues(maps("a", 2, 10), ax)
        assert ax.xaxis.label.get_size() == 30


def test_nothing_touches_pyplot(run: netbuild.Run, activity: Activity) -> None:
    plots.rates(activity)
    plots.weights(run)
    pyplot = sys.modules.get("matplotlib.pyplot")  # neurogym imports it
    assert pyplot is None or not pyplot.get_fignums()
