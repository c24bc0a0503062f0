"""Penalties on firing rates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checks import said_of, spec_of

from netbuild.builder import build
from netbuild.regularization import (
    L1,
    FiringRateL1,
    FiringRateL2,
    FiringRateVariance,
    RegularizationList,
)
from netbuild.regularization.activity import ActivityRegularization

RATES = torch.tensor([[[1.0, -2.0], [3.0, 0.0]], [[-1.0, 2.0], [1.0, 4.0]]])  # (batch 2, time 2, 2)


@pytest.mark.parametrize(
    ("kind", "of", "expected"),
    [
        (FiringRateL1, "sample", 14 / 8),
        (FiringRateL1, "unit_mean", 1.0),  # means 1 and 1
        (FiringRateL2, "sample", 36 / 8),
        (FiringRateL2, "unit_mean", 1.0),
        (FiringRateVariance, "sample", (2.25 + 2.25 + 2.25 + 2.25) / 4),
        (FiringRateVariance, "unit_mean", 0.0),
    ],
)
def test_values(kind: type[ActivityRegularization], of: str, expected: float) -> None:
    term = kind("h", Lambda=0.5, of=of)  # type: ignore[arg-type]
    assert term.raw({"h": RATES}).item() == pytest.approx(expected)
    assert term({"h": RATES}).item() == pytest.approx(expected / 2)


def test_layers_add_up_and_gradients_reach_them() -> None:
    term = FiringRateL2(["a", "b"])
    a, b = RATES.clone().requires_grad_(), (2 * RATES).requires_grad_()
    total = term.raw({"a": a, "b": b, "c": RATES})
    assert total.item() == pytest.approx(5 * 36 / 8)
    total.backward()
    assert a.grad is not None
    torch.testing.assert_close(a.grad, 2 * RATES / 8)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'unit_mean'"):
        FiringRateL1("h", of="unitmean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs the name of a layer"):
        FiringRateL1([])
    with pytest.raises(ValueError, match="did you mean 'hidden'"):
        FiringRateL1("hiden").raw({"hidden": RATES})
    with pytest.raises(ValueError, match="rates needs the activity"):
        RegularizationList({"rates": FiringRateL1("h")})()


def test_a_list_gives_each_what_it_needs() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    both = RegularizationList.from_dict(
        [{"type": "L1"}, {"type": "FiringRateL1", "layers": "h", "Lambda": 2.0}], [weight]
    )
    assert both.needs_activity
    assert not RegularizationList([L1([weight])]).needs_activity
    assert both({"h": RATES}).item() == pytest.approx(4 + 2 * 14 / 8)


def test_from_a_spec(tmp_path: Path) -> None:
    text = """layers: [{name: hidden, type: ctrnn, input_dim: 3, size: 4, alpha: 0.2}]
regularizers:
- {type: FiringRateL2, layers: hidden, Lambda: 0.1}
"""
    network = build(spec_of(tmp_path, text))
    _, activity = network(torch.ones(2, 5, 3), return_activity=True)
    expected = 0.1 * activity["hidden"].square().mean()
    torch.testing.assert_close(network.regularizers(activity), expected)
    [said] = said_of(tmp_path, text.replace("layers: hidden", "layers: hiden"))
    assert said == "NB304 regularizers[0].layers[0]: no layer is named `hiden`"
