"""`netbuild plot`: every kind of figure, its options, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars
import pytest

import netbuild
from netbuild.plots import FIGURES

KINDS = [kind for kind, command in FIGURES.items() if command == "plot"]


@pytest.fixture(scope="module")
def run(decision: netbuild.Run) -> netbuild.Run:
    return decision


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
        (["--kind", "distributions", "--data", "x.csv"], "has no numbers"),
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


def test_data_of_a_figure_without_numbers_is_refused_before_the_run_is_opened(
    cli: Any, tmp_path: Path
) -> None:
    result = cli("plot", tmp_path / "no_run", "--kind", "distributions", "--data", "x.csv")
    assert result.code == 2
    assert "has no numbers" in result.err


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


def test_help_leads_out_of_a_circle(
    cli: Any, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("plot", small.name, "--kind", "rates")
    assert (result.code, "`netbuild train small.yaml`" in result.err) == (2, True)
    run = netbuild.train(small, tmp_path / "runs").path.relative_to(tmp_path)
    result = cli("plot", small.name, "--kind", "learning")
    assert "`netbuild plot small/latest --kind learning`" in result.err
    result = cli("plot", run / "resolved.yaml", "--kind", "learning")
    assert f"this is the spec of the run {run}" in result.err
    result = cli("plot", run, "--kind", "rates", "--set", "seed=2")
    assert (result.code, f"netbuild resume {run} --fork --set" in result.err) == (2, True)


def test_plot_draws_specs_and_runs(cli: Any, small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run = netbuild.train(small)
    for kind in ("weights", "distributions", "learning"):
        path = Path(cli("plot", run.path, "--kind", kind).out.strip())
        assert path == run.path / "figures" / f"{kind}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
    assert cli("plot", small, "-o", "w.svg").out.strip() == "w.svg"
    assert b"<svg" in Path("w.svg").read_bytes()
    assert cli("plot", small, "-o", "w.gif").code == 2
    assert cli("plot", small, "--kind", "learning").code == 2
