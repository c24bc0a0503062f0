"""Recurrent layers, a network and trials for the tests of analyses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from netbuild.analysis import (
    FixedPoints,
)
from netbuild.layers import LinearLayer, Network
from netbuild.layers.ctrnn import CTRNNLayer
from netbuild.tasks import Batch

FORMULATIONS = ("current", "rate", "update")


def ctrnn(weight: Any, bias: Any = 0.0, inputs: Any = None, **words: Any) -> CTRNNLayer:
    """A layer with these weights (unit, unit), bias and input weights (unit, input)."""
    weight = np.atleast_2d(np.asarray(weight, dtype=np.float32))
    size = len(weight)
    inputs = np.zeros((size, 1)) if inputs is None else np.asarray(inputs)
    words = {"alpha": 0.2, "activation": "linear"} | words
    return CTRNNLayer(
        inputs.shape[1],
        size,
        input={"weight": inputs.astype(np.float32), "bias": None},
        recurrent={
            "weight": weight,
            "bias": np.broadcast_to(np.asarray(bias, dtype=np.float32), size).copy(),
        },
        **words,
    )


def drawn(size: int, seed: int = 0, gain: float = 1.5, **words: Any) -> CTRNNLayer:
    rng = np.random.default_rng(seed)
    words = {"activation": "tanh"} | words
    weight = rng.normal(size=(size, size)) * gain / np.sqrt(size)
    return ctrnn(weight, rng.normal(size=size) / 4, rng.normal(size=(size, 3)), **words)


def spread(count: int, size: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, size)) * 2)


def apart(a: Tensor, b: Tensor) -> Tensor:
    """Distances, without the cancellation of cdist's matrix product."""
    return (a[:, None] - b).norm(dim=-1)


def after(layer: CTRNNLayer, x: Tensor, u: Tensor) -> Tensor:
    """The step, written down again in numpy's terms."""
    W = layer.recurrent.effective_weight.detach().double()
    d = layer.input.effective_weight.detach().double() @ u
    d = d + (layer.recurrent.bias + layer.input.bias).detach().double()
    alpha = layer.alpha.detach().double()
    if layer.groups is not None:
        alpha = alpha[layer.groups]
    f = layer.activation
    if layer.formulation == "current":
        return (1 - alpha) * x + alpha * (f(x) @ W.T + d)
    if layer.formulation == "rate":
        return (1 - alpha) * x + alpha * f(x @ W.T + d)
    return f((1 - alpha) * x + alpha * (x @ W.T + d))


def same(a: FixedPoints, b: FixedPoints, tolerance: float = 0.0) -> bool:
    return all(
        torch.allclose(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance, equal_nan=True)
        for name in ("states", "rates", "q", "starts", "jacobians", "multipliers", "condition")
    )


def network_of(formulation: str = "current") -> Network:
    layers = {
        "first": LinearLayer(3, 4, seed=1),
        "hidden": CTRNNLayer(4, 5, alpha=0.2, formulation=formulation, noise=0.5, seed=1),
        "readout": LinearLayer(5, 2, seed=2),
    }
    return Network(layers, input_dim=3)


def trials_of(count: int = 6, time: int = 10) -> Batch:
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(count, time, 3)).astype(np.float32))
    side = np.arange(count) % 2
    trials = {
        "steps": np.full(count, time - 2),
        "answer": side + 1,
        "side": side,
        "coh": np.where(np.arange(count) < 3, 1.5, 6.0),
        "stimulus_start": np.full(count, 2),
        "stimulus_end": np.full(count, 5),
        "delay_start": np.where(side, -1, 5),
        "delay_end": np.where(side, -1, 7),
    }
    return Batch(inputs, torch.zeros(count, time, dtype=torch.long), None, trials)
