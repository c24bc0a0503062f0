"""Every regularizer: NeuroTorch's values, the words it takes, and what it refuses."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from checks import said_of, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st
from places import TESTS
from torch import Tensor

from netbuild.builder import build
from netbuild.regularization import (
    L1,
    L2,
    REGULARIZATIONS,
    BaseRegularization,
    DaleHinge,
    DaleLaw,
    DaleLawL2,
    ExcRatioTargetRegularization,
    FiringRateL1,
    FiringRateL2,
    FiringRateVariance,
    InhRatioTargetRegularization,
    Lp,
    RegularizationList,
)
from netbuild.regularization.regularizers import ActivityRegularization
from netbuild.regularization.terms import (
    LARGE,
)

GOLDEN = json.loads((TESTS / "golden" / "regularization.json").read_text())
RESULTS = ("params", "loss", "grads", "exc_ratio", "inh_ratio")
ratios = st.floats(0, 1)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['type']}-{c.get('p', '')}")
def test_agrees_with_neurotorch(case):
    words = {k: v for k, v in case.items() if k not in RESULTS}
    params = [torch.tensor(p, requires_grad=True) for p in case["params"]]
    term = REGULARIZATIONS[case["type"]].from_dict(words, params)
    loss = term()
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-5)
    for param, expected in zip(params, case["grads"], strict=True):
        torch.testing.assert_close(param.grad, torch.tensor(expected), rtol=1e-5, atol=1e-7)
    if "exc_ratio" in case:
        assert isinstance(term, ExcRatioTargetRegularization)
        assert term.get_params_exc_ratio(surrogate=True) == pytest.approx(case["exc_ratio"], 1e-5)
        assert term.get_params_inh_ratio(surrogate=True) == pytest.approx(case["inh_ratio"], 1e-5)


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


def test_weights_end_at_the_documented_fixed_point():
    weight = drawn(5, 5)
    signs = torch.tensor([1.0, 1.0, 0.0, -1.0, -1.0]).expand(5, 5)
    term = DaleLawL2([weight], 0.8, [signs])
    optimizer = torch.optim.SGD([weight], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        term().backward()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), 0.125 * signs.double())


def test_a_changed_reference_is_noticed():
    side = math.isqrt(LARGE) + 1
    weight = torch.ones(side, side, requires_grad=True)
    term = DaleLaw([weight], [torch.ones(side, side)])
    assert term().item() == -(side**2)
    term.load_state_dict({"reference_0": -torch.ones(side, side)})
    assert term().item() == side**2
    term.reference(0)[0] = 0
    assert term().item() == side**2 - side
    assert term.double().reference(0).dtype == torch.float64
    for twin in (term.float(), copy.deepcopy(term)):
        assert twin().item() == side**2 - side


def test_hinge_is_zero_once_the_signs_are_right():
    signs = torch.tensor([[1.0, -1.0, 0.0]])
    right = torch.tensor([[2.0, -3.0, 5.0]], requires_grad=True)
    wrong = torch.tensor([[-2.0, 3.0, 5.0]], requires_grad=True)
    assert DaleHinge([right], [signs])().item() == 0
    assert DaleHinge([wrong], [signs])().item() == 5
    assert DaleHinge([wrong], [signs], p=2)().item() == 13
    DaleHinge([right, wrong], [signs, signs])().backward()
    assert right.grad.tolist() == [[0, 0, 0]]
    assert wrong.grad.tolist() == [[-1, 1, 0]]
    assert torch.autograd.gradcheck(lambda w: DaleHinge([w], [signs], p=2)(), drawn(1, 3))


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_lie_between_zero_and_one(value):
    for make in (
        lambda: DaleLawL2([], value),
        lambda: ExcRatioTargetRegularization([], value),
        lambda: InhRatioTargetRegularization([], value),
    ):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            make()
    with pytest.raises(ValueError, match="p must be finite and >= 1"):
        DaleHinge([], p=value - 1)


def test_reported_ratios_are_of_true_signs():
    weight = torch.tensor([[0.01, 0.01, -5.0, 0.0, 0.01]], requires_grad=True)
    silent = torch.zeros(2, requires_grad=True)
    term = ExcRatioTargetRegularization([weight, silent])
    exc, nothing = term.get_params_exc_ratio()
    assert exc == 0.75
    assert math.isnan(nothing)
    assert term.get_params_inh_ratio()[0] == 0.25
    surrogate = (3 * 0.01 / 1.01 - 5 / 6) / 4  # the absent connection is not counted
    assert term.get_params_exc_ratio(surrogate=True) == pytest.approx([(surrogate + 1) / 2, 0.5])
    assert term.forward().item() == pytest.approx(abs(surrogate - 0.6) + 0.6)
    term().backward()
    assert bool(torch.isfinite(silent.grad).all())
    shown = InhRatioTargetRegularization([weight]).on_pbar_update(None)
    assert shown["inh_ratio"] == [0.25]
    assert term.on_pbar_update(None)["exc_ratio"][0] == 0.75


@settings(deadline=None, max_examples=30)
@given(ratios, st.integers(0, 99))
def test_targets_of_either_sign_are_one_loss(target, seed):
    weight = drawn(3, 4, seed=seed)
    exc = ExcRatioTargetRegularization([weight], target)
    inh = InhRatioTargetRegularization([weight], 1 - target)
    assert exc().item() == pytest.approx(inh().item(), abs=1e-12)
    assert 0 <= exc().item() <= 2


def test_training_reaches_the_target():
    weight = drawn(20, 20)
    term: BaseRegularization = ExcRatioTargetRegularization([weight], 0.7)
    optimizer = torch.optim.Adam([weight], lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        term().backward()
        optimizer.step()
    assert term().item() < 0.02
    assert isinstance(term, ExcRatioTargetRegularization)
    assert term.get_params_exc_ratio()[0] > 0.7


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
    term = kind("h", Lambda=0.5, of=of)
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
    term, one = kind("h", of=of), trial(10, seed=0)
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
    term = kind("h", of=of)
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
    term, rates = kind("h", of=of), torch.stack([trial(6, 0), trial(6, 1)])
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
        FiringRateL1("h", of="unitmean")
    with pytest.raises(ValueError, match="needs the name of a layer"):
        FiringRateL1([])
    with pytest.raises(ValueError, match="did you mean 'hidden'"):
        FiringRateL1("hiden").raw({"hidden": RATES})
    with pytest.raises(ValueError, match="rates needs the activity"):
        RegularizationList({"rates": FiringRateL1("h")})()


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
