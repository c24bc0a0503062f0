"""Network: what reads what, the activity, and what its names reach."""

import copy
import inspect

import pytest
import torch
from torch import nn

from netbuild.layers import Check, CTRNNLayer, Dropout, LinearLayer, Network, Source, evaluating


def network(**words):
    layers = {
        "hidden": LinearLayer(5, 6, ei_mask=[1, 1, 1, -1, -1], dale="abs", seed=0),
        "drop": Dropout(0.5, seed=0, name="drop"),
        "readout": LinearLayer(4, 2, ei_mask=[1, 1, 1, 1], sparsity_mask=torch.eye(4)[:, :2]),
    }
    words = {
        "sources": {"readout": Source("hidden", (0, 1, 2, 3))},
        "activations": {"hidden": "relu"},
    } | words
    return Network(layers, input_dim=5, **words)


def test_forward_is_the_layers_in_order():
    net = network(sources={"readout": Source("drop", slice(0, 4))})
    x = torch.randn(7, 5)
    net.set_step(0)
    y, activity = net(x, return_activity=True)
    hidden = torch.relu(net.hidden(x))
    drop = net.drop(hidden)
    assert list(activity) == ["hidden", "drop", "readout"]
    assert torch.equal(activity["hidden"], hidden)
    assert torch.equal(activity["drop"], drop)
    assert torch.equal(y, net.readout(drop[:, :4]))
    assert torch.equal(net(x), y)  # a forward pass counts no steps


def test_time_is_an_axis_in_the_middle():
    net, x = network().eval(), torch.randn(3, 8, 5)
    y, activity = net(x, return_activity=True)
    assert y.shape == (3, 8, 2)
    torch.testing.assert_close(net(x[:, 2]), y[:, 2])
    assert {name: a.shape for name, a in activity.items()} == {
        "hidden": (3, 8, 6),
        "drop": (3, 8, 6),
        "readout": (3, 8, 2),
    }


@pytest.mark.parametrize(
    "units", [(0, 1, 2, 3), (1, 2, 3, 4), (5, 0, 2, 2), slice(1, 5), slice(0, 6, 2)]
)
def test_selections_of_units(units):
    width = len(torch.arange(6)[units if isinstance(units, slice) else list(units)])
    layers = {"a": LinearLayer(5, 6), "b": LinearLayer(width, 2)}
    net = Network(layers, input_dim=5, sources={"b": Source("a", units)})
    x = torch.randn(4, 5)
    chosen = net.a(x)[:, units if isinstance(units, slice) else list(units)]
    assert torch.equal(net(x), net.b(chosen))
    is_a_run = isinstance(units, slice) or units[0] != 5
    assert len(list(net.buffers())) == (0 if is_a_run else 1)  # runs are views, no gather
    assert set(net.state_dict()) == {"a.weight", "a.bias", "b.weight", "b.bias"}


def test_input_can_be_read_by_any_layer():
    layers = {"a": LinearLayer(5, 6), "b": LinearLayer(2, 3)}
    net = Network(layers, input_dim=5, sources={"b": Source("input", (3, 1))})
    x = torch.randn(4, 5)
    assert torch.equal(net(x), net.b(x[:, [3, 1]]))


def test_names_reach_parameters():
    net = network()
    assert [name for name, _ in net.named_parameters()] == [
        *("hidden.weight", "hidden.bias", "readout.weight", "readout.bias")
    ]
    assert list(net.get_specs()) == ["hidden", "readout"]
    assert net.get_specs()["hidden"] == net.hidden.get_specs()
    assert net.effective_parameter("readout.weight") is net.readout.weight
    assert net.effective_parameter("hidden.bias") is net.hidden.bias
    effective = net.hidden.effective_weight
    assert list(net.effective_weights()) == ["hidden.effective_weight"]
    assert torch.equal(net.effective_weights()["hidden.effective_weight"], effective)
    assert torch.equal(net.effective_parameter("hidden.weight"), effective)
    for name in ("hiden.weight", "hidden.weigth", "weight", "hidden"):
        with pytest.raises(ValueError, match="unknown parameter"):
            net.effective_parameter(name)


def test_maps_inside_of_layers_have_specs_and_effects_too():
    inner = nn.Module()
    inner.map = LinearLayer(5, 5, ei_mask=[1] * 5, dale="abs")
    inner.forward = lambda x: inner.map(x)
    net = Network({"outer": inner}, input_dim=5)
    assert list(net.get_specs()) == ["outer.map"]
    assert list(net.effective_weights()) == ["outer.map.effective_weight"]
    assert (net.effective_parameter("outer.map.weight") >= 0).all()


def test_a_layer_of_a_users_own_need_not_know_of_the_spectrum():
    class Own(nn.Identity):
        def get_specs(self):
            return {"size": 5}

    net = Network({"own": Own(), "h": CTRNNLayer(5, 3, alpha=0.5)}, input_dim=5)
    for spectrum in (False, True):
        specs = net.get_specs(spectrum=spectrum)
        assert specs["own"] == {"size": 5}
        assert specs["h"] == net.h.get_specs(spectrum=spectrum)


