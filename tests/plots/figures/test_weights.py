"""Figures of weights: matrices in order, their numbers, and distributions."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.results.activity import Activity, selectivity
from netbuild.results.maps import LabelledMap, labelled_maps
from netbuild.results.units import Units


def test_weights_stand_by_area_and_sign(decision: netbuild.Run) -> None:
    ax = new_axes()
    _, data = plots.weights(decision, ax)
    one = decision.maps()["cortex.recurrent"]
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


def test_every_map_has_a_panel_of_its_own(decision: netbuild.Run) -> None:
    figure, data = plots.weights(decision)
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


def test_sorted_by_selectivity_within_area_and_sign(
    decision: netbuild.Run, activity: Activity
) -> None:
    _, data = plots.weights(decision, layer="cortex", sort="selectivity")
    names = data["pre"][:16].tolist()
    values = dict(zip(activity.units["cortex"].name, selectivity(activity, "cortex"), strict=True))
    for group in (names[:8], names[8:10], names[10:13], names[13:]):
        found = [values[name] for name in group]
        assert found == sorted(found, reverse=True)
    assert {name[:2] for name in names[:10]} == {"V1"}
    weight = decision.weights("cortex.recurrent")
    place = {name: i for i, name in enumerate(activity.units["cortex"].name)}
    for post, pre, value in zip(data["post"], data["pre"], data["weight"], strict=True):
        assert weight[place[post], place[pre]] == value
