"""A layer as a map of its states: Jacobians, multipliers, and stability at kinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from analysed import FORMULATIONS, after, ctrnn, drawn, spread

from netbuild.analysis import (
    FixedPoints,
    fixed_points,
    jacobians,
)
from netbuild.layers.ctrnn import CTRNNLayer


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("activation", ["tanh", "softplus", "sigmoid", "retanh", "relu"])
def test_jacobians_are_finite_differences(formulation: str, activation: str) -> None:
    layer = drawn(7, formulation=formulation, activation=activation)
    u, x = torch.tensor([0.5, -0.2, 0.1], dtype=torch.float64), spread(4, 7, seed=3)
    found = jacobians(layer, u, x)
    h = 1e-6 * torch.eye(7, dtype=torch.float64)
    for i, row in enumerate(x):
        differences = (after(layer, row + h, u) - after(layer, row - h, u)).T / 2e-6
        assert torch.allclose(found[i], differences, atol=1e-7)


SIGNS = np.array([1, 1, 1, -1, 1, -1])


VARIANTS: dict[str, dict[str, Any]] = {
    "learnt alpha": {"alpha": {"value": np.linspace(0.1, 0.9, 6), "learn": True}},
    "areas": {"alpha": [0.1, 0.5], "groups": [0, 0, 1, 1, 1, 0]},
    "initial state and noise": {"noise": 0.5, "rate_noise": 0.3, "initial_state": 0.4},
    "abs": {"recurrent": {"dale": "abs", "ei_mask": SIGNS}},
    "mask": {"recurrent": {"sparsity_mask": np.random.default_rng(0).random((6, 6)) < 0.5}},
}


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_layer_is_analysed_as_it_computes(formulation: str, variant: str) -> None:
    words = {"alpha": 0.3} | VARIANTS[variant]
    recurrent = {"weight": "normal", "bias": "uniform", "seed": 2} | words.pop("recurrent", {})
    layer = CTRNNLayer(
        3, 6, formulation=formulation, activation="tanh", seed=1, recurrent=recurrent, **words
    )
    with torch.no_grad():
        layer.recurrent.weight.mul_(2.0)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    u, starts = torch.tensor([0.4, -0.1, 0.2]), spread(30, 6)
    layer.train()
    found = fixed_points(layer, u, starts)
    assert found.fixed.any()
    own = found.states[found.fixed]
    assert torch.allclose(after(layer, own, u.double()), own, atol=1e-9)
    assert layer.training
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in layer.parameters())
    assert layer.step_number is None
    expected = layer.activation(found.states) if formulation == "current" else found.states
    assert torch.equal(found.rates, expected)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_a_kink_is_decided_where_both_sides_agree(formulation: str) -> None:
    def at_rest(weight: float) -> FixedPoints:
        layer = ctrnn([[weight]], activation="relu", formulation=formulation)
        return fixed_points(layer, torch.zeros(1), torch.zeros(3, 1))

    gone, kept = at_rest(2.0), at_rest(0.5)
    assert (gone.stability, kept.stability) == (("undecided",), ("stable",))
    assert gone.kinks.tolist() == kept.kinks.tolist() == [1]
    away = ctrnn([[0.5]], 1.0, activation="relu", formulation=formulation)
    assert fixed_points(away, torch.zeros(1), torch.ones(3, 1)).kinks.tolist() == [0]


def test_multipliers_are_time_constants_and_frequencies() -> None:
    turn = 2 * np.pi / 10  # a tenth of a turn a step, shrinking by 5 %
    W = 0.95 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found = fixed_points(ctrnn(W, alpha=1.0), torch.zeros(1), torch.ones(2, 2))
    assert torch.allclose(found.multipliers[0].abs(), torch.tensor(0.95).double())
    assert found.multipliers[0, 0].imag > 0 > found.multipliers[0, 1].imag
    assert found.time_constants(20)[0].tolist() == pytest.approx([-20 / np.log(0.95)] * 2)
    assert found.frequencies(20)[0].tolist() == pytest.approx([1 / 200] * 2)
    growing = fixed_points(ctrnn(1.1 * W / 0.95, alpha=1.0), torch.zeros(1), torch.ones(2, 2))
    assert growing.stability == ("unstable",)
    assert growing.time_constants()[0, 0] == pytest.approx(-1 / np.log(1.1))
    plane = growing.directions(0)
    assert plane.shape == (2, 2)
    assert np.linalg.matrix_rank(plane.numpy()) == 2
