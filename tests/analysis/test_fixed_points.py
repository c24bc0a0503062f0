"""Fixed points: known ones are found, slow ones are kept, and starts of other inputs stay apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from analysed import FORMULATIONS, after, apart, ctrnn, drawn, same, spread
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netbuild.analysis import (
    fixed_points,
)


@pytest.mark.parametrize("formulation", FORMULATIONS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(size=st.integers(1, 6), alpha=st.floats(0.05, 1), seed=st.integers(0, 1000))
def test_a_linear_network_has_one_fixed_point(
    formulation: str, size: int, alpha: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(size, size)) * 0.3 / np.sqrt(size)
    layer = ctrnn(W, rng.normal(size=size), rng.normal(size=(size, 2)), alpha=alpha,
                  formulation=formulation)  # fmt: skip
    u = torch.from_numpy(rng.normal(size=2))
    found = fixed_points(layer, u, spread(5, size), tolerance=1e-12)  # no slow point
    W, b = layer.recurrent.weight.detach().double(), layer.recurrent.bias.detach().double()
    a, eye = layer.alpha.double(), torch.eye(size, dtype=torch.float64)
    A = (1 - a) * eye + a * W
    d = a * (b + layer.input.weight.detach().double() @ u)
    assert len(found) == 1
    assert found.starts.tolist() == [5]
    assert torch.allclose(found.states[0], torch.linalg.solve(eye - A, d), atol=1e-9)
    assert torch.allclose(found.jacobians[0], A, atol=1e-14)
    expected = torch.linalg.eigvals(A).abs().sort(descending=True).values
    assert torch.allclose(found.multipliers[0].abs(), expected, atol=1e-6)
    assert found.fixed.all()
    assert found.speed.max() < 1e-10
    assert torch.equal(found.rates, found.states)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_two_units_that_inhibit_each_other_decide_for_one(formulation: str) -> None:
    layer = ctrnn([[2.0, -2.0], [-2.0, 2.0]], activation="tanh", formulation=formulation)
    grid = torch.cartesian_prod(*[torch.linspace(-2, 2, 7)] * 2)
    found = fixed_points(layer, torch.zeros(1), grid)
    # On the line (s, -s) each unit is one that excites itself; it stays away from 0 in two places.
    v, alpha = 1.0, float(layer.alpha)
    for _ in range(400):
        v = {
            "current": (1 - alpha) * v + alpha * 4 * np.tanh(v),
            "rate": (1 - alpha) * v + alpha * np.tanh(4 * v),
            "update": np.tanh((1 - alpha) * v + alpha * 4 * v),
        }[formulation]
    expected = torch.tensor([[v, -v], [-v, v], [0, 0]], dtype=torch.float64)
    assert len(found) == 3
    distance = apart(expected, found.states)
    assert distance.min(1).values.max() < 1e-9
    words = [found.stability[int(i)] for i in distance.argmin(1)]
    assert words == ["stable", "stable", "saddle"]
    saddle = int(distance.argmin(1)[2])
    assert found.unstable[saddle] == 1
    (direction,) = found.directions(saddle)
    assert torch.allclose(direction.abs(), torch.full((2,), 0.5).double().sqrt())
    assert direction[0] * direction[1] < 0
    assert len(found.directions(int(distance.argmin(1)[0]))) == 0
    assert found.starts.sum() == len(grid)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_a_line_attractor_is_a_line_of_points(formulation: str) -> None:
    rng = np.random.default_rng(1)
    Q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    W = Q @ np.diag([1.0, *rng.uniform(-0.7, 0.7, 7)]) @ Q.T  # along Q[:, 0] nothing moves
    layer = ctrnn(W, formulation=formulation)
    starts = spread(40, 8)
    found = fixed_points(layer, torch.zeros(1), starts)
    along = torch.from_numpy(Q[:, 0])
    assert len(found) > 30  # float32 weights leave an eigenvalue of 1 to 1e-7
    assert (found.q < 1e-8).all()
    off = found.states - (found.states @ along)[:, None] * along
    assert off.norm(dim=1).max() < 1e-2
    assert (found.multipliers[:, 0] - 1).abs().max() < 1e-4
    assert set(found.stability) == {"marginal"}
    assert np.ptp((found.states @ along).numpy()) > 3
    assert found.lost.tolist() == [0]


def test_slow_points_are_kept_with_their_q() -> None:
    """v' = v^2 + 0.01 as it passes a ghost: q has a minimum, and no zero."""
    layer = ctrnn([[1.0]], 0.01, activation={"type": "power", "n": 2}, formulation="rate")
    # r' = 0.8 r + 0.2 max(r + 0.3, 0)^2: with this bias the curve stays above the diagonal.
    with torch.no_grad():
        layer.recurrent.bias.fill_(0.26)
    starts = torch.linspace(0, 0.5, 9)[:, None]
    found = fixed_points(layer, torch.zeros(1), starts, tolerance=1e-3)
    r = torch.linspace(-1, 1, 100_001, dtype=torch.float64)[:, None]
    q = (after(layer, r, torch.zeros(1).double()) - r).square().sum(1) / 2
    assert not found.fixed.any()
    assert (found.q <= 1e-3).all()
    assert found.q.min() >= q.min() > 1e-7
    assert found.starts.sum() == 9
    none = fixed_points(layer, torch.zeros(1), starts, tolerance=float(q.min()) / 2)
    assert len(none) == 0
    assert none.stability == ()
    assert none.lost.tolist() == [9]
    assert float(none.lost_q[0]) == pytest.approx(float(q.min()), rel=1e-3)


