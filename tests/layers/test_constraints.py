"""Constraints that hold by themselves: after any optimizer's step, exactly, and only where due."""

import copy
import gc
import itertools
import weakref

import pytest
import torch
from torch import nn, optim
from torch.nn.utils import prune

from netbuild.layers import Check, LinearLayer, attach, verify

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd-nesterov-foreach": lambda p: optim.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, foreach=True
    ),
    "sgd-fused": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, fused=True),
    "adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adam-foreach": lambda p: optim.Adam(p, lr=0.1, amsgrad=True, foreach=True),
    "adam-fused": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1, fused=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
    "adamw-foreach": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1, foreach=True),
    "adamw-fused": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1, fused=True),
    "nadam": lambda p: optim.NAdam(p, lr=0.1, weight_decay=0.1),
    "nadam-foreach": lambda p: optim.NAdam(p, lr=0.1, weight_decay=0.1, foreach=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "rmsprop-foreach": lambda p: optim.RMSprop(p, lr=0.1, centered=True, foreach=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, weight_decay=0.1),
    "adagrad-foreach": lambda p: optim.Adagrad(p, lr=0.1, weight_decay=0.1, foreach=True),
    "adagrad-fused": lambda p: optim.Adagrad(p, lr=0.1, weight_decay=0.1, fused=True),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.1, weight_decay=0.1),
    "lbfgs": lambda p: optim.LBFGS(p, lr=0.1, max_iter=5),
    "lbfgs-wolfe": lambda p: optim.LBFGS(p, max_iter=5, line_search_fn="strong_wolfe"),
}
PLASTICITY = {"binary": [0.0, 1.0], "fractional": [0.0, 0.3, 0.5, 1.0], "none": None}
SIGNS = ("units", "matrix", "none")
WIRING = ("sparse", "full")


def random():
    return torch.Generator().manual_seed(0)


def layer_of(plasticity="fractional", signs="units", wiring="sparse", n=12, m=9, **words):
    """A layer from n to m units whose masks are drawn."""
    g = random()
    masks = {}
    if signs != "none":
        shape = (n,) if signs == "units" else (n, m)
        masks["ei_mask"] = torch.randint(-1, 2, shape, generator=g)
    if wiring == "sparse":
        masks["sparsity_mask"] = torch.rand(n, m, generator=g) < 0.5
    if (levels := PLASTICITY[plasticity]) is not None:
        chosen = torch.randint(0, len(levels), (n, m), generator=g)
        masks["plasticity_mask"] = torch.tensor(levels)[chosen]
    return LinearLayer(n, m, **({"seed": 3} | masks | words))


def net_of(**words):
    return nn.Sequential(layer_of(**words), nn.Tanh(), LinearLayer(9, 4, seed=1))


def data(steps=25):
    g = random()
    return [(torch.randn(16, 12, generator=g), torch.randn(16, 4, generator=g))] * steps


def train(net, optimizer, batches, clip=False):
    for x, y in batches:

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            return loss

        optimizer.step(closure)


def start_of(net):
    return {name: value.detach().clone() for name, value in net.named_parameters()}


def assert_holds(net, start):
    checks = verify(net, start)
    assert [c for c in checks if c.violations] == []
    return checks


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("plasticity", ["binary", "fractional"])
def test_every_optimizer(name, plasticity):
    net = net_of(plasticity=plasticity)
    start, bare = start_of(net), copy.deepcopy(net)
    optimizer = OPTIMIZERS[name](net.parameters())
    attach(net, optimizer)
    train(net, optimizer, data())
    checks = assert_holds(net, start)
    assert {c.constraint for c in checks if c.weights} == {"sign", "absent", "frozen"}
    moved = (net[0].weight != start["0.weight"]).float().mean()
    assert moved > 0.1
    train(bare, OPTIMIZERS[name](bare.parameters()), data())  # the control: it needs the hooks
    assert all(c.violations for c in verify(bare, start) if c.weights)


