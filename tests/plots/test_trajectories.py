"""Trajectories: averages in the plane of most variance."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.plots.conditions import condition_of
from netbuild.results.activity import Activity


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), points=st.integers(3, 40), units=st.integers(2, 12))
def test_principal_components_are_numpys(seed: int, points: int, units: int) -> None:
    x = np.random.default_rng(seed).normal(size=(points, units)) * np.arange(1, units + 1)
    plane = plots.principal_plane(np.concatenate([x, np.full((2, units), np.nan)]))
    centred = x - x.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    assert np.allclose(plane.explained, values[::-1][:2] / values.sum())
    assert isinstance(plane, plots.Plane)
    assert {type(part) for part in plane} == {np.ndarray}
    scores = plane.project(x)
    for i in range(2):
        assert np.allclose(np.abs(scores[:, i]), np.abs(centred @ vectors[:, -1 - i]), atol=1e-6)
    assert np.allclose(plane.components @ plane.components.T, np.eye(2))
    three = plots.principal_plane(x, count=3)
    assert len(three.components) == min(3, units)
    assert np.allclose(three.components[:2], plane.components)


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
    of_three = plots.principal_plane(rates.reshape(-1, 16), 3)
    _, same = plots.trajectories(activity, plane=of_three)
    assert np.allclose(same["pc2"], data["pc2"], equal_nan=True)
    assert f"PC 1 ({plane.explained[0]:.0%}" in ax.get_xlabel()
    again, _ = plots.trajectories(activity, new_axes(), plane=plane)
    assert again is not figure


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
