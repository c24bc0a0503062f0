"""Where a map starts: pure functions of its arguments, in which each step has its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netbuild.layers import LinearLayer
from netbuild.layers.spectrum import spectral_radius
from netbuild.layers.start import balance_factors
from netbuild.layers.storage import Dense, Sparse

RNG = np.random.default_rng(0)
WORDS: dict[str, Any] = {
    "weight": "normal",
    "ei_mask": [1, 1, 1, 1, -1, -1],
    "sparsity_mask": RNG.random((6, 6)) < 0.7,
    "plasticity_mask": RNG.choice([0.0, 0.5, 1.0], (6, 6)),
    "ei_balance": "row",
    "spectral_radius": 1.5,
    "seed": 3,
}


def drawn(**more: Any) -> LinearLayer:
    return LinearLayer(6, 6, **WORDS | more)


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_the_same_arguments_give_the_same_bits_and_take_nothing_from_outside(storage: str) -> None:
    before, state = drawn(storage=storage), torch.get_rng_state()
    torch.rand(3)
    torch.set_rng_state(state)
    after = drawn(storage=storage)
    assert torch.equal(torch.get_rng_state(), state)
    assert before.state_dict().keys() >= {"weight", "bias", "sign"}
    for name, values in before.state_dict().items():
        assert torch.equal(values, after.state_dict()[name]), name
    assert not torch.equal(drawn(storage=storage, seed=4).weight, before.weight)


@pytest.mark.parametrize("dale", ["project", "abs"])
def test_signs_wiring_balance_and_radius_all_hold_at_the_start(dale: str) -> None:
    layer = drawn(dale=dale)
    weight, connected = layer.effective_weight.detach(), layer.connected
    assert layer.sign is not None
    assert connected is not None
    assert (weight * layer.sign >= 0).all()
    assert not weight[~connected].any()
    assert weight[connected].all()
    assert spectral_radius(weight) == pytest.approx(1.5, rel=1e-5)
    both = (weight > 0).any(1) & (weight < 0).any(1)
    assert both.sum() > 3
    torch.testing.assert_close(weight[both].sum(1), torch.zeros(int(both.sum())), atol=1e-5, rtol=0)


def test_a_scale_counts_in_the_radius() -> None:
    layer = drawn(scale_groups=np.zeros((6, 6)), scale=0.5, ei_mask=None, ei_balance="none")
    assert layer.scale is not None
    assert spectral_radius((layer.weight * layer.scale).detach()) == pytest.approx(1.5, rel=1e-5)


def signed() -> tuple[Tensor, Tensor]:
    sign = torch.ones((30, 20), dtype=torch.int8)
    sign[:, 15:] = -1
    sign[:, :2] = 0
    weight = torch.rand(sign.shape, generator=torch.Generator().manual_seed(5))
    return weight * torch.where(sign == 0, 1, sign), sign


def sums(weight: Tensor, sign: Tensor) -> list[Tensor]:
    return [(weight * (sign == s)).sum(1).double() for s in (1, -1)]


def test_balance_cancels_by_row_or_over_all() -> None:
    weight, sign = signed()
    storage = Dense(30, 20)
    row = weight * balance_factors(weight, sign, "row", storage)
    excitation, inhibition = sums(row, sign)
    torch.testing.assert_close(excitation, -inhibition, rtol=1e-5, atol=1e-6)
    for kind in ("global", "nn4n"):
        factors = balance_factors(weight, sign, kind, storage)
        excitation, inhibition = sums(weight * factors, sign)
        torch.testing.assert_close(excitation.sum(), -inhibition.sum(), rtol=1e-5, atol=1e-6)
        assert (excitation + inhibition).abs().max() > 0.1  # not by row
    for kind in ("row", "global", "nn4n"):
        factors = balance_factors(weight, sign, kind, storage)
        assert (factors[sign == 0] == 1).all()
        assert 0 < factors.min() <= factors.max() == 1


@pytest.mark.parametrize("kind", ["none", "row", "global", "nn4n"])
def test_balance_of_connections_alone_is_that_of_the_matrix(kind: str) -> None:
    weight, sign = signed()
    connected = torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    post, pre = connected.nonzero(as_tuple=True)
    starts = torch.nn.functional.pad(connected.sum(1).cumsum(0), (1, 0)).int()
    sparse = Sparse(30, 20, starts, pre.int())
    found = balance_factors(weight[post, pre], sign[post, pre], kind, sparse)
    whole = balance_factors(weight.where(connected, 0.0), sign, kind, Dense(30, 20))
    torch.testing.assert_close(found, whole[post, pre])


def test_one_sign_alone_has_no_balance() -> None:
    weight, sign, storage = torch.ones(3, 4), torch.ones(3, 4), Dense(3, 4)
    for kind, factor in (("row", 1), ("global", 1), ("nn4n", 0.1), ("none", 1)):
        assert (balance_factors(weight, sign, kind, storage) == factor).all()


@pytest.mark.parametrize("kind", ["row", "global", "nn4n"])
def test_leading_axes_are_separate_networks_for_balance(kind: str) -> None:
    weight, sign = signed()
    several = torch.stack([weight, 2 * weight.flip(0), weight.abs()])
    signs = torch.stack([sign, sign.flip(0), sign.abs()])
    factors = balance_factors(several, signs, kind, Dense(30, 20))
    for one, w, s in zip(factors, several, signs, strict=True):
        assert torch.equal(one, balance_factors(w, s, kind, Dense(30, 20)))