@pytest.mark.parametrize("masks", [*itertools.product(PLASTICITY, SIGNS, WIRING)], ids="-".join)
@pytest.mark.parametrize("dale", ["project", "abs", "none"])
def test_every_combination_of_masks(masks, dale):
    net = net_of(plasticity=masks[0], signs=masks[1], wiring=masks[2], dale=dale)
    start = start_of(net)
    optimizer = optim.AdamW(net.parameters(), lr=0.1)
    attach(net, optimizer)
    train(net, optimizer, data(5), clip=True)
    assert_holds(net, start)


def test_p_scales_the_update_of_sgd_and_of_adam():
    """p = 0.5 moves exactly half of what the optimizer wants, on its first step."""
    x, y = data()[0]
    for make in (lambda p: optim.SGD(p, lr=0.1), lambda p: optim.Adam(p, lr=0.1)):
        half = LinearLayer(12, 4, seed=3, plasticity_mask=torch.full((12, 4), 0.5))
        full, start = copy.deepcopy(half), half.weight.detach().clone()
        optimizer = make(half.parameters())
        attach(half, optimizer)
        train(half, optimizer, [(x, y)])
        train(full, make(full.parameters()), [(x, y)])
        assert torch.equal(half.weight, torch.lerp(start, full.weight, 0.5))
        assert not torch.equal(half.weight, start)


def test_w_prev_is_the_weight_before_this_step():
    layer = layer_of("fractional", "none", "full")
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    for _ in range(4):
        before = layer.weight.detach().clone()
        optimizer.zero_grad()
        layer(torch.ones(12)).square().sum().backward()
        wanted = before - 0.1 * layer.weight.grad
        optimizer.step()
        expected = torch.lerp(before, wanted, layer.plasticity)
        torch.testing.assert_close(layer.weight.detach(), expected)


@pytest.mark.parametrize("plasticity", PLASTICITY)
def test_clipping_sees_no_gradient_of_absent_or_frozen_weights(plasticity):
    layer = layer_of(plasticity)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    still = layer.update_mask == 0
    for _ in range(2):  # gradients accumulate
        layer(torch.ones(12)).sum().backward()
        assert not layer.weight.grad[still].any()
        assert layer.weight.grad[~still].all()
    norm = nn.utils.clip_grad_norm_([layer.weight], 1.0)
    torch.testing.assert_close(norm, torch.tensor(2 * (~still).sum().sqrt().item()))


def test_an_unmasked_gradient_is_unchanged():
    layer, twin = layer_of(), layer_of()
    optimizer = optim.SGD(layer.parameters())
    attach(layer, optimizer)
    for each in (layer, twin):
        each(torch.arange(12.0)).square().sum().backward()
    assert torch.equal(layer.weight.grad, twin.weight.grad.where(layer.update_mask > 0, 0.0))