def test_a_large_tolerance_adds_slow_points_and_loses_no_fixed_one() -> None:
    layer = ctrnn([[0.99]], 0.01)  # r = 1, and so slow that every start is below the tolerance
    starts = torch.linspace(-3, 3, 7)[:, None]
    found = fixed_points(layer, torch.zeros(1), starts, tolerance=1e-2)
    assert found.fixed.tolist()[0]
    assert float(found.states[0, 0]) == pytest.approx(1, abs=1e-5)
    assert found.starts.sum() == 7
    assert len(found) == 7  # the start at 1 is the fixed point
    assert torch.equal(found.q, found.q.sort().values)


def test_the_same_starts_give_the_same_bits() -> None:
    layer, u, starts = drawn(10, gain=3.0), torch.zeros(3), spread(50, 10)
    first, second = fixed_points(layer, u, starts), fixed_points(layer, u, starts)
    assert len(first) > 1
    assert same(first, second)
    assert first.stability == second.stability


def test_batches_are_of_no_consequence(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, u, starts = drawn(10, gain=3.0, formulation="rate"), torch.zeros(3), spread(21, 10)
    whole = fixed_points(layer, u, starts)
    parts = [fixed_points(layer, u, part, unique=0.01, lr=0.1) for part in starts.split(7)]
    found = torch.cat([part.states for part in parts])
    again = fixed_points(layer, u, starts, unique=0.01, lr=0.1)
    assert apart(found, again.states).min(1).values.max() < 1e-9
    assert apart(again.states, found).min(1).values.max() < 1e-9
    assert sum(int(part.starts.sum()) for part in parts) == int(again.starts.sum())
    monkeypatch.setattr("netbuild.analysis.dynamics.LARGEST", 3 * 100)
    assert same(fixed_points(layer, u, starts), whole, 1e-9)


def test_noise_is_ignored() -> None:
    quiet, noisy = drawn(6), drawn(6, noise=1.0, rate_noise=1.0, input_noise=1.0)
    noisy.load_state_dict(quiet.state_dict())
    u, starts = torch.zeros(3), spread(20, 6)
    state = torch.get_rng_state()
    assert same(fixed_points(quiet, u, starts), fixed_points(noisy.train(), u, starts))
    assert torch.equal(torch.get_rng_state(), state)


def test_each_input_has_its_own_points() -> None:
    layer = ctrnn([[0.0]], inputs=[[1.0]])
    u = torch.tensor([[3.0], [1.0], [3.0], [1.0], [2.0]])
    found = fixed_points(layer, u, torch.zeros(5, 1), unique=10.0)
    assert found.inputs.tolist() == [[3], [1], [2]]
    assert found.condition.tolist() == [0, 1, 2]
    assert found.starts.tolist() == [2, 2, 1]
    assert torch.allclose(found.states[:, 0], torch.tensor([3.0, 1, 2], dtype=torch.float64))


@pytest.mark.parametrize(
    ("u", "states", "words", "what"),
    [
        (torch.zeros(2), torch.zeros(4, 5), {}, r"u must be \(3,\) or \(4, 3\); got \(2,\)"),
        (torch.zeros(3), torch.zeros(4, 6), {}, r"states must be \(starts, 5\); got \(4, 6\)"),
        (torch.zeros(3), torch.zeros(0, 5), {}, r"states must be"),
        (torch.zeros(3), torch.full((4, 5), np.nan), {}, "states must be finite"),
        (torch.full((3,), np.inf), torch.zeros(4, 5), {}, "u must be finite"),
        (torch.zeros(3), torch.zeros(4, 5), {"tolerance": 0}, "tolerance must be above 0; got 0"),
        (torch.zeros(3), torch.zeros(4, 5), {"unique": -1}, "unique must be above 0; got -1"),
        (torch.zeros(3), torch.zeros(4, 5), {"lr": np.nan}, "lr must be above 0"),
    ],
)
def test_what_cannot_be_is_refused(u: Tensor, states: Tensor, words: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        fixed_points(drawn(5), u, states, **words)
