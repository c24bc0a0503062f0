"""The spectral radius: which initial weights have one that is not 0, so that it can be scaled.

`dale_init: clamp` sets drawn weights of the wrong sign to 0, and may leave no cycle of them. The
builder then draws the weights again, from the next stream, at most `DRAWS` times. A spec is refused
unless some cycle remains in one draw with a probability of `LEAST_CHANCE`; that all draws fail then
has a probability below 1e-9.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from netbuild.language import weights
from netbuild.language.context import Here
from netbuild.language.maps import Map
from netbuild.language.plan import MapPlan, Matrix
from netbuild.language.values import LARGEST, SMALLEST
from netbuild.wiring import Connections, Wiring

MOST_UNITS = 2000  # the largest network whose eigenvalues are computed
DRAWS = 1000
LEAST_CHANCE = 0.021  # (1 - 0.021) ** 1000 < 1e-9
SAMPLES = 20  # patterns that are drawn before single cycles are looked for
MOST_STEPS = 200_000  # of the search for single cycles


def check_radius(plan: MapPlan) -> MapPlan:
    """The plan, with how often its weights may be drawn until their spectral radius is not 0."""
    section = plan.section
    if section.spectral_radius is None:
        return plan
    if section.projections is not None and not plan.blocks:
        return plan  # some of them have problems
    here = plan.here["spectral_radius"]
    if not here.fits(section.spectral_radius):
        return plan
    if all(isinstance(part.section.weight, weights.Zero) for part in plan.blocks or (plan,)):
        what = "weights that start at 0 have no spectral radius"
        here.problem("NB308", what, "remove it, or take another init: `weight: normal`")
        return plan
    connections = plan.connections
    if plan.blocks or plan.input_dim <= MOST_UNITS:
        connections = connections.as_dense()
    start, chance = _start_and_chance(plan, connections)
    graph, kept = connections.graph(chance > 0), connections.listed(chance)
    kept = kept[kept > 0]
    if not graph.has_cycle():
        wired = plan.connections.graph().has_cycle()
        which = "weights that do not start at 0" if wired else "connections"
        what = f"the {which} form no cycle, so that their spectral radius is 0"
        here.problem("NB308", what, "remove it, or connect the units in a circle")
    elif start is not None:
        if plan.input_dim <= MOST_UNITS:
            _check_eigenvalues(here, start)
    elif (kept < 1).any():
        return _drawn_again(here, plan, graph, kept)
    return plan


def _check_eigenvalues(here: Here, start: Matrix) -> None:
    """Whether known weights (post, pre) can be scaled, as a layer does it in float32."""
    if np.abs(start).max() > LARGEST:  # reported where they are written
        return
    start = start.astype(np.float32).astype(np.float64)
    largest = np.abs(np.linalg.eigvals(start)).max()
    if not largest > 1e-6 * np.abs(start).max():
        what = "the spectral radius of these weights is 0"
        here.problem("NB308", what, "no factor changes that; remove it")
    elif largest < SMALLEST:
        what = f"the spectral radius of these weights, {largest:g}, is too near to 0 for float32"
        here.problem("NB308", what, "remove it, or give larger weights")


def _drawn_again(here: Here, plan: MapPlan, graph: Wiring, chance: Matrix) -> MapPlan:
    """The plan, with so many draws that one of them surely leaves a cycle; else a problem."""
    if _samples_have_cycle(graph, chance) or has_likely_cycle(graph, chance):
        return replace(plan, draws=DRAWS)
    what = "`dale_init: clamp` sets drawn weights of the wrong sign to 0, and hardly ever leaves"
    hint = "write `dale_init: abs`, or connect more units in circles"
    here.problem("NB308", f"{what} a cycle of them: their spectral radius is 0", hint)
    return plan


def _samples_have_cycle(graph: Wiring, chance: Matrix) -> bool:
    """Whether a cycle is left in one of a few patterns: many unlikely cycles make a likely one."""
    rng = np.random.default_rng(0)
    patterns = (rng.random(len(chance)) < chance for _ in range(SAMPLES))
    return any(graph.keep(pattern).has_cycle() for pattern in patterns)


def _start_and_chance(plan: MapPlan, kept: Connections) -> tuple[Matrix | None, Matrix]:
    """The effective weights at the start, and how likely each is not 0, in the layout of `kept`.

    The weights are None where chance has a part in them. `kept` are the plan's own connections, or
    these as a matrix.
    """
    if not plan.blocks:
        return _part(plan, kept)
    start, chance, known = np.zeros(kept.shape), np.zeros(kept.shape), True
    for block in plan.blocks:
        found, chance[block.where] = _part(block, block.connections)
        if found is None:
            known = False
        else:
            start[block.where] = found
    return start if known else None, chance


def _part(plan: MapPlan, kept: Connections) -> tuple[Matrix | None, Matrix]:
    """As `_start_and_chance`, of a map without projections."""
    section = plan.section
    signs = None if plan.signs is None or section.dale == "none" else kept.of(plan.signs)
    known = _known(plan, kept)
    if known is None:
        return None, kept.masked(_chance(section, signs, plan.input_dim, kept.shape))
    weight = kept.masked(np.broadcast_to(known, kept.shape).astype(np.float64))
    if signs is not None:
        weight = _signed(section, weight, signs)
        # Balance sets no weight to 0, so it matters for eigenvalues alone.
        if plan.input_dim <= MOST_UNITS:
            weight = _balanced(weight, signs.astype(np.float64), section.ei_balance)
    return weight, (weight != 0).astype(np.float64)


def _known(plan: MapPlan, kept: Connections) -> Matrix | None:
    """The weights before any constraint, () or in the layout of `kept`; None if drawn."""
    source = plan.section.weight
    if (value := weights.sure_value(source)) is not None:
        return np.array(value)
    if isinstance(source, weights.Identity):
        return kept.of(np.eye(plan.output_dim, plan.input_dim) * source.gain)
    if plan.weight is None or kept.shape == plan.weight.shape:
        return plan.weight
    return plan.connections.whole(plan.weight)


def _signed(section: Map, weight: Matrix, signs: Matrix) -> Matrix:
    """Known weights as their signs leave them: flipped, or set to 0 where they are wrong."""
    given = isinstance(
        section.weight, (weights.WeightFile, weights.WeightValues, weights.ConnectomeCounts)
    )
    if section.dale == "abs" or (not given and section.dale_init == "abs"):
        flipped: Matrix = np.where(signs == 0, weight, np.abs(weight) * signs)
        return flipped
    clamped: Matrix = np.where(weight * signs < 0, 0.0, weight)
    return clamped


def _chance(section: Map, signs: Matrix | None, inputs: int, shape: tuple[int, ...]) -> Matrix:
    """The probability that each weight of a drawn map is kept, and not set to 0 for its sign."""
    if signs is None or section.dale_init != "clamp":
        return np.ones(shape)
    above = weights.chance_above_zero(section.weight, inputs)
    return np.where(signs > 0, above, np.where(signs < 0, 1 - above, 1.0))


def _balanced(weight: Matrix, signs: Matrix, kind: str) -> Matrix:
    """(post, pre) weights after `ei_balance`, up to one factor on all, as the layer has them."""
    if kind == "none":
        return weight
    axis = 1 if kind == "row" else None
    excitation = np.where(signs > 0, weight, 0.0).sum(axis, keepdims=True)
    inhibition = np.where(signs < 0, -weight, 0.0).sum(axis, keepdims=True)
    smaller = np.minimum(excitation, inhibition)
    own = np.where(signs > 0, excitation, inhibition)
    where = (signs != 0) & (smaller > 0)
    balanced: Matrix = weight * np.divide(smaller, own, out=np.ones_like(weight), where=where)
    return balanced


def has_likely_cycle(graph: Wiring, chance: Matrix) -> bool:
    """Whether the connections of some cycle are all kept with a probability of `LEAST_CHANCE`.

    `chance` (connection,), above 0: the probability that each is kept, independent of the others.
    """
    costs = -np.log(chance)  # so that chances multiply where costs add up
    steps = iter(range(MOST_STEPS))
    return any(_leads_back(graph, costs, unit, steps) for unit in range(graph.output_dim))


def _leads_back(graph: Wiring, costs: Matrix, unit: int, steps: Iterator[int]) -> bool:
    """Whether a path from a unit through later ones to itself costs little enough (Dijkstra).

    `steps` are shared by all units; where they come to an end, the answer is yes, and drawing the
    weights will tell.
    """
    most = -math.log(LEAST_CHANCE)
    seen: set[int] = set()
    ends = [(0.0, unit)]
    while ends:
        if next(steps, None) is None:
            return True
        cost, at = heapq.heappop(ends)
        if at in seen:
            continue
        seen.add(at)
        own = slice(graph.starts[at], graph.starts[at + 1])
        sources, total = graph.sources[own], cost + costs[own]
        near = (sources >= unit) & (total <= most)
        if (sources[near] == unit).any():
            return True
        for cost_there, source in zip(total[near].tolist(), sources[near].tolist(), strict=True):
            if source not in seen:
                heapq.heappush(ends, (cost_there, source))
    return False
