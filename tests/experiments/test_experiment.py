"""An experiment as Python and the commands see it: tables, runs, figures, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from netbuild import open_experiment, plots
from netbuild.errors import NetbuildError
from netbuild.experiments import statistics
from netbuild.experiments.folder import About, ExperimentFolder, PointInfo
from netbuild.experiments.rows import Row, Rows
from netbuild.experiments.table import comparisons, csv_bytes, summary, table

SIZE = "layers.hidden.output_dim"


def test_runs_are_opened_by_what_tells_them_apart(swept: Path) -> None:
    found = open_experiment(swept)
    assert len(list(found.runs())) == 12
    runs = list(found.runs(condition="free", **{SIZE: 12}))
    assert [run.info.seed for run in runs] == [0, 1, 2]
    assert all(run.spec.model.layers[0].output_dim == 12 for run in runs)  # type: ignore[union-attr]
    scores = found.table().filter(polars.col("condition") == "free", polars.col(SIZE) == 12)
    assert scores["test_accuracy"].to_list() == [run.final["accuracy"] for run in runs]


def test_the_summary_is_that_of_the_table(swept: Path) -> None:
    found = open_experiment(swept)
    runs, said = found.table(), found.summary()
    row = said.filter(
        polars.col("condition") == "free",
        polars.col(SIZE) == 8,
        polars.col("score") == "test_accuracy",
    ).to_dicts()[0]
    own = runs.filter(polars.col("condition") == "free", polars.col(SIZE) == 8)["score"].to_numpy()
    assert (row["n"], row["n_diverged"], row["n_left"]) == (3, 0, 0)
    assert row["mean"] == pytest.approx(own.mean())
    assert row["sd"] == pytest.approx(own.std(ddof=1))
    assert row["ci_low"] <= row["mean"] <= row["ci_high"]
    by = found.summary(("condition",)).filter(polars.col("score") == "test_accuracy")
    assert by["n"].to_list() == [6, 6]


def test_comparisons_are_paired_over_seeds(swept: Path) -> None:
    found = open_experiment(swept)
    runs, said = found.table(), found.comparisons()
    assert said is not None
    assert said["condition"].to_list() == ["free", "free"]
    for row in said.to_dicts():
        own = runs.filter(polars.col(SIZE) == row[SIZE]).sort("seed")
        free, signed = (
            own.filter(polars.col("condition") == name)["score"].to_numpy()
            for name in ("free", "signed")
        )
        assert row["difference"] == pytest.approx((free - signed).mean())
        expected = statistics.difference(free, signed, "free", str(row[SIZE]))
        assert row["p"] == expected.p


class Known(Rows):
    """Rows that a test has made."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self.known = rows

    def of(self, identity: str) -> Row:
        return self.known[identity]


def ensemble() -> tuple[About, Known]:
    """A baseline and 20 null models, each with 2 seeds; only 3 null models are as good."""
    points, rows = [], {}
    for draw in (None, *range(20)):
        for seed in range(2):
            identity = f"{len(points):016x}"
            name = "worm" if draw is None else "rewired"
            points.append(
                PointInfo(
                    hash=identity, condition=name, draw=draw, seed=seed, parameters={}, steps=5
                )
            )
            score = 0.8 if draw is None else 0.9 if draw < 3 else 0.5 + draw / 100
            rows[identity] = Row("finished", scores={"test_accuracy": score + seed / 1000})
    about = About(
        name="nulls", source="a", spec="b", metric="accuracy", minimizes=False, on="test",
        checkpoint="last", baseline="worm", method="grid", conditions=["worm", "rewired"],
        parameters=[], points=points,
    )  # fmt: skip
    return about, Known(rows)


def test_the_rank_of_the_baseline_among_an_ensemble() -> None:
    found = comparisons(*ensemble())
    assert found is not None
    (row,) = found.to_dicts()
    assert (row["rank"], row["rank_of"], row["rank_p"]) == (4, 21, pytest.approx(4 / 21))
    assert row["n"] == 2
    said = summary(*ensemble())
    assert said["n"].to_list() == [2, 40]


