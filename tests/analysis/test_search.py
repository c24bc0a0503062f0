"""The search: descent lowers q, and Newton's method ends where nothing moves, or where it began."""

from __future__ import annotations

import pytest
import torch
from analysed import FORMULATIONS, ctrnn, drawn, spread

from netbuild.analysis.dynamics import Dynamics
from netbuild.analysis.search import descend, newton, residual

ZERO = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_newton_solves_a_linear_layer_in_a_few_steps(formulation: str) -> None:
    layer = ctrnn([[0.5, 0.2], [-0.3, 0.1]], bias=[1.0, -2.0], formulation=formulation)
    move, starts = Dynamics(layer), spread(4, 2)
    ends = newton(move, starts, ZERO.expand(4, 1))
    weight, bias = layer.recurrent.weight.detach().double(), layer.recurrent.bias.detach().double()
    expected = torch.linalg.solve(torch.eye(2).double() - weight, bias)
    assert torch.allclose(ends, expected.expand(4, 2), atol=1e-12)


def test_a_state_that_would_leave_its_radius_is_given_back_bit_for_bit() -> None:
    move, starts = Dynamics(ctrnn([[0.5]], bias=1.0)), torch.tensor([[1.9], [9.0]]).double()
    ends = newton(move, starts, ZERO.expand(2, 1), radius=0.5)
    assert ends[0].item() == pytest.approx(2.0)
    assert torch.equal(ends[1], starts[1])


def test_newton_ends_as_soon_as_q_is_enough() -> None:
    move, starts = Dynamics(drawn(6)), spread(5, 6)
    u = torch.zeros(5, 3, dtype=torch.float64)
    enough = residual(move, starts, u).max().item()
    assert torch.equal(newton(move, starts, u, enough=enough), starts)


def test_newton_of_no_state_is_no_state() -> None:
    none = torch.zeros(0, 6, dtype=torch.float64)
    assert newton(Dynamics(drawn(6)), none, torch.zeros(0, 3).double()).shape == (0, 6)


def test_states_on_a_line_of_fixed_points_stay_where_they_are_along_it() -> None:
    move = Dynamics(ctrnn([[1.0, 0.0], [0.0, 0.5]]))  # nothing moves along the first unit
    starts = torch.tensor([[-3.0, 0.1], [0.5, -2.0], [4.0, 1.0]]).double()
    ends = newton(move, starts, ZERO.expand(3, 1))
    assert torch.allclose(ends[:, 0], starts[:, 0], atol=1e-9)
    assert torch.allclose(ends[:, 1], torch.zeros(3).double(), atol=1e-9)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_descent_lowers_q_to_the_tolerance_and_then_rests(formulation: str) -> None:
    move, starts = Dynamics(drawn(6, gain=0.8, formulation=formulation)), spread(8, 6)
    u = torch.full((8, 3), 0.3, dtype=torch.float64)
    tolerance = 1e-4  # kinks of relu make a descent creep, below it for thousands of steps
    ends = descend(move, starts, u, steps=800, lr=0.1, tolerance=tolerance)
    assert (residual(move, ends, u) <= tolerance).all()
    assert (residual(move, starts, u) > tolerance).all()
    assert torch.equal(descend(move, ends, u, steps=9, lr=0.1, tolerance=tolerance), ends)


def test_each_state_descends_as_it_would_alone() -> None:
    move, starts = Dynamics(drawn(5)), spread(3, 5)
    u = torch.zeros(3, 3, dtype=torch.float64)
    together = descend(move, starts, u, steps=30, lr=0.1, tolerance=1e-4)
    for i in range(3):
        alone = descend(move, starts[i : i + 1], u[:1], steps=30, lr=0.1, tolerance=1e-4)
        assert torch.allclose(together[i], alone[0], rtol=0, atol=1e-12)
