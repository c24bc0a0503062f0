"""Fixed points of a recurrent layer under constant input, and how states move around them.

P points, S starts, C conditions, N units, I inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from netbuild.analysis.dynamics import MARGIN, Dynamics, stability_of
from netbuild.analysis.search import descend, newton, residual
from netbuild.layers.ctrnn import CTRNNLayer

FIXED = 1e-10  # of the state's norm: the speed up to which a state is a fixed point
NEAR = 50  # times `unique`: how far Newton's method may go from where the descent ended


@dataclass(frozen=True)
class FixedPoints:
    """States in which a layer stays, or nearly so, while it reads the same input at every step.

    They are sorted by condition. In each condition fixed points come first, sorted by how many
    starts led to them, and then slow points, the slowest first. Tensors are on the CPU.
    """

    states: Tensor
    """(P, N) float64: the potentials v in the formulation `current`, the rates r in others."""
    rates: Tensor
    """(P, N) float64: r = f(v)."""
    inputs: Tensor
    """(C, I): the different inputs, in the order in which they were given."""
    condition: Tensor
    """(P,): the position in `inputs` of a point's input."""
    q: Tensor
    """(P,): |F(x, u) - x|^2 / 2, of one step."""
    fixed: Tensor
    """(P,) bool: True where the state does not move, to the precision of float64."""
    starts: Tensor
    """(P,): how many starts led there; 0 for a fixed point that only slow points lead to."""
    jacobians: Tensor
    """(P, N, N): dF/dx; entry [p, i, j] is how unit j moves unit i in one step."""
    multipliers: Tensor
    """(P, N) complex: the eigenvalues of the Jacobian, the largest modulus first."""
    stability: tuple[str, ...]
    """(P,): `stable` (every multiplier's modulus is below 1), `saddle` (some are above),
    `unstable` (all are), `marginal` (the largest is 1 to within 0.001: a time constant of 1,000
    steps or more), or `undecided` (at a kink, whose sides do not agree, or without a finite
    Jacobian)."""
    kinks: Tensor
    """(P,): how many units are at a kink of the activation, where there are two Jacobians."""
    lost: Tensor
    """(C,): how many starts stayed above the tolerance; they are not among the points."""
    lost_q: Tensor
    """(C,): the smallest q of the lost starts, NaN where none was lost."""

    def __len__(self) -> int:
        return len(self.q)

    @property
    def speed(self) -> Tensor:
        """(P,): |F(x, u) - x|, how far a state moves in one step."""
        return (2 * self.q).sqrt()

    @property
    def unstable(self) -> Tensor:
        """(P,): in how many directions states move away."""
        return (self.multipliers.abs() > 1 + MARGIN).sum(-1)

    def time_constants(self, dt: float = 1.0) -> Tensor:
        """-dt / ln |multiplier|, (P, N), in the unit of dt.

        It is how long a deviation takes to fall to 1/e, and negative where the deviation grows.
        """
        return -dt / self.multipliers.abs().log()

    def frequencies(self, dt: float = 1.0) -> Tensor:
        """How many turns a deviation makes in one unit of time, (P, N); 0 where it does not."""
        return self.multipliers.angle().abs() / (2 * math.pi * dt)

    def directions(self, point: int) -> Tensor:
        """Unit vectors that span the directions in which states move away from a point, (k, N).

        There are none (k = 0) where the Jacobian of the point is not finite.
        """
        empty = self.states.new_zeros((0, self.states.shape[1]))
        if not self.jacobians[point].isfinite().all():
            return empty
        values, vectors = torch.linalg.eig(self.jacobians[point])
        chosen = (values.abs() > 1 + MARGIN) & (values.imag >= 0)
        order = values[chosen].abs().argsort(descending=True, stable=True)
        vectors, values = vectors[:, chosen][:, order].T, values[chosen][order]
        spanned = [
            part
            for value, vector in zip(values, vectors, strict=True)
            for part in ((vector.real, vector.imag) if value.imag else (vector.real,))
        ]
        return torch.stack([v / v.norm() for v in spanned]) if spanned else empty


def fixed_points(
    layer: CTRNNLayer,
    u: Tensor,
    states: Tensor,
    *,
    steps: int = 500,
    lr: float | None = None,
    tolerance: float = 1e-6,
    unique: float | None = None,
) -> FixedPoints:
    """Find states in which a layer stays while it reads the constant input u.

    From every given state q(x) = |F(x, u) - x|^2 / 2 is minimised, where F is one noiseless step
    of the layer (Sussillo & Barak 2013). States below the tolerance are kept: as fixed points
    where Newton's method finds one close by, and else as slow points, of which an imperfect line
    attractor has many. Points that are closer together than `unique` are merged.

    Neither the layer nor its gradients are changed, and no random number is drawn.

    Args:
        layer: the layer, as it is.
        u: its constant input, (I,), or (S, I) where starts have different inputs. Points of
            different inputs are never merged.
        states: where to start, (S, N): potentials in the formulation `current`, rates in others.
            States that the layer goes through in trials are good starts.
        steps: of the descent, at most.
        lr: how far the descent moves each unit's state in its first step. None: a tenth of the
            root mean square of the starts, and no less than 0.001.
        tolerance: the largest q of a point; q is of one step, so it shrinks with dt squared.
        unique: the least distance of two points. None: a thousandth of the typical norm of the
            starts, and no less than 0.0001. Newton's method may go ten times as far.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, no start, a layer of more
            than 4,096 units, settings that are not above 0.
    """
    move = Dynamics(layer)
    x, u = _checked(move, u, states)
    for name, value in {"steps": steps, "lr": lr, "tolerance": tolerance, "unique": unique}.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0; got {value!r}")
    norm = float(x.square().sum(-1).mean().sqrt())
    lr = lr or max(0.1 * norm / math.sqrt(move.size), 1e-3)
    unique = unique or max(1e-3 * norm, 1e-4)
    with torch.no_grad():
        x = descend(move, x, u, steps=steps, lr=lr, tolerance=tolerance)
        far = residual(move, x, u) > tolerance
        x[far] = newton(move, x[far], u[far], enough=tolerance)
        x = newton(move, x, u, radius=NEAR * unique)
        return _points(move, x, u, tolerance, unique)