@pytest.mark.parametrize("plasticity", ["binary", "fractional"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_step_leaves_frozen_and_absent_weights_alone(plasticity, bad):
    net = net_of(plasticity=plasticity)
    start = start_of(net)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    attach(net, optimizer)
    (x, y), *_ = data(1)
    train(net, optimizer, [(x * bad, y)] * 3, clip=True)
    assert not net[0].weight.isfinite().all()
    for check in verify(net, start):
        assert check.constraint == "sign" or check.violations == 0


WITHOUT_EPS = {
    "adam": lambda p: optim.Adam(p, lr=0.1, eps=0, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, eps=0, weight_decay=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, eps=0, weight_decay=0.1),
}


@pytest.mark.parametrize("name", WITHOUT_EPS)
@pytest.mark.parametrize("plasticity", ["binary", "fractional"])
@pytest.mark.parametrize("first", [0.0, 1e-30, 1.0])
@pytest.mark.parametrize("wiring", WIRING)
def test_a_quotient_of_zeros_in_some_held_weights_leaves_all_of_them_alone(
    name, plasticity, first, wiring
):
    """Decay keeps a frozen weight finite where an absent one, or a tiny one, is 0/0."""
    layer = layer_of(plasticity, wiring=wiring)
    frozen = (layer.update_mask == 0) & (True if layer.connected is None else layer.connected)
    row, column = frozen.nonzero()[len(frozen) // 2]
    state = layer.state_dict()
    if wiring == "sparse":
        state["connected"][0, 0] = True
    state["plasticity"][0, 0] = 0  # the first weight of all is frozen
    state["weight"][0, 0] = first * (state["sign"][0, 0] or 1)
    state["weight"][row, column] = 1e-30 * (state["sign"][row, column] or 1)
    layer.load_state_dict(state)
    start, optimizer = start_of(layer), WITHOUT_EPS[name](layer.parameters())
    attach(layer, optimizer)
    for x, _ in data(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
    assert_holds(layer, start)


def test_a_weight_that_is_not_contiguous():
    layer = layer_of("binary")
    layer.weight.data = layer.weight.data.T.contiguous().T
    assert not layer.weight.is_contiguous()
    start, optimizer = start_of(layer), optim.Adam(layer.parameters(), lr=0.1, weight_decay=0.1)
    attach(layer, optimizer)
    for bad in (1.0, float("nan")):
        layer(torch.full((12,), bad)).sum().backward()
        optimizer.step()
        for check in verify(layer, start):
            assert check.violations == 0 or (check.constraint == "sign" and bad != 1)


@pytest.mark.parametrize("plasticity", ["binary", "fractional"])
def test_weights_that_the_caller_changes_are_the_new_start(plasticity):
    layer = layer_of(plasticity)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1)
    attach(layer, optimizer)

    def step():
        layer(torch.ones(12)).square().sum().backward()
        optimizer.step()

    step()
    layer.set_weight(torch.randn(9, 12, generator=random()))
    start = start_of(layer)
    step()
    assert_holds(layer, start)
    with torch.no_grad():
        layer.weight.fill_(1.0)  # wrong signs and absent connections among them
    step()
    assert_holds(layer, None)
    kept = (layer.plasticity == 0) & layer.connected & (layer.sign >= 0)
    assert (layer.weight[kept] == 1).all()
    layer.double().float()
    layer.load_state_dict(layer_of(plasticity, seed=8).state_dict())
    start = start_of(layer)
    step()
    assert_holds(layer, start)
    layer.weight.data.fill_(2.0)  # a write that autograd's version does not count
    step()
    assert_holds(layer, start)


def test_other_masks_loaded_after_attach():
    layer, other = layer_of("binary"), layer_of("fractional", seed=5)
    optimizer = optim.AdamW(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    for source in (other, layer_of("binary", seed=6), other):
        layer.load_state_dict(source.state_dict())
        start = start_of(layer)
        for _ in range(3):
            layer(torch.ones(12)).square().sum().backward()
            optimizer.step()
        assert_holds(layer, start)


def hooks(net, optimizer):
    of_weights = sum(len(p._post_accumulate_grad_hooks or ()) for p in net.parameters())
    steps = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    return of_weights, *map(len, steps)


def test_attach_is_idempotent_and_takes_in_later_groups():
    net = nn.ModuleList([layer_of(), layer_of()])
    optimizer = optim.SGD(net[0].parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        attach(net, optimizer)
    assert hooks(net, optimizer) == (1, 1, 1)
    optimizer.add_param_group({"params": net[1].parameters()})
    attach(net, optimizer)
    attach(net, optimizer)
    assert hooks(net, optimizer) == (2, 1, 1)


def test_groups_added_after_attach_are_held_from_the_next_step_on():
    """Their moments too: the gradient that they bring along is gated before the step."""
    late = layer_of("binary")
    net = nn.ModuleList([layer_of(), late])
    start = start_of(net)
    optimizer = optim.Adam(net[0].parameters(), lr=0.1)
    attach(nn.ModuleList(net), optimizer)  # the caller need not keep what it attached
    gc.collect()
    optimizer.add_param_group({"params": late.parameters(), "weight_decay": 0.1})
    for _ in range(2):
        for layer in net:
            layer(torch.ones(12)).square().sum().backward()
        optimizer.step()
        assert_holds(net, start)
        assert not late.weight.grad[late.update_mask == 0].any()
    assert not optimizer.state[late.weight]["exp_avg"][~late.connected].any()
    assert hooks(net, optimizer) == (2, 1, 1)


def test_hooks_go_with_the_optimizer_and_do_not_keep_the_layer():
    layer = layer_of()
    for _ in range(3):
        optimizer = optim.Adam(layer.parameters())
        attach(layer, optimizer)
    del optimizer
    gc.collect()
    assert not layer.weight._post_accumulate_grad_hooks
    optimizer = optim.Adam(layer.parameters())
    attach(layer, optimizer)
    gone = weakref.ref(layer)
    del layer, optimizer
    gc.collect()
    assert gone() is None


def test_several_optimizers_each_own_a_part():
    net = nn.Sequential(layer_of(), nn.Tanh(), layer_of(n=9, m=4, signs="matrix"))
    start = start_of(net)
    parts = [optim.AdamW(net[0].parameters(), lr=0.1), optim.SGD(net[2].parameters(), lr=0.1)]
    for part in parts:
        attach(net, part)
    for x, y in data(10):
        nn.functional.mse_loss(net(x), y).backward()
        for part in parts:
            part.step()
            part.zero_grad()
    assert_holds(net, start)


def test_copies_are_attached_anew_and_do_not_act_on_the_original():
    net = net_of()
    optimizer = optim.AdamW(net.parameters(), lr=0.1)
    attach(net, optimizer)
    train(net, optimizer, data(3))
    twin, twin_optimizer = copy.deepcopy((net, optimizer))
    assert hooks(twin, twin_optimizer) == (0, 0, 0)
    before = start_of(net)
    attach(twin, twin_optimizer)
    train(twin, twin_optimizer, data(5))
    assert_holds(twin, before)
    assert all(torch.equal(before[n], p) for n, p in net.named_parameters())
    train(net, optimizer, data(5))
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_optimizer_of_something_else_is_refused():
    net = net_of()
    optimizer = optim.SGD(copy.deepcopy(net).parameters())
    with pytest.raises(ValueError, match="holds no parameter of this module"):
        attach(net, optimizer)
    biases = optim.SGD([net[0].bias])
    attach(net, biases)
    assert hooks(net, biases) == (0, 1, 1)


def test_missing_gradients_and_a_layer_that_learns_later():
    layer = layer_of()
    layer.freeze()
    optimizer = optim.AdamW(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    start = start_of(layer)
    optimizer.step()
    assert torch.equal(layer.weight, start["weight"])
    layer.unfreeze()
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        layer(torch.ones(12)).square().sum().backward()
        assert not layer.weight.grad[layer.update_mask == 0].any()
        optimizer.step()
    assert_holds(layer, start)


def test_moving_and_casting_after_attach():
    layer = layer_of("binary")
    optimizer = optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1)
    attach(layer, optimizer)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        layer.to(dtype)
        optimizer.zero_grad()
        start = start_of(layer)
        layer(torch.ones(12, dtype=dtype)).square().sum().backward()
        optimizer.step()
        assert_holds(layer, start)


@pytest.mark.filterwarnings("ignore:Using backward")  # of a reference cycle, which ends below
def test_gradients_of_gradients():
    layer = layer_of("binary")
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    loss = layer(torch.ones(12)).pow(3).sum()
    loss.backward(create_graph=True)
    assert layer.weight.grad.requires_grad
    assert not layer.weight.grad[layer.update_mask == 0].any()
    layer.weight.grad.square().sum().backward()
    optimizer.zero_grad()


def test_lbfgs_forgets_its_curvature_where_it_is_constrained():
    for net, empty in ((net_of(), True), (nn.Sequential(LinearLayer(12, 4)), False)):
        optimizer = optim.LBFGS(net.parameters(), max_iter=3)
        attach(net, optimizer)
        train(net, optimizer, data(2))
        assert (not optimizer.state) == empty


def test_verify_counts():
    layer = LinearLayer(
        3,
        2,
        weight=torch.ones(2, 3),
        ei_mask=[1, -1, 0],
        sparsity_mask=[[1, 0], [1, 1], [1, 1]],
        plasticity_mask=[[0, 0], [1, 1], [1, 1]],
    )
    start = start_of(layer)
    assert verify(layer) == [Check("", "sign", 3, 0), Check("", "absent", 1, 0)]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1.0, 1.0, 1.0], [0.5, float("nan"), 1.0]]))
    assert verify(nn.ModuleDict({"a": layer}), {"a.weight": start["weight"]}) == [
        Check("a", "sign", 3, 3),
        Check("a", "absent", 1, 1),
        Check("a", "frozen", 1, 1),
    ]
    assert verify(nn.Linear(2, 2)) == []


def test_frozen_means_the_same_bits():
    layer = LinearLayer(1, 1, weight=[[0.0]], plasticity_mask=[[0]])
    start = start_of(layer)
    with torch.no_grad():
        layer.weight.fill_(-0.0)
    assert verify(layer, start) == [Check("", "frozen", 1, 1)]


def test_verify_refuses_a_start_of_something_else():
    layer = layer_of()
    with pytest.raises(ValueError, match="`initial` lacks weight"):
        verify(layer, {})
    with pytest.raises(ValueError, match=r"weight as \(9, 11\) torch.float32; the module has"):
        verify(layer, {"weight": torch.zeros(9, 11)})


def test_raw_weights_are_judged_by_their_effect():
    net = net_of(dale="abs", plasticity="binary")
    start = start_of(net)
    optimizer = optim.SGD(net.parameters(), lr=5.0)
    attach(net, optimizer)
    train(net, optimizer, data(3))
    layer = net[0]
    assert (layer.weight * layer.sign < 0).any()  # raw weights cross zero
    assert_holds(net, start)


def step_of(layer, optimizer, times=3):
    for x, _ in data(times):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()


PARAMETRIZATIONS = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
    "orthogonal": nn.utils.parametrizations.orthogonal,
}


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_weight_that_is_computed_is_refused(name, when):
    net = net_of()
    if when == "before":
        PARAMETRIZATIONS[name](net[0])
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    said = "the weight of layer `0` is computed from other parameters"
    if when == "before":
        with pytest.raises(ValueError, match=said):
            attach(net, optimizer)
        return
    attach(net, optimizer)
    PARAMETRIZATIONS[name](net[0])
    start = start_of(net)
    net(data(1)[0][0]).sum().backward()
    with pytest.raises(ValueError, match=said):
        optimizer.step()
    assert all(torch.equal(p, start[n]) for n, p in net.named_parameters())


