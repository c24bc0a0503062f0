"""A recurrent layer as a map from its state to the next one, x' = F(x, u), without noise.

S states, N units, I inputs. The state is the potential v in the formulation `current`, and the
rate r in the others. All numbers are float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netbuild.kernels import SparseWeight, State
from netbuild.layers.ctrnn import CTRNNLayer, Parameters

MOST_UNITS = 4096  # 128 MiB for one Jacobian
LARGEST = 2**22  # numbers in the Jacobians that are worked on at once: 32 MiB


class Dynamics:
    """F of one layer, with the weights that it has now; the layer itself is never changed.

    A sparse recurrent weight is made a matrix, since Jacobians are. Raises ValueError for more
    than 4,096 units.
    """

    def __init__(self, layer: CTRNNLayer) -> None:
        if layer.size > MOST_UNITS:
            what = f"the layer has {layer.size:,} units"
            raise ValueError(f"{what}; Jacobians are of at most {MOST_UNITS:,}")
        self.layer = layer
        self.size = layer.size
        with torch.no_grad():
            found = layer.parameters_of_step()
        alpha, read, recurrent = found.alpha, found.input_weight, found.recurrent_weight
        if isinstance(read, SparseWeight):
            read = SparseWeight(read.values.detach().double(), read.pattern)
        self.params = Parameters(
            read if isinstance(read, SparseWeight) else read.detach().double(),
            _dense(recurrent).detach().double(),
            found.bias.detach().double(),
            alpha.detach().double() if isinstance(alpha, Tensor) else alpha,
        )

    def __call__(self, x: Tensor, u: Tensor, nudge: float = 0.0) -> Tensor:
        """The state after x, (S, N), when the layer reads u, (S, I).

        `nudge` moves what the activation sees, to look at both sides of its kinks.
        """
        if self.layer.formulation == "current":
            x = x + nudge
            after = self.layer.step(u, State(self.layer.activation(x), x), self.params)
            assert after.potential is not None
            return after.potential
        if self.layer.formulation == "rate":  # where step divides noise by alpha
            return self.layer.step(u, State(x), self.params, nudge * self.params.alpha).rate
        return self.layer.step(u, State(x), self.params, nudge).rate

    def rates(self, x: Tensor) -> Tensor:
        """The rates of states (..., N)."""
        return self.layer.activation(x) if self.layer.formulation == "current" else x

    def jacobians(self, x: Tensor, u: Tensor, nudge: float = 0.0) -> Tensor:
        """dF/dx, (S, N, N): entry [s, i, j] is how unit j moves unit i in state s.

        One backward pass gives the rows of all units and all states together.
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = self(x, u, nudge)
            rows = torch.eye(self.size, dtype=y.dtype, device=y.device)[:, None]
            (found,) = torch.autograd.grad(y, x, rows.expand(-1, len(x), -1), is_grads_batched=True)
        return found.transpose(0, 1).contiguous()

    def parts(self, count: int) -> Iterator[slice]:
        """`count` states in parts whose Jacobians take a bounded memory."""
        step = max(1, LARGEST // self.size**2)
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))


def _dense(weight: Tensor | SparseWeight) -> Tensor:
    """(N, N)."""
    if not isinstance(weight, SparseWeight):
        return weight
    values, where = weight
    rows = torch.arange(where.shape[0], device=values.device).repeat_interleave(where.rows.diff())
    whole = values.new_zeros(where.shape)
    whole[rows, where.columns.long()] = values
    return whole