def _points(move: Dynamics, x: Tensor, u: Tensor, tolerance: float, unique: float) -> FixedPoints:
    """The different points among the ends (S, N) of the search, and what is known of each."""
    inputs, condition = distinct(u)
    q = residual(move, x, u)
    lost = [q[(q > tolerance) & (condition == c)] for c in range(len(inputs))]
    ends = _with_farther_ones(move, x, u, q, condition, tolerance)
    chosen, starts = _different(ends, unique)
    x, u, q, condition, _ = (part[chosen] for part in ends)
    matrices, kinks, multipliers, stability = stability_of(move, x, u)
    return FixedPoints(
        states=x.cpu(),
        rates=move.rates(x).cpu(),
        inputs=inputs.cpu(),
        condition=condition.cpu(),
        q=q.cpu(),
        fixed=_is_fixed(x, q).cpu(),
        starts=starts.cpu(),
        jacobians=matrices.cpu(),
        multipliers=multipliers.cpu(),
        stability=stability,
        kinks=kinks.cpu(),
        lost=torch.tensor([len(part) for part in lost]),
        lost_q=torch.tensor(
            [min(part.tolist(), default=math.nan) for part in lost], dtype=torch.float64
        ),
    )


def jacobians(layer: CTRNNLayer, u: Tensor, states: Tensor) -> Tensor:
    """dF/dx of one noiseless step in each of the states (S, N), as (S, N, N) float64.

    u is (I,) or (S, I). Where an activation has a kink the derivative is the one that torch
    takes: for relu at 0 it is 0. Raises ValueError as `fixed_points` does.
    """
    move = Dynamics(layer)
    x, u = _checked(move, u, states)
    with torch.no_grad():
        return torch.cat([move.jacobians(x[s], u[s]) for s in move.parts(len(x))])


def _checked(move: Dynamics, u: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """The starts and an input for each, in float64 on the layer's device."""
    inputs, size = move.layer.input_dim, move.size
    if states.ndim != 2 or states.shape[1] != size or not len(states):
        raise ValueError(f"states must be (starts, {size}); got {tuple(states.shape)}")
    if u.shape not in ((inputs,), (len(states), inputs)):
        expected = f"({inputs},) or ({len(states)}, {inputs})"
        raise ValueError(f"u must be {expected}; got {tuple(u.shape)}")
    like = move.params.bias
    x, u = states.detach().to(like), u.detach().to(like)
    for name, given in (("states", x), ("u", u)):
        if not given.isfinite().all():
            raise ValueError(f"{name} must be finite")
    return x, u.expand(len(x), inputs)


def distinct(u: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of u, in the order of their first appearance, and which one each is."""
    rows = [tuple(row) for row in u.tolist()]
    places = {row: place for place, row in enumerate(dict.fromkeys(rows))}
    return u.new_tensor(list(places)), torch.tensor([places[row] for row in rows]).to(u.device)


def _is_fixed(x: Tensor, q: Tensor) -> Tensor:
    still: Tensor = (2 * q).sqrt() <= FIXED * (1 + x.norm(dim=-1))
    return still


# Ends of the search, a row each: their states, inputs, q, conditions, and starts.
Ends = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def _with_farther_ones(
    move: Dynamics, x: Tensor, u: Tensor, q: Tensor, condition: Tensor, tolerance: float
) -> Ends:
    """The ends below the tolerance, and the fixed points to which slow points lead in the end."""
    kept = q <= tolerance
    slow = kept & ~_is_fixed(x, q)
    farther = newton(move, x[slow], u[slow])
    q_farther = residual(move, farther, u[slow])
    fixed = _is_fixed(farther, q_farther)
    return (
        torch.cat([x[kept], farther[fixed]]),
        torch.cat([u[kept], u[slow][fixed]]),
        torch.cat([q[kept], q_farther[fixed]]),
        torch.cat([condition[kept], condition[slow][fixed]]),
        torch.cat([torch.ones_like(condition[kept]), torch.zeros_like(condition[slow][fixed])]),
    )


def _different(ends: Ends, unique: float) -> tuple[Tensor, Tensor]:
    """One of each group of points closer than `unique`, and how many starts are in its group.

    A group is represented by its best point: a fixed point, or else the slowest point.
    """
    x, _, q, condition, starts = ends
    fixed = _is_fixed(x, q)
    order = torch.where(fixed, 0.0, q).argsort(stable=True)
    groups: list[tuple[tuple[float, ...], int]] = []  # a sort key of each group, and its starts
    while len(order):
        best = int(order[0])
        near = (x[order] - x[best]).norm(dim=-1) < unique
        near &= condition[order] == condition[best]
        near[0] = True
        count = int(starts[order[near]].sum())
        slowness = 0.0 if fixed[best] else float(q[best])
        groups.append(((int(condition[best]), slowness, -count, best), count))
        order = order[~near]
    groups.sort()
    chosen = torch.tensor([int(key[-1]) for key, _ in groups], dtype=torch.long, device=x.device)
    counts = torch.tensor([count for _, count in groups], dtype=torch.long, device=x.device)
    return chosen, counts