def test_what_is_computed_without_constraints_or_for_another_optimizer_is_no_matter():
    net = net_of()
    PARAMETRIZATIONS["weight_norm"](net[2])
    attach(net, optim.SGD(net.parameters(), lr=0.1))
    PARAMETRIZATIONS["weight_norm"](net[0])
    attach(net, optim.SGD([net[0].bias], lr=0.1))


@pytest.mark.parametrize("when", ["before", "after"])
def test_constraints_are_of_the_parameter_that_is_pruned(when):
    layer = layer_of("fractional")
    start = start_of(layer)
    if when == "before":
        prune.l1_unstructured(layer, "weight", 10)
    optimizer = optim.Adam(layer.parameters(), lr=0.1, weight_decay=0.1)
    attach(layer, optimizer)
    if when == "after":
        prune.l1_unstructured(layer, "weight", 10)
    step_of(layer, optimizer)
    assert_holds(layer, start)
    assert not torch.equal(layer.weight_orig, start["weight"])
    prune.remove(layer, "weight")
    start = start_of(layer)
    step_of(layer, optimizer)
    assert_holds(layer, start)


def replaced_by_hand(layer):
    layer.weight = nn.Parameter(layer.weight.detach().clone())


def replaced_by_loading(layer):
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)


def added(optimizer, layer):
    optimizer.add_param_group({"params": [layer.weight]})


