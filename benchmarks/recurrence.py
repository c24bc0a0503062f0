"""A leaky relu network over all time steps, forward and backward, against its peers.

    python -m benchmarks.recurrence [--threads 2] [--pairs 9]

Each step of `ours`, `torch.nn.RNN` (native loops, without leak) and `nn4n` is: input and recurrent
weights and biases, a linear readout to three outputs, mean squared error, and the gradients of all
parameters; ours is the whole `Network` of a `CTRNNLayer` and a `LinearLayer`. `bare` is the matrix
products of the recurrence alone: one for each time step forward and one backward, and one for the
gradient of the weights over all steps.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import alternate
from netbuild.layers import CTRNNLayer, LinearLayer, Network
from netbuild.system import keep_freed_memory

SIZES = ((32, 100, 64), (64, 100, 256), (64, 200, 512), (16, 100, 1024))  # batch, time, units
INPUTS = OUTPUTS = 3
ALPHA = 0.2
INSTALL = "pip install nn4n==1.1.1"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # for all alike, as the commands do
    print(f"leaky relu network, forward + backward, float32, threads: {given.threads}")
    names = ("ours", "nn.RNN", "bare", "nn4n")
    print(f"{'batch, time, units':>18}{''.join(f'{name:>8} ms' for name in names)}", end="")
    print(f"{'ours/nn.RNN':>13}{'ours/bare':>11}{'nn4n/ours':>11}")
    for size in SIZES:
        steps = candidates(*size)
        seconds = alternate(steps, pairs=given.pairs)
        ours = seconds["ours"]
        times = "".join(
            f"{seconds[name] * 1e3:11.2f}" if name in seconds else f"{'-':>11}" for name in names
        )
        peer = f"{seconds['nn4n'] / ours:11.2f}" if "nn4n" in seconds else f"{'-':>11}"
        against = f"{ours / seconds['nn.RNN']:13.2f}{ours / seconds['bare']:11.2f}{peer}"
        print(f"{'{}, {}, {}'.format(*size):>18}{times}{against}", flush=True)
    if "nn4n" not in steps:
        print(f"nn4n is not installed: {INSTALL}")


def candidates(batch: int, time: int, units: int) -> dict[str, Callable[[], object]]:
    """One training step of each, with the same parameters on the same data."""
    torch.manual_seed(0)
    x, y = torch.randn(batch, time, INPUTS), torch.randn(batch, time, OUTPUTS)
    native = Native(units)
    own = ours(native)
    steps: dict[str, Callable[[], object]] = {
        "ours": training_step(own, x, y),
        "nn.RNN": training_step(native, x.transpose(0, 1).contiguous(), y.transpose(0, 1)),
        "bare": bare(batch, time, units),
    }
    if (peer := nn4n_network(native)) is not None:
        along_time = x.transpose(0, 1).contiguous()
        torch.testing.assert_close(peer(along_time).transpose(0, 1), own(x), rtol=1e-4, atol=1e-5)
        steps["nn4n"] = training_step(peer, along_time, y.transpose(0, 1))
    return steps


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


def ours(native: Native) -> Network:
    """The same parameters with a leak: (batch, time, input) to (batch, time, output)."""
    given = {name: value.numpy() for name, value in parameters(native).items()}

    def start(layer: str) -> dict[str, Any]:
        return {"weight": given[f"{layer}.weight"], "bias": given[f"{layer}.bias"]}

    units = native.recurrent.hidden_size
    hidden = CTRNNLayer(
        INPUTS, units, alpha=ALPHA, input=start("input"), recurrent=start("recurrent")
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
