"""Rates against time: averages by condition, and the periods of the trials."""

from __future__ import annotations

import numpy as np
import pytest

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.plots.conditions import condition_of
from netbuild.results.activity import Activity


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


def test_an_environment_without_the_variable_is_all_trials(several: Activity) -> None:
    _, data = plots.rates(several, condition="coh", align="stimulus", units="V1")
    go = data["environment"] == "go"
    assert set(data["condition"][go]) == {"all trials"}
    mean = several.where(several.trials["environment"] == "go").mean_by(np.zeros(40))
    expected = mean.rates["cortex"][0, :, :10].mean(-1)
    drawn = data["rate"][go]
    assert np.allclose(drawn[~np.isnan(drawn)], expected[~np.isnan(drawn)])


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
