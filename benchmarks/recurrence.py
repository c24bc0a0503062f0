"""A leaky relu network over all time steps, forward and backward, against its peers.

    python -m benchmarks.recurrence [--threads 1 2] [--pairs 9]

Each step of `ours`, `torch.nn.RNN` (native loops, without leak), `nn4n` and `jax` (a compiled
`lax.scan`, which uses all cores) is: input and recurrent weights and biases, a linear readout to
three outputs, mean squared error, and the gradients of all parameters; ours is the whole `Network`
of a `CTRNNLayer` and a `LinearLayer`, once with each kernel and once as `auto` chooses. `bare` is
the matrix products of the recurrence alone: one for each time step forward and one backward, and
one for the gradient of the weights over all steps.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import alternate
from netbuild.layers import CTRNNLayer, LinearLayer, Network
from netbuild.system import keep_freed_memory

SIZES = (  # batch, time, units
    *((16, 50, 52), (32, 100, 64), (32, 100, 128)),
    *((64, 100, 256), (64, 200, 512), (16, 100, 1024)),
)
INPUTS = OUTPUTS = 3
ALPHA = 0.2
INSTALL = "pip install -e '.[bench]'"
NAMES = ("auto", "compiled", "fused", "jax", "nn.RNN", "bare", "nn4n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=9)
    given = parser.parse_args()
    keep_freed_memory()  # for all alike, as the commands do
    for threads in given.threads:
        torch.set_num_threads(threads)
        print(f"leaky relu network, forward + backward in ms, float32, torch threads: {threads}")
        print(f"{'batch, time, units':>18}{''.join(f'{name:>10}' for name in NAMES)}", end="")
        print(f"{'auto / jax':>12}{'/ nn.RNN':>10}{'/ bare':>8}{'nn4n / auto':>13}")
        for size in SIZES:
            steps = candidates(*size)
            _print_row(size, alternate(steps, pairs=given.pairs))
    missing = sorted(set(NAMES) - steps.keys())
    if missing:
        print(f"not installed: {', '.join(missing)}; {INSTALL}")


def _print_row(size: tuple[int, int, int], seconds: Mapping[str, float]) -> None:
    ours = seconds["auto"]
    row = f"{'{}, {}, {}'.format(*size):>18}"
    row += "".join(f"{seconds.get(name, math.nan) * 1e3:10.2f}" for name in NAMES)
    for name, width in (("jax", 12), ("nn.RNN", 10), ("bare", 8)):
        row += f"{ours / seconds.get(name, math.nan):{width}.2f}"
    print(f"{row}{seconds.get('nn4n', math.nan) / ours:13.2f}", flush=True)


def candidates(batch: int, time: int, units: int) -> dict[str, Callable[[], object]]:
    """One training step of each, with the same parameters on the same data."""
    torch.manual_seed(0)
    x, y = torch.randn(batch, time, INPUTS), torch.randn(batch, time, OUTPUTS)
    along_time, targets = x.transpose(0, 1).contiguous(), y.transpose(0, 1).contiguous()
    native = Native(units)
    networks = {kernel: ours(native, kernel) for kernel in ("auto", "compiled", "fused")}
    steps = {kernel: training_step(network, x, y) for kernel, network in networks.items()}
    steps["nn.RNN"] = training_step(native, along_time, targets)
    steps["bare"] = bare(batch, time, units)
    expected = networks["auto"](x).transpose(0, 1)
    if (peer := nn4n_network(native)) is not None:
        torch.testing.assert_close(peer(along_time), expected, rtol=1e-4, atol=1e-5)
        steps["nn4n"] = training_step(peer, along_time, targets)
    if (step := jax_step(native, along_time, targets, expected)) is not None:
        steps["jax"] = step
    return steps


def jax_step(native: Native, x: Tensor, y: Tensor, expected: Tensor) -> Callable[[], object] | None:
    """A compiled `lax.scan` of the same network, whose outputs are first compared with ours."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    given = {name: jnp.asarray(value.numpy()) for name, value in parameters(native).items()}
    inputs, targets = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())

    def outputs(p: Any) -> Any:
        drive = inputs @ p["input.weight"].T + p["input.bias"] + p["recurrent.bias"]

        def step(state: Any, d: Any) -> Any:
            v, r = state
            v = (1 - ALPHA) * v + ALPHA * (r @ p["recurrent.weight"].T + d)
            r = jax.nn.relu(v)
            return (v, r), r

        zero = jnp.zeros_like(drive[0])
        _, rates = jax.lax.scan(step, (zero, zero), drive)
        return rates @ p["readout.weight"].T + p["readout.bias"]

    found = torch.from_numpy(np.array(outputs(given)))
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-5)
    gradients = jax.jit(jax.value_and_grad(lambda p: jnp.square(outputs(p) - targets).mean()))
    return lambda: jax.block_until_ready(gradients(given))


