"""What a recurrent layer reads, and the states that it goes through, in every trial.

B trials, T time, I inputs, N units.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from netbuild.layers import Network, evaluating
from netbuild.layers.ctrnn import CTRNNLayer


class Trajectories(NamedTuple):
    """One layer in some trials."""

    inputs: Tensor
    """(B, T, I): what the layer reads."""
    states: Tensor
    """(B, T, N): the potentials v in the formulation `current`, the rates r in others."""


def trajectories(network: Network, layer: str, x: Tensor) -> Trajectories:
    """Run a network without noise on x, (B, T, input), and look at one of its layers.

    The network's modes and gradients are left as they were.

    Raises:
        ValueError: no such recurrent layer.
    """
    module = recurrent_layers(network).get(layer)
    if module is None:
        known = ", ".join(recurrent_layers(network)) or "none"
        raise ValueError(f"no recurrent layer {layer!r}; there are: {known}")
    read: list[Tensor] = []

    def listen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        read.append(given[0])

    with evaluating(network):
        hook = module.register_forward_pre_hook(listen)
        try:
            network(x)
        finally:
            hook.remove()
        return Trajectories(read[0], _states(module, read[0]))


def recurrent_layers(network: Network) -> dict[str, CTRNNLayer]:
    """The recurrent layers of a network, by name, in order."""
    return {
        name: module for name, module in network.named_children() if isinstance(module, CTRNNLayer)
    }


def _states(layer: CTRNNLayer, u: Tensor) -> Tensor:
    """(B, T, I) to the states after each step, (B, T, N)."""
    params, state = layer.parameters_of_step(), layer.initial(len(u))
    found = u.new_empty((*u.shape[:2], layer.size))
    for t in range(u.shape[1]):
        state = layer.step(u[:, t], state, params)
        found[:, t] = state.rate if state.potential is None else state.potential
    return found
