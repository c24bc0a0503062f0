"""Activations: kernels write what autograd computes, derivatives from the rates included."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netbuild import kernels
from netbuild.kernels import ACTIVATIONS, Activation

NAMED = [*[(name, 2.0) for name in ACTIVATIONS], ("power", 0.5), ("power", 1.0), ("power", 3.0)]


def derivative(function: Activation, v: Tensor) -> Tensor:
    v = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(v).sum(), v)
    return slope


def values(dtype: torch.dtype = torch.float64) -> Tensor:
    """From -8 to 8, away from the kink at 0."""
    v = torch.linspace(-8, 8, 321, dtype=dtype)
    return v[v.abs() > 1e-2].reshape(-1, 2)


@pytest.mark.parametrize(("name", "n"), NAMED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_written_values_are_those_of_autograd(name: str, n: float, dtype: torch.dtype) -> None:
    f, v = kernels.activation(name, n), values(dtype)
    elsewhere, before = torch.empty_like(v), v.clone()
    f.value(v, elsewhere)
    assert torch.equal(v, before)
    torch.testing.assert_close(elsewhere, f(v))
    f.value(v, v)
    assert torch.equal(v, elsewhere)


@pytest.mark.parametrize(("name", "n"), NAMED)
def test_derivatives_from_the_rates_are_those_of_autograd(name: str, n: float) -> None:
    f, v = kernels.activation(name, n), values()
    rates, grad, elsewhere = torch.empty_like(v), torch.randn_like(v), torch.empty_like(v)
    f.value(v, rates)
    kept, before = rates.clone(), grad.clone()
    prepared = f.prepare(rates)
    f.pull(grad, prepared, elsewhere)
    assert torch.equal(rates, kept)
    assert torch.equal(grad, before)
    expected = grad * derivative(f, v).nan_to_num(0)  # power n < 1: 0 times inf
    # A rate near its bound keeps few digits of its distance to it, which the slope is made of.
    torch.testing.assert_close(elsewhere, expected, rtol=1e-7, atol=1e-8)
    f.pull(grad, prepared, grad)
    assert torch.equal(grad, elsewhere)


@pytest.mark.parametrize(("name", "n"), [each for each in NAMED if each[0] != "linear"])
@settings(deadline=None)
@given(v=st.floats(-(2.0**99), 2.0**99, width=32))
def test_derivatives_are_finite_and_not_negative(name: str, n: float, v: float) -> None:
    f, rates = kernels.activation(name, n), torch.tensor([v])
    f.value(rates, rates)
    if rates.isfinite().all():
        slope = torch.ones(1)
        f.pull(slope, f.prepare(rates), slope)
        assert slope.isfinite().all()
        assert slope.item() >= 0


@pytest.mark.parametrize("name", ["relu", "retanh", "power"])
def test_the_derivative_at_the_kink_is_0(name: str) -> None:
    f, rates, grad = kernels.activation(name, 0.5), torch.zeros(3), torch.ones(3)
    f.pull(grad, f.prepare(rates), grad)
    assert grad.tolist() == [0, 0, 0]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of linear, relu, .*, power; got 'rellu'"):
        kernels.activation("rellu")


@pytest.mark.parametrize("n", [0, -1, math.inf, math.nan])
def test_an_exponent_is_a_number_above_0(n: float) -> None:
    with pytest.raises(ValueError, match="n of activation 'power' must be a number above 0"):
        kernels.activation("power", n)


@pytest.mark.parametrize(("name", "n"), NAMED)
def test_activations_can_be_pickled_and_copied(name: str, n: float) -> None:
    f, v = kernels.activation(name, n), values()
    for twin in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f)):
        assert (twin.name, twin.n) == (f.name, f.n)
        assert torch.equal(twin(v), f(v))
