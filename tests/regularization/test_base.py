"""What all regularizers share: arguments, the sum over what learns, and their optimizer's step."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from netbuild.regularization import (
    L1,
    L2,
    REGULARIZATIONS,
    BaseRegularization,
    DaleHinge,
    DaleLaw,
    DaleLawL2,
    ExcRatioTargetRegularization,
    InhRatioTargetRegularization,
    RegularizationList,
    WeightsDistance,
)


def test_call_is_lambda_times_forward_and_hooks_see_the_raw_term():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    term = L1([weight], Lambda=0.5)
    seen = []
    term.register_forward_hook(lambda module, args, output: seen.append(output.item()))
    assert (term().item(), term.forward().item(), seen) == (1.5, 3.0, [3.0])


@pytest.mark.parametrize(
    "name", sorted(name for name, kind in REGULARIZATIONS.items() if not kind.needs_activity)
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_to_learn_is_a_zero_that_can_be_backpropagated(name, dtype):
    kind = REGULARIZATIONS[name]
    frozen = torch.ones(2, 2, dtype=dtype)
    more = {"reference_weights": [frozen]} if kind is WeightsDistance else {}
    zero = kind([frozen], **more)()
    assert zero.item() == 0
    assert (zero.dtype, zero.device, zero.shape) == (dtype, frozen.device, ())
    zero.backward()
    empty = {"reference_weights": []} if kind is WeightsDistance else {}
    kind([], **empty)().backward()
    assert kind([], **empty).double()().dtype == torch.float64


def test_frozen_parameters_are_left_out():
    learnt, frozen = torch.ones(3, requires_grad=True), torch.ones(5)
    assert L1([frozen, learnt])().item() == 3
    # The references stay with their parameters.
    assert WeightsDistance([frozen, learnt], [torch.ones(5), torch.zeros(3)])().item() == 3
    assert DaleLawL2([frozen, learnt], 0.0, [torch.ones(5), -torch.ones(3)])().item() == 3


@pytest.mark.parametrize("Lambda", [-1.0, math.nan, math.inf])
def test_lambda_is_finite_and_not_negative(Lambda):
    with pytest.raises(ValueError, match="Lambda must be finite and >= 0"):
        L1([], Lambda=Lambda)
    with pytest.raises(ValueError, match="Lambda must be finite and >= 0"):
        RegularizationList(Lambda=Lambda)


def test_lambda_is_a_number():
    with pytest.raises(TypeError, match="Lambda must be a number, not bool"):
        L1([], Lambda=True)


NORM = ["norm", "squared", "reduction", "optimizer"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (L1, ["params", "Lambda", *NORM]),
        (L2, ["params", "Lambda", *NORM]),
        (WeightsDistance, ["params", "reference_weights", "Lambda", "p", *NORM]),
        (DaleLaw, ["params", "reference_weights", "Lambda", "optimizer"]),
        (DaleLawL2, ["params", "alpha", "reference_weights", "Lambda", "optimizer"]),
        (DaleHinge, ["params", "reference_weights", "Lambda", "p", "optimizer"]),
        (ExcRatioTargetRegularization, ["params", "exc_target_ratio", "Lambda", "optimizer"]),
        (InhRatioTargetRegularization, ["params", "inh_target_ratio", "Lambda", "optimizer"]),
    ],
)
def test_arguments_may_be_given_by_position(kind, names):
    given = inspect.signature(kind).parameters.values()
    assert [p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD] == names
    weight = torch.ones(2, 2, requires_grad=True)
    values = {"Lambda": 2.0, "reference_weights": [weight], "norm": "matrix", "squared": True}
    defaults = inspect.signature(kind).parameters
    made = kind([weight], *(values.get(name, defaults[name].default) for name in names[1:]))
    assert made.Lambda == 2
    assert getattr(made, "norm", "matrix") == "matrix"
    assert made().isfinite()


def test_a_term_of_a_users_own_finds_the_parameters_that_learn():
    class Own(BaseRegularization):
        def forward(self):
            assert [self.places(index) for index, _ in self.learnable()] == [None]
            return sum(weight.sum() / self.entries(index) for index, weight in self.learnable())

    weights = [torch.ones(2), torch.full((4,), 3.0, requires_grad=True)]
    assert Own(weights, 2.0)().item() == 6


def test_a_class_without_a_term_says_so():
    with pytest.raises(NotImplementedError, match="BaseRegularization must define term"):
        BaseRegularization([torch.ones(1, requires_grad=True)])()


def test_on_optimization_end_steps_only_with_an_optimizer():
    weight, other = (torch.ones(2, requires_grad=True) for _ in range(2))
    other.grad = torch.full((2,), 7.0)
    L1([weight, other]).on_optimization_end(None)
    assert weight.grad is None
    assert weight.tolist() == [1, 1]
    L1([weight, other], 0.5, optimizer=torch.optim.SGD([weight], lr=1.0)).on_optimization_end(None)
    assert weight.tolist() == [0.5, 0.5]
    assert weight.grad is None
    assert other.grad.tolist() == [7, 7]  # another optimizer's gradient is not touched
    assert other.tolist() == [1, 1]


def test_on_optimization_end_without_anything_learnt():
    weight = torch.ones(2, requires_grad=True)
    term = L1([torch.ones(2)], optimizer=torch.optim.SGD([weight], lr=1.0))
    term.on_optimization_end(None)
    assert weight.tolist() == [1, 1]


def test_from_dict_takes_the_constructors_words():
    weight = torch.ones(2, 3, requires_grad=True)
    struct = {"type": "DaleLawL2", "alpha": 0.3, "Lambda": 2.0, "inh_ratio": 1.0, "rho": 1.0}
    made = DaleLawL2.from_dict(struct, [weight])
    assert made().item() == pytest.approx(2 * (0.3 * 6 + 0.7 * 6))
    assert DaleLawL2.from_dict({"params": [weight], "seed": 3}).alpha == 0.8


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        ({"lambda": 1.0}, "L1 does not know 'lambda'; did you mean 'Lambda'"),
        ({"type": "L2"}, "L1.from_dict was given the type 'L2'"),
        ({"Lambda": 1.0}, "L1 needs params"),
    ],
)
def test_from_dict_refuses(struct, message):
    with pytest.raises(ValueError, match=message):
        L1.from_dict(struct)


def test_a_class_with_a_constructor_keeps_its_own_arguments() -> None:
    class Scaled(L1):
        def __init__(self, params: Any, times: float = 2.0) -> None:
            super().__init__(params, Lambda=3.0)
            self.times = times

        def term(self, index: int, weight: torch.Tensor) -> torch.Tensor:
            return self.times * super().term(index, weight)

    weight = torch.ones(4, requires_grad=True)
    assert Scaled.options() == ("params", "times")
    assert Scaled.from_dict({"times": 5.0}, [weight])().item() == 3 * 5 * 4
    assert Scaled([weight])().item() == 3 * 2 * 4


def test_arguments_that_are_missing_or_unknown_are_refused_as_python_refuses_them() -> None:
    with pytest.raises(TypeError, match="L1: missing a required argument: 'params'"):
        L1()
    with pytest.raises(TypeError, match="L1: got an unexpected keyword argument 'lamda'"):
        L1([], lamda=1.0)
    with pytest.raises(TypeError, match="L2: too many positional arguments"):
        L2([], 1.0, "entrywise", True, "sum", None, 7)
