"""BaseRegularization, NamedParameters and RegularizationList: what they hold, sum and refuse."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref

import pytest
import torch
from torch import Tensor, nn

from netbuild.regularization import (
    L1,
    L2,
    REGULARIZATIONS,
    BaseRegularization,
    DaleLawL2,
    NamedParameters,
    RegularizationList,
    WeightsDistance,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    hidden = nn.ModuleDict({"recurrent": nn.Linear(4, 4, bias=False)})
    return nn.ModuleDict({"hidden": hidden, "readout": nn.Linear(4, 2)})


class Signed(nn.Module):
    """A layer that learns magnitudes and uses |w|."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[-2.0, 1.0]]))

    @property
    def effective_weight(self) -> Tensor:
        return self.weight.abs()


class Rate(BaseRegularization):
    """A regularization that needs the activity."""

    needs_activity = True

    def forward(self, activity: Tensor, steps: Tensor | None = None) -> Tensor:
        return activity.square().mean()


# --- what it holds ----------------------------------------------------------------------------


def test_params_may_be_an_iterable_a_generator_a_dict_or_names():
    net = network()
    tensors = list(net.parameters())
    names = [name for name, _ in net.named_parameters()]
    sources = [tensors, (p for p in tensors), dict(net.named_parameters())]
    values = [L1(source)() for source in sources] + [L1(NamedParameters(net, names))()]
    assert len({value.item() for value in values}) == 1
    assert L1(dict(net.named_parameters())).param_names == tuple(names)


@pytest.mark.parametrize("given", [True, False])
def test_no_parameter_is_registered(given):
    net = network()
    names = [name for name, _ in net.named_parameters()]
    net.regularizers = RegularizationList(
        [L2(net.parameters() if given else NamedParameters(net, names))]
    )
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == names
    assert not list(net.regularizers.parameters())
    assert net not in list(net.regularizers.modules())
    net.to("meta")
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_named_parameters_follow_deepcopy_and_replacement():
    net = network()
    net.regularizer = L1(NamedParameters(net, ["hidden.recurrent.weight"]))
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin["hidden"]["recurrent"].weight.fill_(1.0)
    assert twin.regularizer().item() == 16.0
    assert net.regularizer().item() != 16.0
    net["hidden"]["recurrent"].weight = nn.Parameter(torch.full((4, 4), 2.0))
    assert net.regularizer().item() == 32.0
    net["hidden"]["recurrent"] = nn.Linear(3, 3)
    assert net.regularizer.get_params()[0].shape == (3, 3)


def test_given_tensors_follow_deepcopy_of_their_network():
    net = network()
    net.regularizer = L1([net["readout"].weight])
    twin = copy.deepcopy(net)
    twin.regularizer().backward()
    assert twin["readout"].weight.grad is not None
    assert net["readout"].weight.grad is None


def test_effective_weight_is_what_is_regularized():
    layer = nn.ModuleDict({"signed": Signed()})
    weights = NamedParameters(layer, ["signed.weight"])
    distance = WeightsDistance(weights, [[[2.0, 3.0]]])
    distance().backward()
    assert distance().item() == 2.0  # | |-2| - 2 | + | |1| - 3 |
    assert layer["signed"].weight.grad.tolist() == [[0.0, -1.0]]
    layer["signed"].weight.requires_grad_(False)
    assert distance().item() == 0.0
    assert weights.read()[0].tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (torch.ones(2, 2), TypeError, "not one Tensor"),
        ([1.0], TypeError, r"params\[0\] must be a tensor, not float"),
        ({"w": torch.ones(2, dtype=torch.int64)}, TypeError, "w must hold floating-point"),
    ],
)
def test_params_that_are_no_weights_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        L1(params)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["readout.wieght"], ValueError, "'readout.wieght'; did you mean 'readout.weight'"),
        (["readout.bias"] * 2, ValueError, "must be different"),
        ("readout.bias", TypeError, "not the string"),
    ],
)
def test_names_that_the_network_does_not_have_are_refused(names, error, message):
    with pytest.raises(error, match=message):
        NamedParameters(network(), names)


# --- the term ---------------------------------------------------------------------------------


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


def test_a_class_without_a_term_says_so():
    with pytest.raises(NotImplementedError, match="BaseRegularization must define term"):
        BaseRegularization([torch.ones(1, requires_grad=True)])()


# --- its own optimizer ------------------------------------------------------------------------


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


def test_list_steps_on_the_sum_or_lets_each_step():
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.25)
    RegularizationList([L1([weight]), L1([weight])], 0.5, optimizer).on_optimization_end(None)
    assert weight.item() == 0.75
    each = [L1([weight], optimizer=optimizer), L1([weight])]
    RegularizationList(each).on_optimization_end(None)
    assert weight.item() == 0.5


# --- from_dict --------------------------------------------------------------------------------


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


