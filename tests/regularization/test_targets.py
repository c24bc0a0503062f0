"""Where regularizers find their parameters: given tensors, and names in a network."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import Tensor, nn

from netbuild.regularization import (
    L1,
    L2,
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
