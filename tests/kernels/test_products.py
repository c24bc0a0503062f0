"""The projection of few inputs to many units against torch's linear."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import projection


def arguments(shape: tuple[int, ...], units: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (shape, (units, shape[-1]), (units,))
    return [
        torch.randn(each, generator=generator, dtype=torch.float64).requires_grad_()
        for each in shapes
    ]


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), units=st.integers(1, 5)
)
def test_values_and_gradients_are_those_of_linear(shape: tuple[int, ...], units: int) -> None:
    given = arguments(shape, units)
    ours, expected = projection(*given), functional.linear(*given)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    both = [torch.autograd.grad((y * weights).sum(), given) for y in (ours, expected)]
    torch.testing.assert_close(*both)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(projection, arguments((3, 2, 4), 5))


def test_layouts_do_not_matter() -> None:
    x, weight, bias = arguments((3, 2, 4), 5)
    output = projection(x.transpose(0, 1), weight, bias)
    assert output.is_contiguous()
    torch.testing.assert_close(output, functional.linear(x, weight, bias).transpose(0, 1))
    expanded, filled = (
        torch.autograd.grad(output, (x, weight, bias), ones, retain_graph=True)
        for ones in (torch.ones(()).double().expand(output.shape), torch.ones_like(output))
    )
    torch.testing.assert_close(expanded, filled)


def test_inputs_need_no_gradient() -> None:
    x, weight, bias = arguments((3, 4), 5)
    projection(x.detach(), weight, bias).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    torch.testing.assert_close(bias.grad, torch.full((5,), 3.0, dtype=torch.float64))


@pytest.mark.parametrize(
    "shapes", [((3, 4), (5, 3), (5,)), ((3, 4), (5, 4), (4,)), ((4,), (4,), ())]
)
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(..., input\), \(unit, input\) and \(unit,\)"):
        projection(*(torch.ones(shape) for shape in shapes))
