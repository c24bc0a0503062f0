"""The pure functions: norms and the loss of Dale's law against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netbuild.regularization import one_pass
from netbuild.regularization.terms import (
    LARGE,
    dale_l2,
    dale_l2_sum,
    lp,
    matrix_norm,
    rows_are_alike,
)

shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
orders = st.sampled_from([1, 1.5, 2, 3, math.inf])
ratios = st.floats(0, 1)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


@settings(deadline=None, max_examples=50)
@given(shapes, orders, st.booleans(), st.booleans(), st.integers(0, 99))
def test_entrywise_norm_is_its_definition(shape, p, squared, mean, seed):
    weight = drawn(*shape, seed=seed)
    magnitudes = weight.detach().abs().flatten()
    if p == math.inf:
        expected = magnitudes.max()
    else:
        powers = magnitudes**p
        expected = (powers.mean() if mean else powers.sum()) ** (1 / p)
    expected = expected**2 if squared else expected
    found = lp(weight, p, squared, mean)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-15)
    assert torch.autograd.gradcheck(lambda w: lp(w, p, squared, mean), weight)


def test_matrix_norm_counts_leading_axes_as_matrices():
    weight = drawn(2, 3, 4)
    expected = sum(torch.linalg.norm(w, 2) ** 2 for w in weight)
    torch.testing.assert_close(matrix_norm(weight, 2, squared=True), expected)


def trace_formula(weight: Tensor, signs: Tensor, alpha: float) -> Tensor:
    """The definition, on the last two axes."""
    product = weight.mT @ (alpha * weight - (1 - alpha) * signs)
    return product.diagonal(dim1=-2, dim2=-1).sum(-1)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 6), ratios, st.integers(0, 99), st.floats(0.1, 10))
def test_loss_and_gradient_are_those_of_the_trace_formula(rows, columns, alpha, seed, factor):
    weight, signs = drawn(rows, columns, seed=seed), drawn(rows, columns, seed=seed + 1).sign()
    found, expected = dale_l2(weight, signs.detach(), alpha), trace_formula(weight, signs, alpha)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)
    (gradient,) = torch.autograd.grad(factor * found, weight)
    (wanted,) = torch.autograd.grad(factor * expected, weight)
    torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.8, 1.0])
@pytest.mark.parametrize("by_unit", [True, False])
def test_large_weights_take_the_other_way_to_the_same_result(alpha, by_unit):
    side = math.isqrt(LARGE) + 1
    weight = drawn(side, side)
    signs = drawn(side, side, seed=1).detach().sign()
    signs = signs[:1].expand(side, side) if by_unit else signs
    assert rows_are_alike(signs) == by_unit
    compact = signs[0] if by_unit else signs
    found, expected = dale_l2_sum([weight], [compact], alpha), trace_formula(weight, signs, alpha)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    (gradient,) = torch.autograd.grad(0.3 * found, weight)
    torch.testing.assert_close(gradient, 0.3 * (2 * alpha * weight - (1 - alpha) * signs))
    if not by_unit:  # a weight whose memory is not in rows
        turned = weight.detach().T.requires_grad_()
        dale_l2_sum([turned], [signs], alpha).backward()
        torch.testing.assert_close(turned.grad, 2 * alpha * turned - (1 - alpha) * signs)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0, 3)])
def test_gradcheck(alpha, shape):
    weight, signs = drawn(*shape), drawn(*shape, seed=1).detach().sign()
    assert torch.autograd.gradcheck(
        lambda w: dale_l2_sum([w, 2 * w], [signs, -signs], alpha), weight
    )


def test_leading_axes_are_one_loss_each():
    weight, signs = drawn(2, 3, 4, 5), drawn(4, 5, seed=1).detach().sign()
    torch.testing.assert_close(dale_l2(weight, signs, 0.3), trace_formula(weight, signs, 0.3))
    assert torch.autograd.gradcheck(lambda w: dale_l2(w, signs, 0.3), weight)


def test_misshapen_signs_are_refused():
    for signs in (torch.ones(3), torch.ones(2, 2), torch.ones(1, 3, 2)):
        with pytest.raises(ValueError, match="the same last two axes"):
            dale_l2(torch.ones(3, 2), signs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signs_of", ["unit", "weight"])
@pytest.mark.parametrize("given", [1.0, 0.3])
def test_large_weights_have_the_same_term_and_gradient(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, signs_of: str, given: float
) -> None:
    """Whether or not the weight of the term is the one that was announced; also at a second try."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 65, generator=generator, dtype=dtype, requires_grad=True)
    shape = (65,) if signs_of == "unit" else weight.shape
    signs = torch.randn(shape, generator=generator, dtype=dtype).sign()
    found: list[tuple[Tensor, ...]] = []
    for least, threads in ((1 << 40, 1), (1, 1), (1, 3)):
        monkeypatch.setattr(one_pass, "LARGE", least)
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert one_pass.is_large(weight) == (least == 1)
        loss = dale_l2_sum([weight], [signs], 0.8, 0.3)
        gradients = [torch.autograd.grad(given * loss, weight, retain_graph=True) for _ in "ab"]
        found.append((loss.detach(), *(each for (each,) in gradients)))
    for mine, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, expected)
    assert all(torch.equal(one, three) for one, three in zip(*found[1:], strict=True))
