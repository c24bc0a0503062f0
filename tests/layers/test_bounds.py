"""The meaning of masks, for one weight and for several networks at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netbuild.layers.bounds import bounds_of, clamp_, effective, keep_where, scaled

NETWORKS = 3


def masks(alike: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Masks of three networks; where `alike`, signs are the presynaptic units'."""
    g = torch.Generator().manual_seed(0)
    shape = (NETWORKS, 1 if alike else 4, 5)
    sign = torch.randint(-1, 2, shape, generator=g, dtype=torch.int8).expand(NETWORKS, 4, 5)
    connected = torch.rand(NETWORKS, 4, 5, generator=g) < 0.7
    return sign, connected, torch.rand(NETWORKS, 4, 5, generator=g)


@pytest.mark.parametrize("alike", [True, False])
def test_leading_axes_are_separate_networks(alike: bool) -> None:
    sign, connected, plasticity = masks(alike)
    together = bounds_of(sign, connected, plasticity, torch.float32)
    assert together.lower is not None
    assert together.lower.shape == (NETWORKS, 1 if alike else 4, 5)
    weight = torch.randn(NETWORKS, 4, 5, generator=torch.Generator().manual_seed(1))
    clamped = weight.clone()
    clamp_(clamped, together.present, together.lower, together.upper)
    assert not torch.equal(clamped, weight)
    for k in range(NETWORKS):
        alone = bounds_of(sign[k], connected[k], plasticity[k], torch.float32)
        for many, one in zip(together, alone, strict=True):
            assert torch.equal(many[k], one)
        own = weight[k].clone()
        clamp_(own, alone.present, alone.lower, alone.upper)
        assert torch.equal(clamped[k], own)
        expected = effective(weight[k], sign[k], connected[k])
        assert torch.equal(effective(weight, sign, connected)[k], expected)


def test_connections_alone_have_bounds_of_their_own_shape() -> None:
    sign = torch.tensor([1, -1, 0], dtype=torch.int8)
    bounds = bounds_of(sign, None, None, torch.float64)
    assert bounds.present is bounds.plastic is None
    assert bounds.lower is not None
    assert bounds.upper is not None
    assert bounds.lower.tolist() == [0, -torch.inf, -torch.inf]
    assert bounds.upper.tolist() == [torch.inf, 0, torch.inf]
    alike = bounds_of(sign[:1].expand(3), None, None, torch.float64)
    assert alike.lower is not None
    assert alike.lower.shape == (1,)


def test_nothing_but_zero_is_left_outside_of_a_mask() -> None:
    values = torch.tensor([1.0, torch.nan, torch.inf, -2.0])
    mask = torch.tensor([1.0, 0.0, 0.0, 0.5])
    assert keep_where(values, mask, out=torch.empty(4)).tolist() == [1, 0, 0, -2]


def test_scales_reach_the_connections_of_their_group() -> None:
    weight, groups = torch.ones(2, 2), torch.tensor([[0, 1], [1, 0]], dtype=torch.int32)
    assert scaled(weight, torch.tensor([2.0, 3.0]), groups).tolist() == [[2, 3], [3, 2]]
    assert scaled(weight, None, None) is weight
