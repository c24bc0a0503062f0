"""Inits: what is known of their values before they are drawn."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from netbuild.language import weights
from netbuild.layers.initial import draw


@pytest.mark.parametrize(
    "words",
    [
        weights.Uniform(init="uniform", low=-0.1, high=0.3),
        weights.Uniform(init="uniform"),
        weights.Normal(init="normal", mean=-0.1, std=0.2),
        weights.Normal(init="normal", mean=0.2),
        weights.TruncNormal(init="trunc_normal", mean=0.1, std=0.2, low=-0.2, high=0.1),
        weights.TruncNormal(init="trunc_normal", mean=0.1),
        weights.TruncNormal(init="trunc_normal", mean=-0.4, std=0.1),
        weights.Xavier(init="xavier_normal"),
        weights.Kaiming(init="kaiming_uniform", a=-0.5),
        weights.Orthogonal(init="orthogonal"),
    ],
)
def test_chances_are_those_of_what_is_drawn(words: Any) -> None:
    arguments = words.model_dump(exclude={"init", "learn"}, exclude_none=True)
    generator = torch.Generator().manual_seed(0)
    values = draw(words.init, (100, 25), 25, generator, **arguments)
    share, chance = (values > 0).double().mean().item(), weights.chance_above_zero(words, 25)
    assert share == pytest.approx(chance, abs=4 * math.sqrt(0.25 / values.numel()))


@pytest.mark.parametrize("init", ["uniform", "normal", "zero", "orthogonal"])
def test_the_mean_magnitude_is_that_of_what_is_drawn(init: str) -> None:
    source = {
        "uniform": weights.Uniform(init="uniform"),
        "normal": weights.Normal(init="normal"),
        "zero": weights.Zero(init="zero"),
        "orthogonal": weights.Orthogonal(init="orthogonal"),
    }[init]
    told = weights.mean_magnitude(source, 25)
    if init in ("uniform", "normal"):
        values = draw(init, (400, 25), 25, torch.Generator().manual_seed(0))
        assert told == pytest.approx(values.abs().mean().item(), rel=0.03)
    else:
        assert told == 0  # of no use, or not known


def test_a_sure_value_is_one_that_no_draw_changes() -> None:
    assert weights.sure_value(weights.Zero(init="zero")) == 0
    assert weights.sure_value(weights.Constant(init="constant", value=0.3)) == 0.3
    assert weights.sure_value(weights.Normal(init="normal", mean=0.2, std=0)) == 0.2
    assert weights.sure_value(weights.Normal(init="normal", mean=0.2)) is None
