"""The figure of fixed points: its panels, kinds of points, and answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from analysed import ctrnn, network_of, trials_of

from netbuild import plots
from netbuild.analysis import (
    study,
)
from netbuild.layers import Network
from netbuild.tasks import Batch


def test_the_figure_shows_each_condition_and_each_kind_of_point() -> None:
    layer = ctrnn([[2.0, -2.0], [-2.0, 2.0]], inputs=np.eye(2), activation="tanh")
    network = Network({"hidden": layer}, input_dim=2)
    inputs = torch.randn(8, 10, 2, generator=torch.Generator().manual_seed(0))
    batch = Batch(inputs, torch.zeros(8), None, {"answer": np.arange(8) % 2 + 1})
    found = study(network, batch, inputs=torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
    figure = plots.fixed_points(found).figure
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["0, 0", "9, 0"]
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert shown == {"answer 1", "answer 2", "stable", "saddle", "unstable direction"}
    kinds = [[line.get_label() for line in axes.lines if line.get_zorder() > 1] for axes in panels]
    assert sorted(kinds[0]) == ["saddle", "stable", "stable", "unstable direction"]
    assert kinds[1] == ["stable"]
    figure.canvas.draw()


def test_trials_of_no_condition_are_in_no_panel() -> None:
    network, batch = network_of(), trials_of()
    words = np.array(["a", "b", "", "a", "b", ""])
    batch = batch._replace(trials={**(batch.trials or {}), "word": words})
    found = study(network, batch, starts=10, condition=["word"])
    assert found.labels == ("word=a", "word=b")  # "" is no value
    assert found.which.tolist() == [0, 1, -1, 0, 1, -1]
    panels = [axes for axes in plots.fixed_points(found).figure.axes if axes.get_title()]
    drawn = [sum(line.get_zorder() == 1 for line in axes.lines) for axes in panels]
    assert drawn == [2, 2]


@pytest.mark.parametrize("count", [7, 12])
def test_answers_are_told_apart_and_in_order(count: int) -> None:
    network = network_of()
    batch = trials_of(count=2 * count)
    answers = np.arange(2 * count) % count
    answers[-1] = -1  # nothing is right
    batch = batch._replace(trials={**(batch.trials or {}), "answer": answers})
    figure = plots.fixed_points(study(network, batch, starts=10)).figure
    shown = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    colours = {line.get_color() for line in figure.axes[0].lines if line.get_zorder() == 1}
    assert len(colours) == count + 1
    bars = [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    named = [f"answer {i}" for i in range(count)] if count <= 7 else []
    assert shown[: len(named) + 1] == [*named, "trials"]
    assert bars == ([] if count <= 7 else ["right answer"])
    figure.canvas.draw()


@pytest.mark.parametrize("size", [1, 2])
def test_the_figure_of_a_few_units(size: int) -> None:
    network = Network({"hidden": ctrnn(np.eye(size) * 2, activation="tanh")}, input_dim=1)
    batch = Batch(torch.randn(4, 6, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(4))
    plots.fixed_points(study(network, batch)).figure.canvas.draw()
