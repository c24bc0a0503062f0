"""Dale's law, ratios and references: against the peer's values and the trace formula itself."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import TESTS
from torch import Tensor

from netbuild.regularization import (
    REGULARIZATIONS,
    BaseRegularization,
    DaleHinge,
    DaleLaw,
    DaleLawL2,
    ExcRatioTargetRegularization,
    InhRatioTargetRegularization,
    NamedParameters,
    WeightsDistance,
    draw_dale_reference,
)
from netbuild.regularization.dale import LARGE, common_row, dale_loss, dale_total
from netbuild.splits import round_half_up

GOLDEN = json.loads((TESTS / "golden" / "regularization.json").read_text())
CASES = [c for c in GOLDEN["cases"] if c["type"].startswith(("Dale", "Exc", "Inh"))]
RESULTS = ("params", "loss", "grads", "exc_ratio", "inh_ratio")

shapes = st.lists(st.integers(0, 6), min_size=0, max_size=3).map(tuple)
ratios = st.floats(0, 1)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True)


def trace_formula(weight: Tensor, signs: Tensor, alpha: float) -> Tensor:
    """The definition, on the last two axes."""
    product = weight.mT @ (alpha * weight - (1 - alpha) * signs)
    return product.diagonal(dim1=-2, dim2=-1).sum(-1)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["type"])
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


# --- the loss of Dale's law -------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 6), ratios, st.integers(0, 99), st.floats(0.1, 10))
def test_loss_and_gradient_are_those_of_the_trace_formula(rows, columns, alpha, seed, factor):
    weight, signs = drawn(rows, columns, seed=seed), drawn(rows, columns, seed=seed + 1).sign()
    found, expected = dale_loss(weight, signs.detach(), alpha), trace_formula(weight, signs, alpha)
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
    compact = common_row(signs)
    assert compact.shape == ((side,) if by_unit else (side, side))
    found, expected = dale_total([weight], [compact], alpha), trace_formula(weight, signs, alpha)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    (gradient,) = torch.autograd.grad(0.3 * found, weight)
    torch.testing.assert_close(gradient, 0.3 * (2 * alpha * weight - (1 - alpha) * signs))
    if not by_unit:  # a weight whose memory is not in rows
        turned = weight.detach().T.requires_grad_()
        dale_total([turned], [signs], alpha).backward()
        torch.testing.assert_close(turned.grad, 2 * alpha * turned - (1 - alpha) * signs)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0, 3)])
def test_gradcheck(alpha, shape):
    weight, signs = drawn(*shape), drawn(*shape, seed=1).detach().sign()
    assert torch.autograd.gradcheck(
        lambda w: dale_total([w, 2 * w], [signs, -signs], alpha), weight
    )


def test_leading_axes_are_one_loss_each():
    weight, signs = drawn(2, 3, 4, 5), drawn(4, 5, seed=1).detach().sign()
    torch.testing.assert_close(dale_loss(weight, signs, 0.3), trace_formula(weight, signs, 0.3))
    assert torch.autograd.gradcheck(lambda w: dale_loss(w, signs, 0.3), weight)


def test_misshapen_signs_are_refused():
    for signs in (torch.ones(3), torch.ones(2, 2), torch.ones(1, 3, 2)):
        with pytest.raises(ValueError, match="the same last two axes"):
            dale_loss(torch.ones(3, 2), signs)


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


# --- references -------------------------------------------------------------------------------


def test_references_are_copies_in_buffers():
    param = torch.ones(2, 2, requires_grad=True)
    given = torch.full((2, 2), -3.0)
    for kind, kept in ((DaleLawL2, -1.0), (WeightsDistance, -3.0), (DaleHinge, -1.0)):
        term = kind([param], reference_weights=[given])
        assert list(term.state_dict()) == ["reference_0"]
        assert term.reference_weights[0].data_ptr() != given.data_ptr()
        assert term.reference(0).tolist() == [[kept, kept], [kept, kept]]
        assert term.to("meta").reference(0).is_meta
    array = np.full((2, 2), -3.0, dtype=np.float32)
    array.flags.writeable = False
    assert WeightsDistance([param], [array[::-1]])().item() == 16
    assert WeightsDistance([param], [[[0, 0], [1, 1]]])().item() == 2


def test_references_may_be_matched_by_name():
    params = {"a": torch.ones(1, 2), "b": torch.ones(3)}
    term = WeightsDistance(params, {"b": torch.zeros(3), "a": torch.zeros(1, 2)})
    assert [tuple(r.shape) for r in term.reference_weights] == [(1, 2), (3,)]
    with pytest.raises(ValueError, match="nothing for b"):
        WeightsDistance(params, {"a": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match="does not know 'c'"):
        WeightsDistance({}, {"c": torch.zeros(1)})


@pytest.mark.parametrize(
    ("references", "error", "message"),
    [
        ([], ValueError, "1 parameters, 0 reference_weights"),
        ([np.ones((2, 3))] * 2, ValueError, "1 parameters, 2 reference_weights"),
        ([np.ones((3, 2))], ValueError, r"\(3, 2\), its parameter \(2, 3\); it looks transposed"),
        ([np.ones(3)], ValueError, r"params\[0\] has shape \(3,\), its parameter \(2, 3\)$"),
        ([1.0], ValueError, r"has shape \(\)"),
        ([np.full((2, 3), np.nan)], ValueError, "holds NaN or infinity"),
        (np.ones((1, 2, 3)), TypeError, "not a single array"),
        (torch.ones(1, 2, 3), TypeError, "not a single array"),
    ],
)
@pytest.mark.parametrize("kind", [DaleLawL2, DaleLaw, DaleHinge, WeightsDistance])
def test_bad_references_are_refused(kind, references, error, message):
    with pytest.raises(error, match=message):
        kind([torch.ones(2, 3)], reference_weights=references)


def reachable(value) -> list[Tensor]:
    """Every tensor in a module's attributes, in its submodules', and in what they contain."""
    if isinstance(value, torch.nn.Module):
        return [found for each in value.modules() for found in reachable(vars(each))]
    if isinstance(value, dict):
        return [found for each in value.values() for found in reachable(each)]
    if isinstance(value, (list, tuple)):
        return [found for each in value for found in reachable(each)]
    return [value] if isinstance(value, Tensor) else []


@pytest.mark.parametrize("kind", [DaleLawL2, DaleLaw])
def test_nothing_stays_behind_when_a_large_reference_moves_or_is_copied(kind):
    owner = torch.nn.Sequential(torch.nn.Linear(300, 300))
    term = kind(NamedParameters(owner, ["0.weight"]), reference_weights=[torch.ones(300, 300)])
    value = term().item()
    before = len(reachable(term))
    assert before > len([*term.buffers()])  # it remembers the row
    kept, unpickled = pickle.loads(pickle.dumps((owner, term)))
    assert kept is not owner
    for clone in (copy.deepcopy(term), unpickled):
        assert len(reachable(clone)) == len([*clone.buffers()])
        assert clone().item() == value
    assert len(reachable(term)) == before
    owner.to("meta")
    term.to("meta")
    assert {each.device.type for each in reachable(term)} == {"meta"}


@settings(deadline=None, max_examples=100)
@given(shapes, ratios, ratios, st.booleans(), st.integers(-(2**70), 2**70))
def test_drawn_references_obey_dales_law(shape, inh_ratio, rho, inh_first, seed):
    drawn_twice = [draw_dale_reference(shape, inh_ratio, rho, inh_first, seed) for _ in range(2)]
    signs = drawn_twice[0]
    assert torch.equal(*drawn_twice)
    assert signs.shape == shape
    assert set(signs.flatten().tolist()) <= {-1.0, 0.0, 1.0}
    assert int(signs.count_nonzero()) == round_half_up(rho, signs.numel())
    columns = signs.reshape(math.prod(shape[:-1]), shape[-1] if shape else 1)
    assert not bool(((columns > 0).any(0) & (columns < 0).any(0)).any())


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(1, 40), ratios, st.booleans(), st.integers(0, 99))
def test_the_inhibitory_units_are_counted_by_rounding_half_up(rows, units, ratio, first, seed):
    inhibitory = draw_dale_reference((rows, units), ratio, 1.0, first, seed)[0] < 0
    count = round_half_up(ratio, units)
    assert int(inhibitory.sum()) == count
    if first:
        assert bool(inhibitory[:count].all())


@pytest.mark.parametrize(("units", "inhibitory"), [(100, 29), (50, 15)])  # 14.5 is rounded up
def test_29_percent_are_of_the_decimal_that_is_written(units, inhibitory):
    assert int((draw_dale_reference((1, units), 0.29, 1.0)[0] < 0).sum()) == inhibitory
    opinions = draw_dale_reference((units,), 0.5, rho=0.29).count_nonzero()
    assert int(opinions) == inhibitory


def test_units_are_shuffled_and_seeds_differ():
    def units(seed: int) -> list[float]:
        return draw_dale_reference((2, 64), 0.5, 1.0, inh_first=False, seed=seed)[0].tolist()

    assert units(0) != units(1)
    assert units(0) != sorted(units(0))
    generators = [np.random.default_rng(5) for _ in range(2)]
    pair = [draw_dale_reference((9, 9), 0.5, 0.5, False, generator=g) for g in generators]
    assert torch.equal(*pair)


def test_drawn_references_of_one_regularization_differ_between_parameters():
    params = [torch.empty(8, 8, dtype=torch.float64) for _ in range(2)]
    term = DaleLawL2(params, rho=0.5, seed=4)
    first, second = term.reference_weights
    assert not torch.equal(first, second)
    assert torch.equal(first, draw_dale_reference((8, 8), rho=0.5, seed=4).double())
    assert torch.equal(first, DaleHinge(params, rho=0.5, seed=4).reference(0))


@pytest.mark.parametrize("kind", [DaleLawL2, DaleLaw, DaleHinge])
def test_bad_dale_words_are_refused(kind):
    param = torch.ones(2, 2)
    with pytest.raises(TypeError, match="seed: for drawn references only"):
        kind([param], reference_weights=[param], seed=1)
    with pytest.raises(ValueError, match="does not know 'inh_ration'; did you mean 'inh_ratio'"):
        kind([param], inh_ration=0.2)
    for words in ({"inh_ratio": 1.1}, {"rho": -0.1}, {"rho": math.nan}):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            kind([param], **words)
    for seed in (None, 1.0, True):
        with pytest.raises(TypeError, match="seed must be an integer"):
            kind([param], seed=seed)


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


# --- ratios -----------------------------------------------------------------------------------


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