def test_constraints_are_attached_and_verified():
    net = network()
    with torch.no_grad():
        net.readout.weight.fill_(-1.0)
    assert net.verify()[1:] == [Check("readout", "sign", 2, 2), Check("readout", "absent", 6, 6)]
    optimizer = torch.optim.Adam(net.parameters())
    net.attach(optimizer)
    net(torch.ones(1, 5)).sum().backward()
    optimizer.step()
    assert {c.violations for c in net.verify()} == {0}


class Sum(nn.Module):
    def forward(self, activity=None):
        return torch.tensor(0.0 if activity is None else float(len(activity)))


def test_regularizers():
    assert network(regularizers=Sum()).regularizers(activity={"a": 0}) == 1
    zero = network().regularizers()
    zero.backward()
    assert zero == 0


def test_layer_names_that_a_network_uses_are_refused():
    reserved = {*dir(Network({"x": nn.Identity()}, input_dim=1)), "input"} - {"x"}
    assert {"train", "type", "half", "forward", "input", "regularizers", "to"} <= reserved
    assert not {"hidden", "readout", "x"} & reserved
    for name in reserved:
        with pytest.raises(ValueError, match=r"layer name|cannot be called"):
            Network({name: nn.Identity()}, input_dim=1)
    for name in ("A", "a.b", "", "1a", "a-b"):
        with pytest.raises(ValueError, match="must match"):
            Network({name: nn.Identity()}, input_dim=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sources": {"readot": Source("hidden")}}, "unknown layer 'readot'; .*'readout'"),
        ({"activations": {"hiden": "relu"}}, "unknown layer 'hiden'; .*'hidden'"),
        ({"activations": {"hidden": "rellu"}}, "did you mean 'relu'"),
        ({"sources": {"hidden": Source("readout")}}, "source of layer hidden.* 'readout'"),
        ({"sources": {}}, "layer readout has input_dim 4; it reads 6 units"),
        ({"sources": {"hidden": Source("input", (0, 5))}}, r"reads units \(0, 5\) of input.* 5"),
        ({"sources": {"hidden": Source("input", ())}}, r"reads units \(\)"),
        ({"sources": {"hidden": Source("input", slice(1, 5))}}, "input_dim 5; it reads 4"),
    ],
)
def test_refusals(words, message):
    with pytest.raises(ValueError, match=message):
        network(**words)


def test_an_empty_network_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        Network({}, input_dim=3)


def test_everything_moves():
    net = network(sources={"readout": Source("hidden", (5, 0, 2, 1))}).to("meta").eval()
    tensors = [*net.parameters(), *net.buffers()]
    assert all(tensor.is_meta for tensor in tensors)
    for module in net.modules():
        assert not [v for v in vars(module).values() if isinstance(v, torch.Tensor)]
    assert net(torch.ones(3, 5, device="meta")).shape == (3, 2)


def test_every_module_goes_back_to_its_own_mode():
    network = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    network[0].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
        assert not torch.is_grad_enabled()
    with pytest.raises(TypeError), evaluating(network):
        network("no tensor")
    assert [module.training for module in network.modules()] == [True, False, True]
    assert torch.is_grad_enabled()


def test_copies_are_independent():
    net = network().eval()
    twin = copy.deepcopy(net)
    x = torch.randn(3, 5)
    assert torch.equal(net(x), twin(x))
    with torch.no_grad():
        twin.hidden.weight.zero_()
    assert net.hidden.weight.any()


def test_the_signature_is_the_documented_one():
    names = list(inspect.signature(Network).parameters)
    assert names == ["layers", "input_dim", "sources", "activations", "regularizers"]


def noisy(**words):
    silent = {"weight": "zero", "bias": None}
    return CTRNNLayer(
        4, 4, alpha=0.2, noise=0.3, activation="linear", input=silent, recurrent=silent, **words
    )


def test_layers_without_a_name_draw_random_numbers_of_their_own():
    layers = {"a": noisy(), "b": nn.Sequential(noisy(), noisy()), "c": Dropout(0.5)}
    net = Network(layers | {"d": Dropout(0.5)}, input_dim=4)
    assert [m.name for m in net.modules() if hasattr(m, "name")] == ["a", "b.0", "b.1", "c", "d"]
    net.set_step(0)
    x = torch.zeros(2, 6, 4)
    a, b, c = net.a(x), net.b[0](x), net.b[1](x)
    assert not torch.equal(a, b)
    assert not torch.equal(b, c)
    ones = torch.ones(50)
    assert not torch.equal(net.c(ones), net.d(ones))


@pytest.mark.parametrize("make", [noisy, lambda **words: Dropout(0.5, **words)])
def test_layers_that_would_draw_the_same_random_numbers_are_refused(make):
    with pytest.raises(ValueError, match="a and b have the same seed 1 and the same name 'x'"):
        Network({"a": make(name="x", seed=1), "b": make(name="x", seed=1)}, input_dim=4)
    one = make()
    with pytest.raises(ValueError, match="would draw the same random numbers"):
        Network({"a": one, "b": one}, input_dim=4)
    Network({"a": make(name="x", seed=1), "b": make(name="x", seed=2)}, input_dim=4)
    Network({"a": Dropout(0, name="x"), "b": Dropout(0, name="x")}, input_dim=4)
