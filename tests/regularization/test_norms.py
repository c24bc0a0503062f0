"""Lp, L1, L2: entry by entry against the definition, as matrix norms against the peer's values."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import TESTS
from torch import Tensor

from netbuild.regularization import L1, L2, Lp, WeightsDistance
from netbuild.regularization.norms import lp_norm, matrix_norm

GOLDEN = json.loads((TESTS / "golden" / "regularization.json").read_text())
CASES = [c for c in GOLDEN["cases"] if c["type"] in ("Lp", "L1", "L2", "WeightsDistance")]
KINDS = {"Lp": Lp, "L1": L1, "L2": L2, "WeightsDistance": WeightsDistance}

shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
orders = st.sampled_from([1, 1.5, 2, 3, math.inf])


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['type']}-{c.get('p', '')}")
def test_agrees_with_neurotorch(case):
    words = {k: v for k, v in case.items() if k not in ("params", "loss", "grads")}
    params = [torch.tensor(p, requires_grad=True) for p in case["params"]]
    loss = KINDS[case["type"]].from_dict(words, params)()
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5)
    for param, expected in zip(params, case["grads"], strict=True):
        torch.testing.assert_close(param.grad, torch.tensor(expected), rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(shapes, orders, st.booleans(), st.booleans(), st.integers(0, 99))
def test_entrywise_norm_is_its_definition(shape, p, squared, mean, seed):
    weight = drawn(shape, seed)
    magnitudes = weight.detach().abs().flatten()
    if p == math.inf:
        expected = magnitudes.max()
    else:
        powers = magnitudes**p
        expected = (powers.mean() if mean else powers.sum()) ** (1 / p)
    expected = expected**2 if squared else expected
    found = lp_norm(weight, p, squared, mean)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-15)
    assert torch.autograd.gradcheck(lambda w: lp_norm(w, p, squared, mean), weight)


@pytest.mark.parametrize(
    ("norm", "p"),
    [("entrywise", p) for p in (1, 1.5, 2, 3, math.inf)]
    + [("matrix", p) for p in (1, 2, math.inf)],
)
@pytest.mark.parametrize("squared", [True, False])
def test_gradient_at_zero_is_finite(norm, p, squared):
    weight = torch.zeros(3, 4, requires_grad=True)
    loss = Lp([weight], p=p, norm=norm, squared=squared)()
    loss.backward()
    assert loss.item() == 0
    assert bool(torch.isfinite(weight.grad).all())


def test_the_two_norms_differ_as_documented():
    weight = torch.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    found = [Lp([weight], p=p, norm=n)().item() for p in (1, 2) for n in ("entrywise", "matrix")]
    assert found == pytest.approx([10, 6, math.sqrt(30), 5.116673])
    assert L2([weight], squared=True)().item() == 30
    assert L2([weight], squared=True, reduction="mean")().item() == 7.5
    assert L1([weight], reduction="mean")().item() == 2.5


def test_matrix_norm_counts_leading_axes_as_matrices():
    weight = drawn((2, 3, 4), 0)
    expected = sum(torch.linalg.norm(w, 2) ** 2 for w in weight)
    torch.testing.assert_close(matrix_norm(weight, 2, squared=True), expected)


@pytest.mark.parametrize("kind", [L1, L2])
def test_empty_parameter_has_norm_zero(kind):
    for reduction in ("sum", "mean"):
        weight = torch.empty(0, 3, requires_grad=True)
        loss = kind([weight], reduction=reduction)()
        loss.backward()
        assert loss.item() == 0
    assert Lp([torch.empty(0, 3, requires_grad=True)], p=math.inf, norm="matrix")().item() == 0


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"p": 0.5}, ValueError, "p must be finite and >= 1, not 0.5"),
        ({"p": math.nan}, ValueError, "p must be finite"),
        ({"p": "2"}, TypeError, "p must be a number, not str"),
        ({"norm": "spectral"}, ValueError, "one of entrywise, matrix, not 'spectral'"),
        ({"reduction": "none"}, ValueError, "one of sum, mean, not 'none'"),
        ({"p": 3, "norm": "matrix"}, ValueError, "p = 1, 2 or inf, not 3"),
        ({"norm": "matrix", "reduction": "mean"}, ValueError, "no mean over entries"),
    ],
)
def test_bad_words_are_refused(words, error, message):
    with pytest.raises(error, match=message):
        Lp([], **words)
