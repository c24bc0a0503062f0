"""`netbuild export`, as a user meets it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netbuild
from netbuild.results.activity import load_activity
from netbuild.results.maps import equation_arrays, equations_of, labelled_maps, map_arrays


@pytest.fixture(scope="module")
def run(decision: netbuild.Run) -> netbuild.Run:
    return decision


def test_weights_with_the_names_of_their_units(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    assert cli("export", run.path, "-o", path) == (0, f"{path}\n", "")
    with np.load(path, allow_pickle=False) as file:
        assert str(file["rows"]) == "post"
        weight = file["cortex.recurrent/weight"]
        assert np.array_equal(weight, run.weights("cortex.recurrent").numpy())
        assert file["cortex.recurrent/pre/area"].tolist() == ["V1"] * 10 + ["PFC"] * 6
        assert (weight[:, file["cortex.recurrent/pre/sign"] == -1] <= 0).all()
        assert (weight[~file["cortex.recurrent/connected"]] == 0).all()
        assert file["readout/weight"].shape == (3, 3)
        assert file["readout/bias"].shape == (3,)
        assert file["readout/pre/name"].tolist() == ["PFC_0", "PFC_1", "PFC_2"]


def test_what_is_exported_is_all_that_the_equation_needs(
    cli: Any, run: netbuild.Run, tmp_path: Path
) -> None:
    path = tmp_path / "w.npz"
    assert cli("export", run.path, "-o", path, "-q").code == 0
    with np.load(path, allow_pickle=False) as file:
        saved = {name: file[name] for name in file.files}
    assert saved["dt"] == 20
    assert saved["cortex/alpha"].tolist() == pytest.approx([20 / 60] * 16)
    assert (saved["cortex/formulation"], saved["cortex/activation"]) == ("current", "relu")
    assert saved["readout/activation"] == "linear"
    activity = run.activity(7)
    alpha = saved["cortex/alpha"]
    v = np.broadcast_to(saved["cortex/initial_state"], (7, 16))
    r = np.broadcast_to(saved["cortex/initial_rate"], (7, 16))
    bias = saved["cortex.input/bias"] + saved["cortex.recurrent/bias"]
    for t in range(15):  # steps that every trial has
        drive = r @ saved["cortex.recurrent/weight"].T + bias
        drive = drive + activity.inputs[:, t] @ saved["cortex.input/weight"].T
        v = (1 - alpha) * v + alpha * drive
        r = np.maximum(v, 0)
        assert np.allclose(r, activity["cortex"][:, t], atol=1e-5)


def test_initial_states_and_powers_are_exported() -> None:
    spec = {
        "netbuild": 1,
        "dt": 10,
        "layers": [
            {"name": "a", "type": "ctrnn", "input_dim": 2, "size": 4, "formulation": "current",
             "areas": {"X": {"size": 3, "tau": 20}, "Y": {"size": 1, "tau": 40}},
             "activation": {"type": "power", "n": 3},
             "initial_state": {"value": 0.5, "learn": True}},
            {"name": "b", "type": "ctrnn", "size": 2, "alpha": 0.3, "formulation": "rate",
             "activation": "sigmoid"},
        ],
    }  # fmt: skip
    checked = netbuild.load(spec)
    found = equation_arrays(equations_of(netbuild.build(checked), checked), 10.0)
    assert found["a/alpha"].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.25])
    assert found["a/initial_state"].tolist() == [0.5] * 4
    assert found["a/initial_rate"].tolist() == [0.125] * 4
    assert (found["a/activation"], found["a/exponent"]) == ("power", 3)
    assert found["b/alpha"].tolist() == pytest.approx([0.3, 0.3])
    assert found["b/initial_state"].tolist() == found["b/initial_rate"].tolist() == [0, 0]
    assert found["b/formulation"] == "rate"
    assert "b/exponent" not in found


def test_activity_as_the_run_gives_it(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    assert cli("export", run.path, "--activity", "--trials", 9, "-q").out == ""
    saved = load_activity(run.path / "activity.npz")
    assert np.array_equal(saved["cortex"], run.activity(9)["cortex"], equal_nan=True)
    older = tmp_path / "older.npz"
    cli("export", run.path, "--activity", "--checkpoint", 80, "-o", older)
    expected = run.activity(checkpoint=80)
    assert np.array_equal(load_activity(older)["cortex"], expected["cortex"], equal_nan=True)


def test_a_file_that_is_there_is_replaced(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"old")
    assert cli("export", run.path, "-o", path).code == 0
    content = path.read_bytes()
    cli("export", run.path, "-o", path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "w.mat"], 2, ".npz or .nc"),
        (["--trials", "5"], 2, "only with --activity"),
        (["--activity", "--trials", "0"], 2, "at least 1"),
        (["-o", "nowhere/w.npz"], 7, "no folder nowhere"),
        (["--checkpoint", "7"], 5, "no checkpoint of step 7"),
    ],
)
def test_what_is_wrong_is_one_line(
    cli: Any, run: netbuild.Run, arguments: list[str], code: int, words: str
) -> None:
    result = cli("export", run.path, *arguments)
    assert result.code == code
    assert words in result.err
    assert "Traceback" not in result.err


def test_what_is_no_run(cli: Any, run: netbuild.Run, small: Path, tmp_path: Path) -> None:
    assert cli("export", small).code == 2
    assert cli("export", tmp_path / "nothing").code == 2
    assert cli("export", tmp_path).code == 5


@pytest.mark.parametrize("activity", [False, True])
def test_netcdf(cli: Any, run: netbuild.Run, tmp_path: Path, activity: bool) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path = tmp_path / "x.nc"
    assert cli("export", run.path, "-o", path, *(["--activity"] if activity else [])).code == 0
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        if activity:
            rates = found["cortex"].values
            assert np.array_equal(rates, run.activity()["cortex"], equal_nan=True)
        else:
            weight = found["cortex_recurrent_weight"]
            assert weight.dims == ("cortex_recurrent_post", "cortex_recurrent_pre")
            assert np.array_equal(weight.values, run.weights("cortex.recurrent").numpy())
            assert found.attrs["rows"] == "post"
            assert found.attrs["dt"] == 20
            assert found.attrs["cortex_activation"] == "relu"
            assert found["cortex_alpha"].dims == ("cortex_recurrent_post",)
            assert found["cortex_alpha"].sel(cortex_recurrent_post="PFC_2") == pytest.approx(1 / 3)


def test_netcdf_without_the_extra(
    cli: Any, run: netbuild.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    result = cli("export", run.path, "--activity", "-o", tmp_path / "x.nc")
    assert result.code == 10
    assert "pip install 'netbuild[xarray]'" in result.err
    assert not list(tmp_path.iterdir())


def test_the_weights_of_any_checkpoint(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    files = []
    for which in ("last", str(run.step), "best"):
        files.append(tmp_path / f"{which}.npz")
        assert cli("export", run.path, "--checkpoint", which, "-o", files[-1]).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    best = labelled_maps(run.network(checkpoint="best"), run.spec.plan.layers)
    found = np.load(files[2])
    for name, array in map_arrays(best).items():
        assert np.array_equal(found[name], array), name
