"""Where torch must see every operation, layers take their plain path by themselves."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from netbuild.layers import CTRNNLayer, LinearLayer, Network

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
STORAGES = ("dense", "sparse")


def network(storage: str = "dense", seed: int = 1) -> Network:
    mask = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    recurrent = {
        "sparsity_mask": mask.numpy(),
        "storage": storage,
        "ei_mask": [1, 1, 1, 1, -1, -1],
        "dale": "abs",
    }
    hidden = CTRNNLayer(
        3,
        6,
        alpha=0.2,
        activation={"type": "power", "n": 1.5},
        noise=0.1,
        seed=seed,
        recurrent=recurrent,
    )
    everything = torch.ones(6, 2).numpy()
    words = {"input_dim": 6, "output_dim": 2, "sparsity_mask": everything, "storage": storage}
    readout = LinearLayer.from_dict(words | {"seed": seed})
    return Network({"hidden": hidden, "readout": readout}, input_dim=3).eval()


def inputs() -> Tensor:
    return torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(3))


def gradients_of(net: Network, y: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    y.square().sum().backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("storage", STORAGES)
def test_a_compiled_network_computes_the_same(storage: str) -> None:
    net, x = network(storage), inputs()
    expected = net(x)
    gradients = gradients_of(net, expected)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(compiled, expected)
    for name, gradient in gradients_of(net, compiled).items():
        torch.testing.assert_close(gradient, gradients[name], msg=name, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, of a graph that breaks
def test_a_compiled_network_draws_the_noise_of_its_step() -> None:
    net, x = network().train(), inputs()
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager")
    for step in (3, 4):
        net.set_step(step)
        torch.testing.assert_close(compiled(x), net(x))


@pytest.mark.parametrize("storage", STORAGES)
def test_an_exported_network_computes_the_same(storage: str) -> None:
    net, x = network(storage), inputs()
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), net(x))


@pytest.mark.parametrize("storage", STORAGES)
def test_an_ensemble_by_vmap_is_its_networks(storage: str) -> None:
    nets, x = [network(storage, seed=seed) for seed in range(3)], inputs()
    parameters, buffers = stack_module_state(nets)  # type: ignore[arg-type]

    def run(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Any:
        return functional_call(nets[0], (parameters, buffers), (x,))

    ensemble = vmap(run)(parameters, buffers)
    torch.testing.assert_close(ensemble, torch.stack([net(x) for net in nets]))


@pytest.mark.parametrize("storage", STORAGES)
def test_gradients_by_torch_func_are_those_of_backward(storage: str) -> None:
    net, x = network(storage), inputs()
    found = grad(lambda p: functional_call(net, p, (x,)).square().sum())(
        dict(net.named_parameters())
    )
    for name, gradient in gradients_of(net, net(x)).items():
        torch.testing.assert_close(found[name], gradient, msg=name, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("storage", STORAGES)
def test_autocast_trains_with_gradients_in_the_weights_precision(storage: str) -> None:
    net, x = network(storage), inputs()
    expected = net(x)
    gradients = gradients_of(net, expected)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(x)
        found = gradients_of(net, rounded.float())
    torch.testing.assert_close(rounded.float(), expected, rtol=0.05, atol=0.05)
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        near = 0.1 * float(gradients[name].abs().max())  # bfloat16 has two to three digits
        torch.testing.assert_close(gradient, gradients[name], msg=name, rtol=0.1, atol=near)


@pytest.mark.parametrize("storage", STORAGES)
def test_networks_can_be_copied_and_pickled(storage: str) -> None:
    net, x = network(storage), inputs()
    expected = net(x)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(again(x), expected)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), expected)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_the_reference_kernel_can_be_differentiated_twice_and_the_fused_one_says_no() -> None:
    for kernel in ("reference", "fused"):
        layer = CTRNNLayer(3, 4, alpha=0.2, activation="tanh", seed=1, kernel=kernel)
        loss = layer(inputs()).square().sum()
        (first,) = torch.autograd.grad(loss, layer.recurrent.weight, create_graph=True)
        if kernel == "reference":
            (second,) = torch.autograd.grad(first.square().sum(), layer.recurrent.weight)
            assert second.isfinite().all()
            assert second.any()
        else:
            with pytest.raises(RuntimeError, match="differentiate twice"):
                first.square().sum().backward()
