"""Activity: the same bits every time, labels on every axis, and padding in nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netbuild
from netbuild.results import activity as module
from netbuild.results.activity import Activity, load_activity, selectivity
from netbuild.results.units import Units


@pytest.fixture(scope="module")
def run(decision: netbuild.Run) -> netbuild.Run:
    return decision


def made(rates: Any, steps: Any, **trials: Any) -> Activity:
    """An activity of one layer from its rates (trial, time, unit)."""
    rates = np.array(rates, np.float32)
    rates[np.arange(rates.shape[1]) >= np.array(steps)[:, None]] = np.nan
    width = rates.shape[-1]
    names = np.array([f"a_{i}" for i in range(width)])
    units = Units(names, np.full(width, ""), np.zeros(width, np.int8))
    columns = {name: np.array(values) for name, values in trials.items()}
    return Activity({"a": rates}, rates[..., :1], {"a": units}, columns, np.array(steps), 10.0)


def test_shapes_and_labels(activity: Activity) -> None:
    assert {name: rates.shape for name, rates in activity.items()} == {
        "cortex": (120, 20, 16),
        "readout": (120, 20, 3),
    }
    assert activity["cortex"].dtype == np.float32
    assert activity.inputs.shape == (120, 20, 3)
    assert activity.time is not None
    assert activity.time.tolist() == [20.0 * k for k in range(20)]
    cortex = activity.units["cortex"]
    assert cortex.name[[0, 9, 10, 15]].tolist() == ["V1_0", "V1_9", "PFC_0", "PFC_5"]
    assert cortex.area.tolist() == ["V1"] * 10 + ["PFC"] * 6
    assert cortex.sign.tolist() == [1] * 8 + [-1] * 2 + [1] * 3 + [-1] * 3
    assert activity.units["readout"].name.tolist() == ["readout_0", "readout_1", "readout_2"]
    assert activity.periods == ("stimulus", "decision")
    assert activity.outputs is activity["readout"]


def test_the_same_trials_have_the_same_bits(run: netbuild.Run, activity: Activity) -> None:
    again = run.activity()
    for layer in activity:
        assert activity[layer].tobytes() == again[layer].tobytes()
    few = run.activity(7)
    assert np.allclose(few["cortex"], activity["cortex"][:7], atol=1e-6, equal_nan=True)


def test_it_is_what_the_network_does_without_noise(run: netbuild.Run, activity: Activity) -> None:
    network = run.network().eval()
    with torch.no_grad():
        _, expected = network(run.batch().inputs, return_activity=True)
    mask = activity.mask
    assert mask is not None
    for layer, rates in activity.items():
        assert np.allclose(rates[mask], expected[layer].numpy()[mask], atol=1e-6)


def test_it_is_shown_in_a_line(activity: Activity) -> None:
    assert repr(activity) == (
        "Activity(120 trials, 20 steps of 20 ms, cortex: 16 units (PFC 6, V1 10), readout: 3 units)"
    )
    assert repr(activity.mean_by("coh")) == (
        "Averages(3 conditions, 20 steps, cortex: 16 units, readout: 3 units)"
    )


def test_some_of_the_trials() -> None:
    activity = made(
        np.arange(9.0).reshape(3, 3, 1),
        [3, 2, 2],
        environment=["a", "b", "b"],
        coh=[5.0, np.nan, np.nan],
        coh_end=[1, 2, 3],
        go_start=[0, -1, -1],
        go_end=[1, -1, -1],
    )
    part = activity.where(activity.trials["environment"] == "b")
    assert part["a"].tolist() == [[[3.0], [4.0]], [[6.0], [7.0]]]
    assert part.inputs.shape == (2, 2, 1)
    assert part.periods == ()
    assert part.trials.keys() == {"environment", "coh_end"}
    assert part.steps is not None
    assert part.steps.tolist() == [2, 2]
    assert activity.where(activity.trials["coh"] > 0).periods == ("go",)
    for wrong in ([0, 1], [True, False]):
        with pytest.raises(ValueError, match="a truth value for each of 3 trials"):
            activity.where(np.array(wrong))


def test_chunks_change_nothing(
    run: netbuild.Run, activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 20 * 19 * 7)  # 7 trials
    assert np.allclose(run.activity()["cortex"], activity["cortex"], atol=1e-6, equal_nan=True)


def test_padding_is_nan_and_nothing_else_is(run: netbuild.Run, activity: Activity) -> None:
    steps = run.batch().trials["steps"]
    assert activity.steps is not None
    assert activity.steps.tolist() == steps.tolist()
    padding = np.arange(20) >= steps[:, None]
    assert padding.any()
    for array in (activity.inputs, activity["cortex"], activity.outputs):
        assert (np.isnan(array).all(-1) == padding).all()
        assert (np.isnan(array).any(-1) == padding).all()
    assert activity.points("cortex").shape == (steps.sum(), 16)


def test_older_weights_by_their_step(run: netbuild.Run, activity: Activity) -> None:
    older = run.activity(5, checkpoint=80)
    assert not np.allclose(older["cortex"], activity["cortex"][:5], equal_nan=True)
    newest = run.activity(5, checkpoint=120)
    assert np.array_equal(newest["cortex"], run.activity(5)["cortex"], equal_nan=True)
    with pytest.raises(netbuild.NetbuildError, match="no checkpoint of step 7") as caught:
        run.activity(5, checkpoint=7)
    assert caught.value.exit_code == 5
    assert caught.value.hint == "it has checkpoints of the steps 80, 120"


def test_choices_are_those_that_were_scored(run: netbuild.Run, activity: Activity) -> None:
    correct = activity.trials["correct"]
    assert correct.mean() == pytest.approx(run.final["accuracy"])
    assert run.trials()["choice"].to_list() == activity.trials["choice"].tolist()
    assert ((activity.trials["choice"] == activity.trials["answer"]) == correct).all()


def test_trials_of_a_run_that_was_interrupted(run: netbuild.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "evaluation" / "trials.parquet").unlink()
    with pytest.raises(netbuild.NetbuildError, match="cannot be read") as caught:
        netbuild.open_run(copy).trials()  # it is finished: the file has been lost
    assert caught.value.exit_code == 5
    about = json.loads((copy / "run.json").read_text()) | {"status": "interrupted"}
    (copy / "run.json").write_text(json.dumps(about))
    assert netbuild.open_run(copy).trials().equals(run.trials())
    assert run.trials(9).equals(run.trials().head(9))


def test_averages_by_hand() -> None:
    rates = [[[1.0], [2.0], [900.0]], [[3.0], [6.0], [9.0]], [[10.0], [20.0], [30.0]]]
    activity = made(rates, [2, 3, 3], side=[0, 0, 1], go_start=[0, 1, 2], go_end=[2, 3, 3])
    plain = activity.mean_by("side")
    assert plain.conditions.tolist() == [0, 1]
    assert plain.rates["a"][..., 0].tolist() == [[2.0, 4.0, 9.0], [10.0, 20.0, 30.0]]
    assert plain.counts.tolist() == [[2, 2, 1], [1, 1, 1]]
    aligned = activity.mean_by("side", align="go")
    assert aligned.time is not None
    assert aligned.time.tolist() == [-20.0, -10.0, 0.0, 10.0]
    expected = [[np.nan, 3.0, 3.5, 5.5], [10.0, 20.0, 30.0, np.nan]]
    assert np.array_equal(aligned.rates["a"][..., 0], expected, equal_nan=True)
    assert aligned.counts.tolist() == [[0, 1, 2, 2], [1, 1, 1, 0]]


def test_averages_agree_with_plain_means(activity: Activity) -> None:
    for align in (None, "stimulus", "decision"):
        mean = activity.mean_by("coh", align=align)
        start = np.zeros(120, int) if align is None else activity.trials[f"{align}_start"]
        shift = int(start.max())
        for c, coherence in enumerate(mean.conditions):
            for t in range(len(mean.counts[c])):
                step = t - shift + start
                here = (activity.trials["coh"] == coherence) & (step >= 0)
                here &= step < np.asarray(activity.steps)
                assert mean.counts[c, t] == here.sum()
                if here.any():
                    rates = activity["cortex"][np.flatnonzero(here), step[here]]
                    assert np.allclose(mean.rates["cortex"][c, t], rates.mean(0), atol=1e-5)


def test_what_is_missing_is_in_no_average() -> None:
    rates = np.arange(8.0).reshape(4, 2, 1)
    activity = made(
        rates, [2] * 4, x=[1, np.nan, 1, 2], go_start=[0, 0, -1, 0], go_end=[1, 1, -1, 1]
    )
    assert activity.mean_by("x").counts.tolist() == [[2, 2], [1, 1]]
    assert activity.mean_by("x", align="go").counts.tolist() == [[1, 1], [1, 1]]
    words = activity.mean_by(np.array(["b", "", "a", "b"]))
    assert words.conditions.tolist() == ["a", "b"]
    for wrong in ({"condition": "y"}, {"condition": "x", "align": "stop"}):
        with pytest.raises(ValueError, match="have no"):
            activity.mean_by(**wrong)
    with pytest.raises(ValueError, match="a value for each of 4 trials"):
        activity.mean_by(np.zeros(3))


def test_saved_and_read_again(activity: Activity, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    activity.save(path)
    first = path.read_bytes()
    activity.save(path)
    assert path.read_bytes() == first
    again = load_activity(path)
    assert again.to_arrays().keys() == activity.to_arrays().keys()
    for name, array in activity.to_arrays().items():
        assert np.array_equal(again.to_arrays()[name], array, equal_nan=array.dtype.kind == "f")
        assert again.to_arrays()[name].dtype == array.dtype
    with np.load(path, allow_pickle=False) as file:
        assert {"time", "rates/cortex", "units/cortex/area", "trials/coh"} <= set(file.files)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no zip", b"other"])
def test_files_that_are_no_activity(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    if content == b"other":
        np.savez(path, x=np.zeros(3))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(netbuild.NetbuildError, match=r"a\.npz") as caught:
        load_activity(path)
    assert caught.value.exit_code == 4
    with pytest.raises(netbuild.NetbuildError, match="no folder") as caught:
        made(np.zeros((1, 1, 1)), [1]).save(tmp_path / "nowhere" / "a.npz")
    assert caught.value.exit_code == 7


def test_networks_without_time(small: Path, tmp_path: Path) -> None:
    activity = netbuild.train(small, tmp_path / "runs").activity()
    assert activity["hidden"].shape == (12, 12)
    assert activity.time is activity.mask is activity.steps is None
    mean = activity.mean_by("target")
    assert mean.time is None
    for target, rates in zip(mean.conditions, mean.rates["hidden"], strict=True):
        expected = activity["hidden"][activity.trials["target"] == target].mean(0)
        assert np.allclose(rates, expected, atol=1e-6)
    activity.save(tmp_path / "a.npz")
    assert load_activity(tmp_path / "a.npz").steps is None
    with pytest.raises(KeyError, match="there are hidden, drop, readout"):
        _ = activity["nothing"]


def test_selectivity_is_d_prime() -> None:
    rng = np.random.default_rng(0)
    answer = np.repeat([1, 2], 400)
    rates = rng.normal(size=(800, 4, 3)) * [2.0, 2.0, 0.0]  # means of 4 steps: sd 1
    rates[answer == 2, :, 0] += 1.5
    activity = made(rates, [4] * 800, answer=answer)
    found = selectivity(activity, "a")
    assert found[0] == pytest.approx(1.5, abs=0.25)
    assert found[1] == pytest.approx(0.0, abs=0.25)
    assert found[2] == 0.0
    with pytest.raises(netbuild.NetbuildError, match="between two right choices"):
        selectivity(made(rates[:3], [4] * 3, answer=[1, 2, 3]), "a")


def test_xarray_has_every_label(activity: Activity, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    dataset = activity.to_xarray()
    assert dataset["cortex"].dims == ("trial", "time", "cortex_unit")
    unit = dataset["cortex"].sel(cortex_unit="PFC_2").values
    assert np.array_equal(unit, activity["cortex"][..., 12], equal_nan=True)
    areas = dataset["cortex"].mean(("trial", "time")).groupby("cortex_area").mean()
    assert areas["cortex_area"].values.tolist() == ["PFC", "V1"]
    assert dataset["time"].attrs["units"] == "ms"
    assert dataset["coh"].dims == ("trial",)
    activity.save_netcdf(tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as again:
        xarray.testing.assert_equal(again.load(), dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_without_the_extra_it_says_what_to_install(
    activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(netbuild.NetbuildError, match="needs xarray") as caught:
        activity.to_xarray()
    assert caught.value.exit_code == 10
    assert caught.value.hint == "pip install 'netbuild[xarray]'"


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
