"""What a node table says of units stays with them: in selections, files, figures and commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import scipy.sparse

import netbuild
from netbuild import plots
from netbuild.drawing.look import new_axes
from netbuild.results.activity import Activity, load_activity
from netbuild.results.maps import LabelledMap
from netbuild.results.units import Units, units_from

KINDS = ("sensory", "inter", "motor")
SPEC = """\
netbuild: 1
name: wired
seed: 2
dt: 20
task: {type: arrays, file: data.npz, inputs: x, targets: y, variables: [side], split: {train: 0.5}}
layers:
  - name: brain
    type: ctrnn
    connectome: {edges: edges.csv, neurons: neurons.csv}
    tau: 100
    input: {projections: [{from: input, to: {kind: sensory}}], storage: sparse}
    recurrent: {weight: connectome, storage: sparse}
  - {name: readout, type: linear, from: {layer: brain, kind: motor}, output_dim: 2, dale: none}
training: {steps: 2, batch_size: 4, loss: cross_entropy}
"""


def neurons(folder: Path) -> None:
    """Write 15 neurons, n0 to n14, of three kinds in turns; of each kind the last one inhibits."""
    rows = [f"n{i},{KINDS[i % 3]},{-1 if i >= 12 else 1},a/b {i}" for i in range(15)]
    (folder / "neurons.csv").write_text("\n".join(["name,kind,sign,what is it", *rows]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    """A network whose connections with others are sparse."""
    folder = tmp_path_factory.mktemp("wired")
    rng = np.random.default_rng(0)
    neurons(folder)
    pairs = rng.permutation(15 * 15)[:60]
    edges = [f"n{p // 15},n{p % 15},{1 + p % 4}" for p in pairs]
    (folder / "edges.csv").write_text("\n".join(["pre,post,weight", *edges]))
    x = rng.normal(size=(20, 6, 3)).astype(np.float32)
    y = rng.integers(0, 2, size=(20, 6))
    np.savez(folder / "data.npz", x=x, y=y, side=np.arange(20) % 2)
    (folder / "wired.yaml").write_text(SPEC)
    return netbuild.train(folder / "wired.yaml", folder / "runs")


@pytest.fixture(scope="module")
def activity(run: netbuild.Run) -> Activity:
    return run.activity()


@pytest.fixture
def never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a sparse array was made dense")

    for kind in ("csr_array", "csc_array", "coo_array"):
        for method in ("toarray", "todense"):
            monkeypatch.setattr(getattr(scipy.sparse, kind), method, refuse)


# Selections


def some() -> Units:
    return Units(
        np.array(["AVAL", "AVAR", "a=b", "DD1"]),
        np.array(["head", "head", "", "cord"]),
        np.array([1, -1, 0, -1], np.int8),
        {"kind": np.array(["inter", "inter", "x,y", "motor"])},
    )


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("AVAR", [1]),
        ("a=b", [2]),  # a name goes before the grammar
        ("head", [0, 1]),
        ("excitatory", [0]),
        ("inhibitory", [1, 3]),
        ("kind=inter", [0, 1]),
        ("kind=inter,motor", [0, 1, 3]),
        ("kind = motor", [3]),
        ("kind=x,y", [2]),  # as a value of its own
        ("name=AVAL,DD1", [0, 3]),
        ("area=cord", [3]),
        ("sign=-1", [1, 3]),
        ("sign=excitatory", [0]),
        ("kind=inter&inhibitory", [1]),
        ("head&name=AVAL", [0]),
    ],
)
def test_a_selection_means_these_units(selection: str, expected: list[int]) -> None:
    assert np.flatnonzero(some().where(selection)).tolist() == expected


@pytest.mark.parametrize(
    ("selection", "what", "hint"),
    [
        ("knid=inter", "these units have no column `knid`", "did you mean `kind`?"),
        ("kind=intre", "no unit has `kind=intre`", "did you mean `inter`?"),
        ("kind=inter,moto", "no unit has `kind=moto`", "did you mean `motor`?"),
        ("kind=", "no unit has `kind=`", "one of `inter`, `motor`, `x,y`"),
        ("excitatroy", "no unit called `excitatroy`", "did you mean `excitatory`?"),
        ("DDD1", "no unit called `DDD1`", "did you mean `DD1`?"),
        ("", "no unit called ``", "an area, kind=..., or one of AVAL .. DD1"),
        ("head&kind=motor", "no unit matches all of this: `head&kind=motor`", ""),
    ],
)
def test_what_no_unit_is_has_the_nearest_name(selection: str, what: str, hint: str) -> None:
    with pytest.raises(netbuild.NetbuildError, match=what) as caught:
        some().where(selection)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_units_without_a_table_have_no_columns() -> None:
    units = Units(np.array(["a_0"]), np.array([""]), np.zeros(1, np.int8))
    for selection in ("kind=x", "sign=1", "area=x"):
        with pytest.raises(netbuild.NetbuildError, match="no column") as caught:
            units.where(selection)
        assert caught.value.hint == "it can only be `name`"


# Files


def test_columns_stay_with_their_units(run: netbuild.Run, activity: Activity) -> None:
    units = activity.units["brain"]
    assert units.columns.keys() == {"kind", "what is it"}
    assert units.columns["kind"].tolist() == [KINDS[i % 3] for i in range(15)]
    turned = units.at(np.arange(15)[::-1])
    assert turned.columns["what is it"].tolist() == [f"a/b {i}" for i in range(14, -1, -1)]
    maps = run.maps()
    assert maps["readout"].pre.columns["kind"].tolist() == ["motor"] * 5
    assert maps["brain.input"].pre.columns == {}
    assert maps["brain.recurrent"].pre is maps["brain.recurrent"].post


def test_columns_are_saved_with_activity(activity: Activity, tmp_path: Path) -> None:
    activity.save(tmp_path / "a.npz")
    again = load_activity(tmp_path / "a.npz").units["brain"]
    for name, values in activity.units["brain"].arrays().items():
        assert again.arrays()[name].tolist() == values.tolist()
    assert again.where("kind=motor").tolist() == [i % 3 == 2 for i in range(15)]
    with pytest.raises(KeyError):
        units_from({"name": np.array(["a"])})


def test_sparse_maps_are_saved_with_their_columns(
    cli: Any, run: netbuild.Run, tmp_path: Path
) -> None:
    assert cli("export", run.path, "-o", tmp_path / "w.npz").code == 0
    expected = run.weights("brain.recurrent").toarray()
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        parts = [file[f"brain.recurrent/{part}"] for part in ("data", "indices", "indptr")]
        weight = scipy.sparse.csr_array(tuple(parts), shape=tuple(file["brain.recurrent/shape"]))
        assert np.array_equal(weight.toarray(), expected)
        assert file["readout/pre/column/kind"].tolist() == ["motor"] * 5
        assert file["brain.recurrent/post/column/what is it"][3] == "a/b 3"
        assert "brain.recurrent/weight" not in file.files


@pytest.mark.usefixtures("never_dense")
def test_netcdf_of_sparse_maps(cli: Any, run: netbuild.Run, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    assert cli("export", run.path, "-o", tmp_path / "w.nc").code == 0
    weight = run.weights("brain.recurrent").tocoo()
    with xarray.open_dataset(tmp_path / "w.nc", engine="h5netcdf") as found:
        values = found["brain_recurrent_weight"]
        assert values.dims == ("brain_recurrent_connection",)
        assert values.values.tolist() == weight.data.tolist()
        assert values["brain_recurrent_from"].values.tolist() == weight.col.tolist()
        assert values["brain_recurrent_to"].values.tolist() == weight.row.tolist()
        assert found["readout_weight"].dims == ("readout_post", "readout_pre")
        assert found["readout_pre_kind"].values.tolist() == ["motor"] * 5
        assert found["brain_recurrent_pre_what_is_it"].values[3] == "a/b 3"
    assert cli("export", run.path, "--activity", "-o", tmp_path / "a.nc").code == 0
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert found["brain"]["brain_kind"].values.tolist() == [KINDS[i % 3] for i in range(15)]


def test_a_name_that_is_taken_is_changed(activity: Activity) -> None:
    pytest.importorskip("xarray")
    units = activity.units["brain"]
    columns = dict.fromkeys(("unit", "area", "a b", "a-b"), units.columns["kind"])
    units = units._replace(columns=columns)
    one = Activity(
        {"brain": activity["brain"]}, activity.inputs, {"brain": units}, {}, activity.steps
    )
    names = set(map(str, one.to_xarray().coords))
    assert {"brain_unit", "brain_unit_", "brain_area", "brain_area_"} <= names
    assert {"brain_a_b", "brain_a_b_"} <= names


# Figures


def test_weights_between_some_units(run: netbuild.Run) -> None:
    figure, data = plots.weights(run, from_="kind=sensory", to="kind=inter&excitatory")
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "brain.recurrent\nfrom kind=sensory to kind=inter&\nexcitatory"
    ]
    assert set(data["pre"]) == {f"n{i}" for i in (0, 3, 6, 9, 12)}
    assert set(data["post"]) == {f"n{i}" for i in (1, 4, 7, 10)}
    weight = run.weights("brain.recurrent").toarray()
    for post, pre, value in zip(data["post"], data["pre"], data["weight"], strict=True):
        assert weight[int(post[1:]), int(pre[1:])] == value
    assert set(plots.weights(run, from_="kind=motor").data["map"]) == {"brain.recurrent", "readout"}
    alone = plots.weights(run.maps()["readout"], to="readout_1", from_="n14").data
    assert alone["weight"].tolist() == [run.weights("readout")[1, 4]]


def test_weights_grouped_by_a_column(run: netbuild.Run) -> None:
    figure, data = plots.weights(run, layer="brain", by="kind")
    names = data["pre"][:15].tolist()
    assert [int(name[1:]) % 3 for name in names] == [0] * 5 + [1] * 5 + [2] * 5
    assert names[4::5] == ["n12", "n13", "n14"]  # in each, the inhibitory one comes last
    (ax,) = [axes for axes in figure.axes if axes.get_title()]
    ticks = [tick.get_text() for tick in ax.get_yticklabels()]
    assert ticks == [f"{kind} {sign}" for kind in KINDS for sign in "EI"]
    lines = {line.get_xdata()[0]: line.get_linewidth() for line in ax.lines}
    assert {place for place, width in lines.items() if width == 0.6 and place > 1} == {4.5, 9.5}


def test_small_groups_share_a_name_and_many_have_no_lines() -> None:
    count = 200
    words = np.repeat(["a", "b"], 100)
    sign = np.where(np.arange(count) == 99, -1, 1).astype(np.int8)
    many = np.array([f"k{i}" for i in range(count)])
    columns = {"kind": words, "part": np.arange(count).astype(np.str_), "some": many}
    columns["half"] = np.repeat([f"h{i:02}" for i in range(50)], 4)
    units = Units(many, np.full(count, ""), sign, columns)
    one = LabelledMap(np.eye(count), np.zeros(count), None, units, units)
    ax = plots.weights(one, by="kind").figure.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b E"]
    assert not ax.texts
    ax = plots.weights(one, by="half").figure.axes[0]
    assert not ax.lines
    places = {tick.get_text(): tick.get_position()[1] for tick in ax.get_yticklabels()}
    assert (
        places.items() <= {f"h{i:02}": 4 * i + 1.5 for i in range(50)}.items()
    )  # at its own group
    assert 8 <= len(places) < 50
    assert ax.get_ylabel() == f"postsynaptic unit\n{50 - len(places)} small groups have no name"
    assert not ax.texts
    with pytest.raises(netbuild.NetbuildError, match="`part` has 200 values; at most 100"):
        plots.weights(one, by="part")
    areas = units._replace(area=many)  # too many to be groups: the order is that of the signs
    one = LabelledMap(np.eye(count), np.zeros(count), None, areas, areas)
    _, data = plots.weights(one)
    assert data["pre"][[0, 98, 99, count - 1]].tolist() == ["k0", "k98", "k100", "k99"]


@pytest.mark.parametrize(
    "sizes",
    [[100, 3, 95, 2], [1, 1, 1, 1, 300], [300, 1, 1, 1, 1], [2, 150, 1, 1, 1, 150, 2], [1] * 8],
)
def test_every_small_group_has_a_name_and_a_line_that_leads_to_it(sizes: list[int]) -> None:
    words = np.repeat([f"k{i:02}" for i in range(len(sizes))], sizes)
    count, stops = len(words), np.cumsum(sizes)
    names = np.arange(count).astype(np.str_)
    units = Units(names, np.full(count, ""), np.zeros(count, np.int8), {"kind": words})
    one = LabelledMap(np.eye(count), np.zeros(count), None, units, units)
    ax: Any = plots.weights(one, by="kind").figure.axes[0]
    middles = (2 * stops - sizes - 1) / 2
    for axis, labels in enumerate((ax.get_xticklabels(), ax.get_yticklabels())):
        assert [tick.get_text() for tick in labels] == list(dict.fromkeys(words))
        places = np.array([tick.get_position()[axis] for tick in labels])
        assert (np.diff(places) >= 0.06 * count - 1e-6).all()
        assert 0 <= places[0] <= places[-1] <= count - 1
        lines = {(text.xy[axis], text.xyann[axis]) for text in ax.texts}
        moved = (np.abs(places - middles) > 0.012 * count).any()
        assert (lines >= set(zip(middles, places, strict=True))) == moved


def test_rates_and_trajectories_of_some_units(activity: Activity) -> None:
    ax = new_axes()
    _, data = plots.rates(activity, ax, units="kind=motor", condition="side")
    motor = np.arange(15) % 3 == 2
    mean = activity.mean_by("side")
    assert data["rate"].tolist() == pytest.approx(
        mean.rates["brain"][..., motor].mean(-1).ravel().tolist()
    )
    assert ax.get_ylabel() == "rate (a.u.)\nmean of 5 kind=motor"
    figure, data = plots.trajectories(activity, units="kind=motor", condition="side")
    rates = mean.rates["brain"][..., motor]
    plane = plots.principal_plane(rates.reshape(-1, 5))
    assert np.allclose(data["pc1"], plane.project(rates)[..., 0].ravel())
    assert figure.axes[0].get_title().startswith("brain kind=motor, 10 trials")
    with pytest.raises(netbuild.NetbuildError, match="`n3` is one unit"):
        plots.trajectories(activity, units="n3")


# Commands


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kind", "rates", "--units", "kind=motor,inter"],
        ["--kind", "trajectories", "--units", "kind=motor"],
        ["--kind", "weights", "--from", "kind=sensory", "--to", "kind=inter"],
        ["--kind", "weights", "--by", "kind"],
        ["--kind", "weights"],
        ["--kind", "distributions"],
    ],
)
@pytest.mark.usefixtures("never_dense")
def test_figures_of_sparse_runs(
    cli: Any, run: netbuild.Run, tmp_path: Path, arguments: list[str]
) -> None:
    figure, data = tmp_path / "x.png", tmp_path / "x.csv"
    written = [] if "distributions" in arguments else ["--data", data]
    result = cli("plot", run.path, *arguments, "-o", figure, *written)
    assert (result.code, result.err) == (0, "")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert not written or polars.read_csv(data).height >= 5


@pytest.mark.parametrize("kind", ["weights", "distributions", "eigenvalues"])
def test_figures_of_sparse_specs(
    cli: Any, run: netbuild.Run, tmp_path: Path, monkeypatch: Any, kind: str
) -> None:
    for name in ("wired.yaml", "edges.csv", "neurons.csv", "data.npz"):
        shutil.copy(run.path.parents[2] / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli("plot", "wired.yaml", "--kind", kind).out == f"wired-{kind}.png\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "weights", "--from", "kind=sensry"], "did you mean `sensory`?"),
        (["--kind", "weights", "--to", "knid=motor"], "did you mean `kind`?"),
        (["--kind", "weights", "--by", "knid"], "did you mean `kind`?"),
        (["--kind", "rates", "--units", "kind=moto"], "did you mean `motor`?"),
        (["--kind", "trajectories", "--units", "n33"], "did you mean"),
        (["--kind", "rates", "--from", "kind=motor"], "takes no --from"),
        (["--kind", "learning", "--by", "kind"], "takes no --by"),
    ],
)
def test_selections_of_nothing_are_exit_two(
    cli: Any, run: netbuild.Run, arguments: list[str], words: str
) -> None:
    result = cli("plot", run.path, *arguments)
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err