def test_failed_and_pending_runs_are_counted_and_never_dropped() -> None:
    about, rows = ensemble()
    rows.known |= {
        about.points[2].hash: Row("failed", 9, "out of memory"),
        about.points[3].hash: Row("diverged", 8, "the loss is inf"),
        about.points[4].hash: Row(),
    }
    said = summary(about, rows).filter(polars.col("condition") == "rewired").to_dicts()[0]
    counted = [said[name] for name in ("n", "n_diverged", "n_failed", "n_left")]
    assert counted == [37, 1, 1, 1]
    found = table(about, rows)
    assert found["error"].to_list()[2:5] == ["out of memory", "the loss is inf", None]
    assert found["score"].null_count() == 3


def test_no_text_of_a_table_is_a_formula() -> None:
    frame = polars.DataFrame({"=a": ["=1+1", "-x", "plain"], "n": [1, 2, 3]})
    assert csv_bytes(frame).decode().splitlines() == ["'=a,n", "'=1+1,1", "'-x,2", "plain,3"]


@pytest.mark.parametrize("kind", ["learning", "scores", "parameters"])
def test_a_figure_has_its_numbers_beside_it(
    kind: str, swept: Path, tmp_path: Path, cli: Any
) -> None:
    shutil.copytree(swept, tmp_path / "try")
    result = cli("plot", tmp_path / "try", "--kind", kind)
    assert result.code == 0, result.err
    image, numbers = map(Path, result.out.split())
    assert image.read_bytes().startswith(b"\x89PNG")
    assert len(numbers.read_text().splitlines()) > 4


def test_the_bands_are_means_of_the_runs(swept: Path) -> None:
    found = open_experiment(swept)
    data = plots.figure_of_experiments("learning")(found, by="condition").data
    last = data["mean"][(data["setting"] == "free") & (data["step"] == 24)]
    own = found.table().filter(polars.col("condition") == "free")["score"].to_numpy()
    assert last == pytest.approx(own.mean())
    assert data["n"].tolist() == [6] * len(data["n"])
    scores = plots.figure_of_experiments("scores")(found).data
    assert np.sort(scores["score"]) == pytest.approx(np.sort(found.table()["score"].to_numpy()))


def test_figures_that_cannot_be_drawn_say_why(swept: Path, cli: Any) -> None:
    for options, said in (
        (("--kind", "weights"), "--kind weights is of one run"),
        (("--kind", "heatmap"), "a heatmap is over two parameters, not 1"),
        (("--kind", "scores", "--by", "tau"), "the experiment does not vary `tau`"),
        (("--kind", "scores", "--layer", "hidden"), "--kind scores takes no --layer"),
    ):
        result = cli("plot", swept, *options)
        assert (result.code, said in result.err) == (2, True), result.err
    assert (
        "is of experiments"
        in cli("plot", swept.parent.parent / "small.yaml", "--kind", "scores").err
    )


def test_the_table_is_printed(swept: Path, tmp_path: Path, cli: Any) -> None:
    shutil.copytree(swept, tmp_path / "try")
    result = cli("table", tmp_path / "try")
    assert result.code == 0
    assert result.out.startswith("test_accuracy, mean over seeds:\ncondition")
    assert "compared with signed:" in result.out
    by = cli("table", tmp_path / "try", "--by", "layers[hidden].output_dim")
    assert len(by.out.splitlines()) == 4
    found = json.loads(cli("table", tmp_path / "try", "--format", "json").out)
    assert len(found["summary"]) == 4 * 4
    assert len(cli("table", tmp_path / "try", "--runs").out.splitlines()) == 13
    assert cli("table", tmp_path / "try", "--by", "tau").code == 2
    assert cli("table", "nothing").code == 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "points": 3}', "[" * 100_000]
)
def test_a_damaged_folder_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(text)
    with pytest.raises(NetbuildError) as caught:
        open_experiment(tmp_path)
    assert caught.value.exit_code == 5


def test_a_hash_that_is_a_path_is_refused(swept: Path, tmp_path: Path) -> None:
    about = json.loads((swept / "experiment.json").read_text())
    about["points"][0]["hash"] = "../../../../etc"
    (tmp_path / "experiment.json").write_text(json.dumps(about))
    with pytest.raises(NetbuildError, match="is no hash"):
        ExperimentFolder(tmp_path).about()