class Native(nn.Module):
    """torch.nn.RNN and a readout."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.recurrent = nn.RNN(INPUTS, units, nonlinearity="relu")
        self.readout = nn.Linear(units, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """(time, batch, input) to (time, batch, output)."""
        output: Tensor = self.readout(self.recurrent(x)[0])
        return output


def ours(native: Native, kernel: str) -> Network:
    """The same parameters with a leak: (batch, time, input) to (batch, time, output)."""
    given = {name: value.numpy() for name, value in parameters(native).items()}

    def start(layer: str) -> dict[str, Any]:
        return {"weight": given[f"{layer}.weight"], "bias": given[f"{layer}.bias"]}

    units = native.recurrent.hidden_size
    hidden = CTRNNLayer(
        INPUTS,
        units,
        alpha=ALPHA,
        input=start("input"),
        recurrent=start("recurrent"),
        kernel=kernel,
    )
    readout = LinearLayer(units, OUTPUTS, **start("readout"))
    return Network({"hidden": hidden, "readout": readout}, input_dim=INPUTS)


def parameters(native: Native) -> Mapping[str, Tensor]:
    rnn = native.recurrent
    return {
        "input.weight": rnn.weight_ih_l0.detach(),
        "input.bias": rnn.bias_ih_l0.detach(),
        "recurrent.weight": rnn.weight_hh_l0.detach(),
        "recurrent.bias": rnn.bias_hh_l0.detach(),
        "readout.weight": native.readout.weight.detach(),
        "readout.bias": native.readout.bias.detach(),
    }


def nn4n_network(native: Native) -> nn.Module | None:
    """nn4n's CTRNN with the same parameters: (time, batch, input) to (time, batch, output)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nn4n.model import CTRNN
    except ImportError:
        return None
    peer = CTRNN(
        dims=[INPUTS, native.recurrent.hidden_size, OUTPUTS],
        biases="uniform",
        weights="uniform",
        activation="relu",
        dt=ALPHA,
        tau=1.0,
    )
    layers = {
        "input": peer.recurrent_layer.input_layer,
        "recurrent": peer.recurrent_layer.hidden_layer,
        "readout": peer.readout_layer,
    }
    with torch.no_grad():
        for name, value in parameters(native).items():
            layer, parameter = name.split(".")
            getattr(layers[layer], parameter).copy_(value)
    return FirstOutput(peer)


class FirstOutput(nn.Module):
    """A network's first output alone; nn4n returns the activity beside it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(time, batch, input) to (time, batch, output)."""
        output: Tensor = self.network(x)[0]
        return output


def training_step(network: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    def step() -> None:
        network.zero_grad()
        functional.mse_loss(network(x), y).backward()

    return step


def bare(batch: int, time: int, units: int) -> Callable[[], object]:
    state, weight = torch.rand(batch, units), torch.rand(units, units)
    out, gradient = torch.empty(batch, units), torch.empty(units, units)
    posts, pres = torch.rand(time * batch, units), torch.rand(time * batch, units)

    def step() -> None:
        for _ in range(2 * time):
            torch.mm(state, weight, out=out)
        torch.mm(posts.mT, pres, out=gradient)

    return step


if __name__ == "__main__":
    main()
