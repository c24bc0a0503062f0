"""`netbuild export` and the kinds of `netbuild plot`, as a user meets them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars
import pytest

import netbuild
from netbuild.plots import FIGURES
from netbuild.results.activity import load_activity
from netbuild.results.maps import equation_arrays, equations_of, labelled_maps, map_arrays

KINDS = [kind for kind, command in FIGURES.items() if command == "plot"]


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
        (["--trials", "5"], 2, "of --activity"),
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


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_figure_and_its_data_whatever_a_matplotlibrc_says(
    cli: Any, run: netbuild.Run, tmp_path: Path, kind: str
) -> None:
    figure, data, other = (
        run.path / "figures" / f"{kind}.png",
        tmp_path / "x.csv",
        tmp_path / "x.png",
    )
    numbers = () if kind == "distributions" else ("--data", data)
    result = cli("plot", run.path, "--kind", kind, *numbers)
    assert result == (0, "".join(f"{path}\n" for path in (figure, *numbers[1:])), "")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert not numbers or polars.read_csv(data).height >= 5
    with matplotlib.rc_context({"text.usetex": True, "font.size": 20, "savefig.bbox": "tight"}):
        assert cli("plot", run.path, "--kind", kind, "-o", other).code == 0
    assert other.read_bytes() == figure.read_bytes()


def test_figures_of_other_options_do_not_overwrite_each_other(
    cli: Any, run: netbuild.Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        Path(cli("plot", run.path, *arguments).out.strip()).name
        for arguments in (
            (),
            ("--layer", "cortex"),
            ("--layer", "cortex", "--from", "V1&excitatory"),
            ("--kind", "eigenvalues"),
            ("--kind", "eigenvalues", "--layer", "cortex"),
        )
    ]
    assert names == [
        "weights.png",
        "weights-layer=cortex.png",
        "weights-layer=cortex-from=V1&excitatory.png",
        "eigenvalues.png",
        "eigenvalues-layer=cortex.png",
    ]
    assert {path.name for path in (run.path / "figures").iterdir()} >= set(names)
    monkeypatch.chdir(small.parent)
    assert cli("plot", small, "--set", "seed=1").out == "small-weights-set=seed=1.png\n"


def test_options_reach_the_figure(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    data, figure = tmp_path / "x.npz", tmp_path / "x.svg"
    arguments = ("--kind", "rates", "--units", "V1", "--condition", "answer", "--align", "decision")
    assert cli("plot", run.path, *arguments, "--data", data, "-o", figure).code == 0
    with np.load(data, allow_pickle=False) as file:
        assert set(file["units"]) == {"V1"}
        assert set(file["condition"]) == {"1", "2"}
        assert 0 in file["time"]
    arguments = ("--kind", "weights", "--layer", "cortex", "--sort", "selectivity")
    assert cli("plot", run.path, *arguments, "--data", data, "-o", figure).code == 0
    with np.load(data, allow_pickle=False) as file:
        assert set(file["map"]) == {"cortex.recurrent"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "rates", "--sort", "selectivity"], "takes no --sort"),
        (["--kind", "rates", "--environment", "go"], "no environment `go`"),
        (["--kind", "learning", "--environment", "go"], "takes no --environment"),
        (["--kind", "rates", "--units", "V9"], "no unit called `V9`"),
        (["--kind", "rates", "--layer", "v"], "no layer `v`"),
        (["--kind", "trajectories", "--align", "delay"], "no period `delay`"),
        (["--kind", "psychometric", "--condition", "x"], "no variable `x`"),
        (["--kind", "learning", "--panel", "x"], "no x"),
        (["--kind", "distributions", "--data", "x.csv"], "has no --data"),
        (["--data", "x.json"], ".csv or .npz"),
    ],
)
def test_what_a_figure_cannot_show_is_exit_two(
    cli: Any, run: netbuild.Run, arguments: list[str], words: str
) -> None:
    result = cli("plot", run.path, *arguments)
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err


def test_kinds_that_a_spec_or_run_cannot_give(cli: Any, small: Path, tmp_path: Path) -> None:
    for kind in ("learning", "psychometric", "rates", "trajectories"):
        result = cli("plot", small, "--kind", kind)
        assert result.code == 2
        assert "name a run" in result.err
    assert cli("plot", small, "--kind", "eigenvalues").code == 2
    flat = netbuild.train(small, tmp_path / "runs")
    for kind in ("psychometric", "rates", "trajectories", "eigenvalues"):
        result = cli("plot", flat.path, "--kind", kind)
        assert result.code == 2
        assert result.err.count("\n") <= 2  # an error and a hint


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