def exchanged(optimizer, layer):
    optimizer.param_groups[0]["params"] = list(layer.parameters())


@pytest.mark.parametrize("replace", [replaced_by_hand, replaced_by_loading])
@pytest.mark.parametrize("give", [added, exchanged])
@pytest.mark.parametrize("again", [True, False], ids=["attached again", "stepped"])
def test_a_weight_that_replaces_another_is_held(replace, give, again):
    layer = layer_of("fractional")
    optimizer = optim.Adam(layer.parameters(), lr=0.1, weight_decay=0.1)
    attach(layer, optimizer)
    step_of(layer, optimizer)
    old = layer.weight
    replace(layer)
    start = start_of(layer)
    give(optimizer, layer)
    if again:
        attach(layer, optimizer)
    step_of(layer, optimizer)
    assert layer.weight is not old
    assert not torch.equal(layer.weight, old)
    assert_holds(layer, start)
    assert len(layer.weight._post_accumulate_grad_hooks) == 1
    assert not old._post_accumulate_grad_hooks


@pytest.mark.parametrize("replace", [replaced_by_hand, replaced_by_loading])
def test_an_optimizer_of_a_weight_that_was_replaced_is_refused(replace):
    layer = layer_of("fractional")
    optimizer = optim.Adam(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    step_of(layer, optimizer)
    replace(layer)
    start = start_of(layer)
    layer(torch.ones(12)).sum().backward()
    with pytest.raises(ValueError, match="the weight of the layer was replaced, and the optimizer"):
        optimizer.step()
    assert all(torch.equal(p, start[n]) for n, p in layer.named_parameters())
    with pytest.raises(ValueError, match=r"was replaced|holds no parameter of this module"):
        attach(layer, optimizer)


def test_a_learnt_scale_that_replaces_another_stays_in_its_range():
    layer = LinearLayer(2, 2, scale_groups=torch.zeros(2, 2), scale=1.0)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    attach(layer, optimizer)
    layer.scale = nn.Parameter(torch.ones(1))
    optimizer.add_param_group({"params": [layer.scale]})
    layer.scale.grad = torch.tensor([5.0])
    optimizer.step()
    assert layer.scale.item() == 0


@pytest.mark.parametrize("plasticity", ["binary", "fractional"])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw-fused", "rmsprop", "lbfgs"])
@pytest.mark.parametrize("signs", ["units", "none"])
def test_a_frozen_minus_zero_keeps_its_bits(plasticity, name, signs):
    layer = layer_of(plasticity, signs)
    frozen = (layer.update_mask == 0) & layer.connected
    with torch.no_grad():
        layer.weight[frozen.nonzero()[::2].unbind(1)] = -0.0
    start = start_of(layer)
    optimizer = OPTIMIZERS[name](layer.parameters())
    attach(layer, optimizer)
    train(layer, optimizer, [(x, torch.zeros(16, 9)) for x, _ in data(3)])
    assert_holds(layer, start)
    assert (layer.weight[frozen] == 0).any()


def test_masks_that_are_edited_hold_from_then_on():
    layer = layer_of("binary")
    optimizer = optim.AdamW(layer.parameters(), lr=0.1)
    attach(layer, optimizer)
    step_of(layer, optimizer)
    layer.plasticity.zero_()  # all is frozen now
    start = start_of(layer)
    step_of(layer, optimizer)
    assert_holds(layer, start)
    assert torch.equal(layer.weight, start["weight"])
    assert not layer.weight.grad.any()  # the gradient knows it already
    layer.plasticity = torch.ones_like(layer.plasticity)
    layer.connected[:, :6] = False
    layer.sign.neg_()
    step_of(layer, optimizer)
    checks = {check.constraint: check for check in assert_holds(layer, None)}
    assert checks["absent"].weights >= 9 * 6
    assert not torch.equal(layer.weight, start["weight"])
    layer.connected.zero_()
    layer.enforce_constraints()
    assert not layer.weight.any()


def test_layers_that_share_a_weight_take_p_of_each_update_once():
    mask = torch.full((4, 4), 0.5)
    layers = nn.ModuleList([LinearLayer(4, 4, seed=s, plasticity_mask=mask) for s in (1, 2)])
    layers[1].weight = layers[0].weight
    optimizer = optim.SGD(layers.parameters(), lr=0.1)
    attach(layers, optimizer)
    before = layers[0].weight.detach().clone()
    sum(layer(torch.ones(2, 4)).sum() for layer in layers).backward()
    wanted = before - 0.1 * layers[0].weight.grad
    optimizer.step()
    torch.testing.assert_close(layers[0].weight.detach(), torch.lerp(before, wanted, 0.5))
    layers[1].plasticity.fill_(0.25)
    with pytest.raises(ValueError, match="layer `1` shares its weight with a layer that has"):
        attach(layers, optim.SGD(layers.parameters(), lr=0.1))
