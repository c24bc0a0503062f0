"""RegularizationList: names, the weighted sum, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netbuild.regularization import (
    L1,
    L2,
    BaseRegularization,
    DaleLawL2,
    NamedParameters,
    RegularizationList,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    hidden = nn.ModuleDict({"recurrent": nn.Linear(4, 4, bias=False)})
    return nn.ModuleDict({"hidden": hidden, "readout": nn.Linear(4, 2)})


class Rate(BaseRegularization):
    """A regularization that needs the activity."""

    needs_activity = True

    def forward(self, activity: Tensor, steps: Tensor | None = None) -> Tensor:
        return activity.square().mean()


def test_list_steps_on_the_sum_or_lets_each_step():
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.25)
    RegularizationList([L1([weight]), L1([weight])], 0.5, optimizer).on_optimization_end(None)
    assert weight.item() == 0.75
    each = [L1([weight], optimizer=optimizer), L1([weight])]
    RegularizationList(each).on_optimization_end(None)
    assert weight.item() == 0.5


def test_list_from_dict():
    weight = torch.ones(2, 2, requires_grad=True)
    structs = [
        {"type": "L1", "Lambda": 0.5},
        {"type": "L1", "params": [weight[:1]], "name": "top"},
        {"type": "L2", "squared": True},
    ]
    made = RegularizationList.from_dict(structs, (p for p in [weight]), Lambda=2.0)
    assert made.names == ["l1", "top", "l2"]
    assert {n: raw.item() * made.weight(n) for n, raw in made.raw_terms().items()} == {
        "l1": 4,
        "top": 4,
        "l2": 8,
    }


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
    raws = {name: raw.item() for name, raw in regularizers.raw_terms().items()}
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
    assert (empty().item(), empty().dtype, len(empty), empty.raw_terms()) == (
        0,
        torch.float64,
        0,
        {},
    )
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


def test_a_list_gives_each_what_it_needs() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    both = RegularizationList.from_dict(
        [{"type": "L1"}, {"type": "FiringRateL1", "layers": "h", "Lambda": 2.0}], [weight]
    )
    assert both.needs_activity
    assert not RegularizationList([L1([weight])]).needs_activity
    assert both({"h": torch.full((2, 2, 2), -1.5)}).item() == pytest.approx(4 + 2 * 1.5)


def test_a_regularizer_of_a_users_own_need_not_know_of_padding() -> None:
    class Mine(BaseRegularization):
        needs_activity = True

        def forward(self, activity: Any) -> torch.Tensor:
            return activity["h"].mean()

    found = RegularizationList([Mine((), 1.0)])({"h": torch.ones(2, 9, 7)})
    assert found.item() == 1
