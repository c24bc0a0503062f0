"""How states move around points that do not: Jacobians, their eigenvalues, what these mean.

P points, N units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from netbuild.analysis.dynamics import Dynamics

MARGIN = 1e-3  # between a multiplier's modulus and 1: a time constant of 1,000 steps
NUDGE = 1e-7  # to both sides of a kink
KINK = 1e-4  # a difference between Jacobians that no smooth activation makes over so little


def around(move: Dynamics, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Jacobians (P, N, N), units on kinks (P,), multipliers (P, N), and stability of points.

    At a kink there are two Jacobians; where they lead to different words, nothing is decided, nor
    where a Jacobian holds NaN or Inf, whose multipliers are NaN.
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
    """The eigenvalues of (..., N, N), (..., N) on the CPU, by falling modulus.

    Of a pair, whose moduli are the same up to rounding, the one with the positive angle is first.
    Those of a matrix that is not finite, which LAPACK would not survive, are NaN.
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
