"""Penalties on firing rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checks import said_of, spec_of

from netbuild.builder import build
from netbuild.regularization import (
    L1,
    BaseRegularization,
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


PENALTIES = [
    (kind, of)
    for kind in (FiringRateL1, FiringRateL2, FiringRateVariance)
    for of in ("sample", "unit_mean")
]


def padded(trials: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Trials (time, unit) as (batch, time, unit), with an activity in the padding, and steps."""
    steps = torch.tensor([len(trial) for trial in trials])
    whole = torch.full((len(trials), int(steps.max()), trials[0].shape[1]), 7.0)
    for row, trial in zip(whole, trials, strict=True):
        row[: len(trial)] = trial
    return whole, steps


def trial(steps: int, seed: int) -> torch.Tensor:
    return torch.randn((steps, 4), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "of"), PENALTIES)
def test_a_padded_trial_costs_what_it_costs_alone(
    kind: type[ActivityRegularization], of: str
) -> None:
    term, one = kind("h", of=of), trial(10, seed=0)  # type: ignore[arg-type]
    alone = term.raw({"h": one.unsqueeze(0)}).item()
    rates, steps = padded([one, torch.zeros(100, 4)])
    after = term.raw({"h": rates[:1]}, steps[:1])
    assert after.item() == pytest.approx(alone)
    assert term.raw({"h": rates[:1]}).item() != pytest.approx(alone)  # all steps, unless told


@pytest.mark.parametrize("kind", [FiringRateL1, FiringRateL2, FiringRateVariance])
def test_the_cost_of_a_batch_is_the_mean_of_what_its_trials_cost_alone(
    kind: type[ActivityRegularization],
) -> None:
    term, trials = kind("h"), [trial(n, seed=n) for n in (1, 10, 37)]
    alone = [term.raw({"h": each.unsqueeze(0)}).item() for each in trials]
    rates, steps = padded(trials)
    assert term.raw({"h": rates}, steps).item() == pytest.approx(sum(alone) / 3)


@pytest.mark.parametrize(("kind", "of"), PENALTIES)
def test_padding_has_no_gradient_and_may_hold_anything(
    kind: type[ActivityRegularization], of: str
) -> None:
    term = kind("h", of=of)  # type: ignore[arg-type]
    rates, steps = padded([trial(3, seed=0), trial(5, seed=1)])
    rates[0, 3:] = torch.tensor([torch.inf, torch.nan, 1.0, -1e30])
    rates.requires_grad_()
    total = RegularizationList({"rates": term})({"h": rates}, steps)
    assert total.isfinite()
    kept = rates.detach().clone()
    kept[0, 3:] = 0.0
    kept.requires_grad_()
    term.raw({"h": kept}, steps).backward()
    assert kept.grad is not None
    assert not kept.grad[0, 3:].any()
    assert kept.grad[0, :3].all()
    assert kept.grad[1].all()


@pytest.mark.parametrize(("kind", "of"), PENALTIES)
def test_trials_without_padding_cost_the_mean_over_all_values(
    kind: type[ActivityRegularization], of: str
) -> None:
    term, rates = kind("h", of=of), torch.stack([trial(6, 0), trial(6, 1)])  # type: ignore[arg-type]
    found = term.raw({"h": rates}, torch.tensor([6, 6])).item()
    assert found == pytest.approx(term.raw({"h": rates}).item())


def test_a_trial_without_steps_is_no_trial_and_layers_without_time_have_no_padding() -> None:
    term, rates = FiringRateL2("h"), torch.ones(3, 4, 2)
    assert term.raw({"h": rates}, torch.tensor([0, 2, 4])).item() == pytest.approx(1.0)
    assert term.raw({"h": rates}, torch.tensor([0, 0, 0])).item() == 0
    assert term.raw({"h": rates[:, 0]}, torch.tensor([0, 2, 4])).item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"steps and rates must be \(batch,\)"):
        term.raw({"h": rates}, torch.tensor([1, 2]))


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


@pytest.mark.parametrize("of", ["sample", "unit_mean"])
@pytest.mark.parametrize("kind", [FiringRateL1, FiringRateL2, FiringRateVariance])
def test_nan_in_padding_reaches_no_gradient(kind: Any, of: Any) -> None:
    rates = torch.rand(2, 6, 3)
    rates[0, 2:] = torch.nan
    rates.requires_grad_()
    kind("h", of=of)({"h": rates}, torch.tensor([2, 6])).backward()
    assert rates.grad is not None
    assert rates.grad.isfinite().all()
    assert not rates.grad[0, 2:].any()


def test_a_regularizer_of_a_users_own_need_not_know_of_padding() -> None:
    class Mine(BaseRegularization):
        needs_activity = True

        def forward(self, activity: Any) -> torch.Tensor:
            return activity["h"].mean()

    found = RegularizationList([Mine((), 1.0)])({"h": torch.ones(2, 9, 7)})
    assert found.item() == 1