def test_list_from_dict():
    weight = torch.ones(2, 2, requires_grad=True)
    structs = [
        {"type": "L1", "Lambda": 0.5},
        {"type": "L1", "params": [weight[:1]], "name": "top"},
        {"type": "L2", "squared": True},
    ]
    made = RegularizationList.from_dict(structs, (p for p in [weight]), Lambda=2.0)
    assert made.names == ["l1", "top", "l2"]
    assert {k: v.item() for k, (_, v) in made.terms().items()} == {"l1": 4, "top": 4, "l2": 8}


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        ({"type": "DaleLaw2"}, "type 'DaleLaw2'; did you mean 'DaleLaw"),
        ({"alpha": 1}, "type None"),
        ({"type": "L1", "name": "type"}, "'type' cannot be the name"),
        ({"type": "L1", "name": "a.b"}, "'a.b' cannot be the name"),
    ],
)
def test_list_from_dict_refuses(struct, message):
    with pytest.raises(ValueError, match=message):
        RegularizationList.from_dict([struct], [torch.ones(1)])


# --- the list ---------------------------------------------------------------------------------


def test_list_is_the_weighted_sum_by_name():
    weight = torch.tensor([3.0, -4.0], requires_grad=True)
    regularizers = RegularizationList([L1([weight], 2.0), L2([weight], 3.0)], Lambda=0.5)
    regularizers.append(L1([weight]))
    regularizers.extend({"more": L1([weight])})
    assert regularizers.names == ["l1", "l2", "l1_2", "more"]
    assert len(regularizers) == 4
    assert [type(r) for r in regularizers] == [L1, L2, L1, L1]
    assert regularizers["more"] is regularizers[3]
    assert regularizers().item() == 0.5 * (2 * 7 + 3 * 5 + 7 + 7)
    raws = {name: raw.item() for name, (raw, _) in regularizers.terms().items()}
    assert raws == {"l1": 7, "l2": 5, "l1_2": 7, "more": 7}
    assert regularizers.on_pbar_update(None) == {"l1": 7, "l2": 7.5, "l1_2": 3.5, "more": 3.5}
    regularizers().backward()
    sign, unit = torch.tensor([1.0, -1.0]), torch.tensor([0.6, -0.8])
    assert torch.allclose(weight.grad, 0.5 * (4 * sign + 3 * unit))


def test_list_extends_by_another_list_and_keeps_its_names():
    weight = torch.ones(1, requires_grad=True)
    first = RegularizationList({"a": L1([weight])})
    first.extend(RegularizationList({"b": L2([weight])}))
    assert first.names == ["a", "b"]


def test_total_of_raw_terms_is_forward_bit_for_bit():
    weight = torch.randn(50, generator=torch.Generator().manual_seed(0), requires_grad=True)
    regularizers = RegularizationList([L1([weight], 0.1), L2([weight], 0.3)], Lambda=0.7)
    assert torch.equal(regularizers.total(regularizers.raw_terms()), regularizers())


def test_empty_list_is_a_zero_that_can_be_backpropagated():
    empty = RegularizationList().double()
    empty().backward()
    assert (empty().item(), empty().dtype, len(empty), empty.terms()) == (0, torch.float64, 0, {})
    assert not empty.state_dict()


def test_activity_goes_to_those_that_need_it():
    weight = torch.ones(2, requires_grad=True)
    regularizers = RegularizationList([Rate([]), L1([weight])])
    assert regularizers(torch.full((1, 3), 2.0)).item() == 6
    assert regularizers.on_pbar_update(None) == {"l1": 2}
    with pytest.raises(ValueError, match="rate needs the activity"):
        regularizers()


def test_list_refuses_what_is_no_regularization_and_names_twice():
    with pytest.raises(TypeError, match="holds regularizations, not Linear"):
        RegularizationList([nn.Linear(1, 1)])
    regularizers = RegularizationList({"a": L1([])})
    with pytest.raises(ValueError, match="two regularizations are called 'a'"):
        regularizers.append(L1([]), "a")


def test_a_network_keeps_its_references_in_the_state_dict():
    net = network()
    signs = torch.ones(4, 4)
    law = DaleLawL2(NamedParameters(net, ["hidden.recurrent.weight"]), reference_weights=[signs])
    net.regularizers = RegularizationList({"dale": law})
    saved = {k: v for k, v in net.state_dict().items() if "reference" in k}
    assert list(saved) == ["regularizers.regularizations.dale.reference_0"]
    assert "alpha=0.8, Lambda=1, params=1" in repr(net)


def test_a_network_with_regularizers_goes_without_the_garbage_collector():
    net = network()
    net.regularizers = RegularizationList([L2(NamedParameters(net, ["readout.weight"]))])
    net.regularizers().backward()
    gone = weakref.ref(net)
    gc.collect()
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_names_are_of_the_network_that_they_are_copied_or_pickled_with():
    net = network()
    net.regularizers = RegularizationList([L2(NamedParameters(net, ["readout.weight"]))])
    before = net.regularizers().item()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with torch.no_grad():
            twin.readout.weight.mul_(2)
        assert twin.regularizers().item() == pytest.approx(2 * before)
        assert net.regularizers().item() == before
    alone = copy.deepcopy(net.regularizers)  # without its network, it is of the same one
    assert alone().item() == before
    del net
    with pytest.raises(ReferenceError, match="the network of these parameters is gone"):
        alone()
