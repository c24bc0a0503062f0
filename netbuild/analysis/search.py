"""The search for states that do not move: descent along the gradient, then Newton's method.

q(x) = |F(x, u) - x|^2 / 2 is minimised for every state by itself (Sussillo & Barak 2013,
doi 10.1162/NECO_a_00409), all of them in one batch. S states, N units, I inputs.

Descent alone creeps where an activation has kinks: half of the states have not arrived after
thousands of steps. Newton's method alone would jump over slow points near the start.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netbuild.analysis.dynamics import Dynamics

BETAS = (0.9, 0.999)
NEWTON_STEPS = 100
EXACT = 1e-13  # of the state's norm: the speed at which Newton's method ends
DAMPING = 1e-3  # at the first step
LEAST_DAMPING = 1e-12  # of the mean square of the singular values; along a line they are 0
STUCK = 1e6


def descend(
    move: Dynamics, x: Tensor, u: Tensor, *, steps: int, lr: float, tolerance: float
) -> Tensor:
    """Adam on q from each of the states x (S, N), until q is no larger than the tolerance.

    A state that is below the tolerance is taken out of the batch and stays where it is. The step
    size falls from `lr` to 0 along a quarter of a cosine.
    """
    result, active = x.clone(), torch.arange(len(x), device=x.device)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            q = residual(move, x, u)
            (gradient,) = torch.autograd.grad(q.sum(), x)
        x, going = x.detach(), q.detach() > tolerance
        if not going.all():
            result[active[~going]] = x[~going]
            x, u, gradient, active = x[going], u[going], gradient[going], active[going]
            mean, square = mean[going], square[going]
            if not len(x):
                return result
        mean = mean.lerp(gradient, 1 - BETAS[0])
        square = square.lerp(gradient.square(), 1 - BETAS[1])
        size = lr * math.cos(math.pi / 2 * step / steps) / (1 - BETAS[0] ** step)
        spread = (square / (1 - BETAS[1] ** step)).sqrt() + 1e-30
        x = x - size * mean / spread
    result[active] = x
    return result


def newton(
    move: Dynamics, x: Tensor, u: Tensor, *, radius: float = math.inf, enough: float = 0.0
) -> Tensor:
    """Newton's method on F(x, u) = x from each state, until q is 0, minimal, or `enough`.

    The steps are damped (Levenberg and Marquardt), less and less as the speed falls. They converge
    as fast as undamped steps, and also where fixed points form lines or planes: there they lead to
    the nearest fixed point, since nothing moves a state along the line (Yamashita & Fukushima 2001,
    doi 10.1007/978-3-7091-6217-0_18). A state that would leave its radius is returned unchanged.
    """
    done = [_newton(move, x[s], u[s], radius, enough) for s in move.parts(len(x))]
    return torch.cat(done) if done else x


def residual(move: Dynamics, x: Tensor, u: Tensor) -> Tensor:
    """q of each state, (S,)."""
    return (move(x, u) - x).square().sum(-1) / 2


def _newton(move: Dynamics, x: Tensor, u: Tensor, radius: float, enough: float) -> Tensor:
    start, x = x, x.clone()
    q = residual(move, x, u)
    damping = torch.full_like(q, DAMPING)
    left = torch.zeros_like(q, dtype=torch.bool)
    for _ in range(NEWTON_STEPS):
        exact = (2 * q).sqrt() <= EXACT * (1 + x.norm(dim=-1))
        at = torch.nonzero(~exact & (q > enough) & ~left & (damping < STUCK)).squeeze(-1)
        if not len(at):
            break
        trial = x[at] + _newton_step(move, x[at], u[at], damping[at])
        q_trial = residual(move, trial, u[at])
        better = q_trial < q[at]
        left[at] = better & ((trial - start[at]).norm(dim=-1) > radius)
        x[at] = torch.where(better[:, None], trial, x[at])
        q[at] = torch.where(better, q_trial, q[at])
        damping[at] = torch.where(better, damping[at] / 10, damping[at] * 100)
    return torch.where(left[:, None], start, x)


def _newton_step(move: Dynamics, x: Tensor, u: Tensor, damping: Tensor) -> Tensor:
    """The least step that makes G step = -g nearly true, where g = F - x and G = dg/dx."""
    g = move(x, u) - x
    G = move.jacobians(x, u)
    G.diagonal(dim1=-2, dim2=-1).sub_(1)
    normal: Tensor = G.mT @ G
    size = normal.diagonal(dim1=-2, dim2=-1).mean(-1)
    relative = (damping * g.norm(dim=-1).clamp(max=1)).clamp(min=LEAST_DAMPING)
    least = torch.finfo(g.dtype).tiny  # where F is the identity, and G is 0
    normal.diagonal(dim1=-2, dim2=-1).add_((size * relative)[:, None] + least)
    # Not `linalg.solve`: with two threads and 256 units, MKL's batched LU fails and never returns.
    factor, failed = torch.linalg.cholesky_ex(normal)
    step: Tensor = torch.cholesky_solve(G.mT @ -g[..., None], factor).squeeze(-1)
    return torch.where(failed[:, None] == 0, step, math.nan)  # a NaN step is rejected
