"""Points: which runs an experiment has, and what their specs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_spec
from places import EXAMPLES

from netbuild.errors import SpecError
from netbuild.language import load
from netbuild.language.design import load_experiment, replicates
from netbuild.language.points import Point, Points, points_of, proposed

HEAD = "netbuild: 1\nexperiment: try\nspec: small.yaml\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_spec(tmp_path)
    return tmp_path


def points_in(folder: Path, text: str) -> Points:
    (folder / "try.yaml").write_text(HEAD + text)
    return points_of(load_experiment(folder / "try.yaml"))


def values_of(points: Points) -> list[Any]:
    return [(*point.parameters.values(), point.seed) for point in points.points]


def loaded(folder: Path, point: Point) -> Any:
    return load(folder / "small.yaml", point.overrides)


def test_a_grid_crosses_lists_with_each_other_and_with_seeds(folder: Path) -> None:
    points = points_in(
        folder, "seeds: [4, 9]\nparameters: {training.steps: [5, 6], training.batch_size: [2, 4]}\n"
    )
    assert values_of(points) == [
        (steps, size, seed) for steps in (5, 6) for size in (2, 4) for seed in (4, 9)
    ]
    assert [point.steps for point in points.points] == [5, 5, 5, 5, 6, 6, 6, 6]


def test_zipped_lists_go_together(folder: Path) -> None:
    text = "parameters: {training.steps: [5, 6], training.log_every: [1, 2],\n"
    text += "             layers.hidden.output_dim: [4, 8]}\n"
    points = points_in(folder, text + "zip: [[training.steps, training.log_every]]\n")
    assert values_of(points) == [(5, 1, 4, 0), (5, 1, 8, 0), (6, 2, 4, 0), (6, 2, 8, 0)]


def test_each_point_is_the_spec_with_its_overrides(folder: Path) -> None:
    points = points_in(
        folder,
        "seeds: 2\nset: {training.log_every: 7}\n"
        "parameters: {layers.hidden.output_dim: [8, 16]}\n"
        "derive: {regularizers.sparse.Lambda: 1e-3 * 8 / layers.hidden.output_dim,\n"
        "         training.batch_size: layers.hidden.output_dim / 4}\n"
        "conditions: {signed: {}, free: {set: {'layers[hidden].excitatory': 0.5}}}\n",
    )
    assert len({point.hash for point in points.points}) == len(points.points) == 8
    for point in points.points:
        spec = loaded(folder, point)
        size = point.parameters["layers.hidden.output_dim"]
        hidden: Any = spec.model.layers[0]
        assert spec.hash == point.hash
        assert (spec.model.seed, spec.model.training.log_every) == (point.seed, 7)
        assert hidden.output_dim == size
        assert hidden.excitatory == (0.75 if point.condition == "signed" else 0.5)
        assert spec.model.regularizers[1].Lambda == pytest.approx(8e-3 / size)
        assert spec.model.training.batch_size == size // 4


def test_a_larger_grid_has_the_points_of_the_smaller_one(folder: Path) -> None:
    few = points_in(folder, "seeds: 2\nparameters: {training.steps: [5, 6]}\n")
    many = points_in(folder, "seeds: 3\nparameters: {training.steps: [4, 5, 6]}\n")
    assert {p.hash for p in few.points} < {p.hash for p in many.points}


DRAWN = """
method: {type: random, trials: TRIALS}
parameters:
  training.optimizer.lr: {distribution: log_uniform, min: 1e-4, max: 1e-2}
  regularizers.sparse.Lambda: {distribution: uniform, min: 1, max: 2}
  layers.hidden.output_dim: {distribution: int_uniform, min: 4, max: 6}
  layers.hidden.bias: {distribution: normal, mean: 5, std: 0.1}
  training.batch_size: {distribution: choice, values: [4, 8]}
  training.log_every: [1, 2]
"""


def test_random_values_are_in_their_bounds_and_more_trials_keep_the_earlier_ones(
    folder: Path,
) -> None:
    few, many = (points_in(folder, DRAWN.replace("TRIALS", str(n))) for n in (4, 40))
    assert values_of(many)[:4] == values_of(few)
    rate, weight, size, bias, batch, log, _ = np.array(values_of(many), float).T
    assert ((rate >= 1e-4) & (rate <= 1e-2)).all()
    assert 0.25 < (rate < 1e-3).mean() < 0.75
    assert ((weight >= 1) & (weight <= 2)).all()
    assert set(size) == {4, 5, 6}
    assert bias.mean() == pytest.approx(5, abs=0.1)
    assert (set(batch), set(log)) == ({4, 8}, {1, 2})


def test_a_combination_that_is_proposed_has_a_point_for_each_condition_and_seed(
    folder: Path,
) -> None:
    text = "seeds: 2\nmethod: {type: tpe, trials: 3}\nconditions: {a: {}, b: {}}\n"
    text += "parameters: {training.steps: {distribution: int_uniform, min: 2, max: 9}}\n"
    points = points_in(folder, text)
    assert points.points == ()
    found = proposed(points.experiment, {"training.steps": 4})
    assert [(p.condition, p.seed, p.steps) for p in found] == [
        *(("a", 0, 4), ("a", 1, 4), ("b", 0, 4), ("b", 1, 4)),
    ]


def test_each_draw_of_an_ensemble_is_another_null_model(tmp_path: Path) -> None:
    worm = EXAMPLES / "celegans" / "celegans.yaml"
    text = (
        "netbuild: 1\nexperiment: nulls\nspec: SPEC\nconditions:\n  worm: {}\n  rewired:\n"
        "    set: {layers.worm.connectome.control: {rewire: degree_preserving}}\n    draws: 3\n"
    )
    file = tmp_path / "null.yaml"
    file.write_text(text.replace("SPEC", str(worm)))
    experiment = load_experiment(file, data_root="/")
    points = points_of(experiment).points
    assert [(p.condition, p.draw) for p in points] == [
        *(("worm", None), ("rewired", 0), ("rewired", 1), ("rewired", 2)),
    ]
    assert all(f"connectome.control.seed={p.draw}" in str(p.overrides) for p in points[1:])
    assert len({p.hash for p in points}) == 4


def test_replicates_of_a_spec_need_no_file(folder: Path) -> None:
    experiment = replicates(folder / "small.yaml", "small", 3, ["training.steps=5"])
    points = points_of(experiment).points
    assert [(p.seed, p.steps) for p in points] == [(0, 5), (1, 5), (2, 5)]
    assert all(loaded(folder, p).hash == p.hash for p in points)


def test_a_wrong_override_of_replicates_is_told_as_it_was_given(folder: Path) -> None:
    experiment = replicates(folder / "small.yaml", "small", 3, ["training.stesp=5"])
    with pytest.raises(SpecError) as caught:
        points_of(experiment)
    assert str(caught.value.problems[0].place) == "--set #1, column 10"


def test_an_experiment_extends_another(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "base.yaml").write_text(
        HEAD + "seeds: 3\nparameters: {training.steps: [5, 6]}\nset: {training.log_every: 3}\n"
    )
    (folder / "below" / "more.yaml").write_text(
        "netbuild: 1\nexperiment: more\nextends: ../base.yaml\nseeds: 1\n"
        "parameters: {training.batch_size: 4}\n"
    )
    (folder / "pyproject.toml").touch()
    points = points_of(load_experiment(folder / "below" / "more.yaml"))
    assert values_of(points) == [(5, 4, 0), (6, 4, 0)]
    assert loaded(folder, points.points[0]).model.training.log_every == 3
