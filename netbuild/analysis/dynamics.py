"""A recurrent layer as a map from its state to the next one, x' = F(x, u), and its stability.

S states, P points, N units, I inputs. There is no noise. The state is the potential v in the
formulation `current`, and the rate r in the others. All numbers are float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from netbuild.kernels import SparseWeight, State
from netbuild.kernels.sparse import matrix
from netbuild.layers.ctrnn import CTRNNLayer, Parameters

MOST_UNITS = 4096  # 128 MiB for one Jacobian
LARGEST = 2**22  # numbers in the Jacobians that are computed at once: 32 MiB
MARGIN = 1e-3  # between a multiplier's modulus and 1: a time constant of 1,000 steps
NUDGE = 1e-7  # to both sides of a kink
KINK = 1e-4  # a difference between Jacobians that no smooth activation makes over so little


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
            params = Parameters(*map(_double, layer.parameters_of_step()))
        if isinstance(params.recurrent_weight, SparseWeight):
            dense = matrix(params.recurrent_weight).to_dense()
            params = params._replace(recurrent_weight=dense)
        self.params = params

    def __call__(self, x: Tensor, u: Tensor, nudge: float = 0.0) -> Tensor:
        """The state after x, (S, N), when the layer reads u, (S, I).

        `nudge` moves the argument of the activation, to look at both sides of its kinks.
        """
        if self.layer.formulation == "current":
            x = x + nudge
            after = self.layer.step(u, State(self.layer.activation(x), x), self.params)
            assert after.potential is not None
            return after.potential
        moved = nudge / self.params.alpha if self.layer.formulation == "update" else nudge
        return self.layer.step(u, State(x), self.params, moved).rate

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
        """`count` states in parts whose Jacobians fit into LARGEST numbers."""
        step = max(1, LARGEST // self.size**2)
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))


def _double(given: Tensor | SparseWeight | float) -> Any:
    """The same in float64, without a gradient; a plain number stays."""
    if isinstance(given, SparseWeight):
        return SparseWeight(given.values.detach().double(), given.pattern)
    return given.detach().double() if isinstance(given, Tensor) else given


def stability_of(
    move: Dynamics, x: Tensor, u: Tensor
) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Jacobians (P, N, N), units on kinks (P,), multipliers (P, N), and stability of points.

    At a kink there are two Jacobians. Where these differ in stability the point is `undecided`, as
    it is where a Jacobian holds NaN or Inf, whose multipliers are NaN.
    """
    size = move.size
    matrices = [x.new_zeros((0, size, size))]
    kinks = [torch.zeros(0, dtype=torch.long, device=x.device)]
    values = [torch.zeros((0, size), dtype=torch.complex128)]
    words: list[str] = []
    for part in move.parts(len(x)):
        matrices.append(move.jacobians(x[part], u[part]))
        values.append(multipliers(matrices[-1]))
        found = [_stability(row) for row in values[-1]]
        sides = [move.jacobians(x[part], u[part], nudge) for nudge in (-NUDGE, NUDGE)]
        # A kink of f changes a column of W f'(v) in `current`, and a row of f'(W r) in the others.
        along = -2 if move.layer.formulation == "current" else -1
        kinks.append(((sides[1] - sides[0]).abs().amax(along) > KINK).sum(-1))
        for i in torch.nonzero(kinks[-1]).squeeze(-1).tolist():
            of_sides = {_stability(row) for row in multipliers(torch.stack([s[i] for s in sides]))}
            found[i] = of_sides.pop() if len(of_sides) == 1 else "undecided"
        words += found
    return torch.cat(matrices), torch.cat(kinks), torch.cat(values), tuple(words)


def multipliers(matrices: Tensor) -> Tensor:
    """The eigenvalues of (..., N, N), (..., N) on the CPU, by decreasing modulus.

    Of a pair, whose moduli are the same up to rounding, the one with the positive angle is first.
    Those of a matrix that is not finite, on which LAPACK would crash, are NaN.
    """
    matrices = matrices.cpu()
    finite = matrices.isfinite().flatten(-2).all(-1)[..., None]
    values: Tensor = torch.linalg.eigvals(matrices.where(finite[..., None], 0.0))
    values = values.where(finite, torch.nan)
    values = values.gather(-1, values.imag.argsort(dim=-1, descending=True, stable=True))
    modulus = (values.abs() * 2.0**40).round()
    return values.gather(-1, modulus.argsort(dim=-1, descending=True, stable=True))


def _stability(values: Tensor) -> str:
    modulus = values.abs()
    if bool(modulus.isnan().any()):
        return "undecided"
    away = int((modulus > 1 + MARGIN).sum())
    if away:
        return "unstable" if away == len(modulus) else "saddle"
    return "marginal" if bool((modulus >= 1 - MARGIN).any()) else "stable"
