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
from netbuild.language.base import Model
from netbuild.language.check_maps import Matrix, Site, sure_value
from netbuild.language.context import LARGEST, SMALLEST, Context, fits
from netbuild.language.maps import Map, RecurrentMap
from netbuild.language.plan import MapPlan
from netbuild.language.storage import as_dense
from netbuild.wiring import Wiring, from_matrix
from netbuild.yamltree.nodes import Location

MOST_UNITS = 2000  # whose eigenvalues are computed here; of more only the wiring is looked at
DRAWS = 1000
LEAST_CHANCE = 0.021  # (1 - 0.021) ** 1000 < 1e-9
SAMPLES = 20  # patterns that are drawn before single cycles are looked for
MOST_STEPS = 200_000  # of that search


def check_radius(context: Context, site: Site, plan: MapPlan) -> MapPlan:
    """The plan, with how often its weights may be drawn until their spectral radius is not 0."""
    words = site.words
    if not isinstance(words, RecurrentMap) or words.spectral_radius is None:
        return plan
    if words.projections is not None and not plan.blocks:
        return plan  # some of them have problems of their own
    here = (*site.here, "spectral_radius")
    if not fits(context, here, words.spectral_radius):
        return plan
    if all(isinstance(part.weight, weights.Zero) for part, _, _ in _parts(words, plan)):
        what = "weights that start at 0 have no spectral radius"
        context.problem("NB308", here, what, "take it away, or another init: `weight: normal`")
        return plan
    if plan.wiring is not None and plan.input_dim > MOST_UNITS:
        return _check_large(context, here, words, plan, plan.wiring)
    whole = plan if plan.wiring is None else as_dense(plan)
    start, chance = _start_and_chance(words, whole)
    if not has_cycle(chance > 0):
        wired = whole.connected is None or has_cycle(whole.connected)
        _no_cycle(context, here, wired=wired)
    elif start is not None:
        _check_eigenvalues(context, here, start)
    elif (chance[chance > 0] < 1).any():
        graph = from_matrix(chance)
        return _drawn_again(context, here, plan, graph, graph.of(chance))
    return plan


def _check_large(
    context: Context, here: Location, words: Map, plan: MapPlan, wiring: Wiring
) -> MapPlan:
    """As above, of a map that is too large for its matrix."""
    from netbuild.connectomes.cycles import has_cycle as leads_back

    signs = plan.signs
    if signs is not None:
        signs = signs[wiring.sources] if signs.ndim == 1 else wiring.of(signs)
    known = _known(words, plan)
    if known is None:
        chance = _chance(words, signs, plan.input_dim, (len(wiring),))
    else:
        chance = (_signed(words, np.broadcast_to(known, len(wiring)), signs) != 0).astype(float)
    graph = wiring.keep(chance > 0)
    if not leads_back(graph):
        _no_cycle(context, here, wired=len(graph) < len(wiring) and leads_back(wiring))
    elif (chance[chance > 0] < 1).any():
        return _drawn_again(context, here, plan, graph, chance[chance > 0])
    return plan


def _no_cycle(context: Context, here: Location, *, wired: bool) -> None:
    which = "weights that do not start at 0" if wired else "connections"
    what = f"the {which} form no cycle, so that their spectral radius is 0"
    context.problem("NB308", here, what, "take it away, or connect the units in a circle")


def _check_eigenvalues(context: Context, here: Location, start: Matrix) -> None:
    """Whether known weights (post, pre) can be scaled, as a layer does it in float32."""
    if len(start) > MOST_UNITS or np.abs(start).max() > LARGEST:  # told where they are written
        return
    start = start.astype(np.float32).astype(np.float64)
    largest = np.abs(np.linalg.eigvals(start)).max()
    if not largest > 1e-6 * np.abs(start).max():
        what = "the spectral radius of these weights is 0"
        context.problem("NB308", here, what, "no factor changes that; take it away")
    elif largest < SMALLEST:
        what = f"the spectral radius of these weights, {largest:g}, is too near to 0 for float32"
        context.problem("NB308", here, what, "take it away, or give larger weights")


def _drawn_again(
    context: Context, here: Location, plan: MapPlan, graph: Wiring, chance: Matrix
) -> MapPlan:
    """The plan, with so many draws that one of them surely leaves a cycle; else a problem."""
    if _samples_have_cycle(graph, chance) or has_likely_cycle(graph, chance):
        return replace(plan, draws=DRAWS)
    what = "`dale_init: clamp` sets drawn weights of the wrong sign to 0, and hardly ever leaves"
    hint = "write `dale_init: abs`, or connect more units in circles"
    context.problem("NB308", here, f"{what} a cycle of them: their spectral radius is 0", hint)
    return plan


def _samples_have_cycle(graph: Wiring, chance: Matrix) -> bool:
    """Whether a cycle is left in one of a few patterns: many unlikely cycles make a likely one."""
    from netbuild.connectomes.cycles import has_cycle as leads_back

    rng = np.random.default_rng(0)
    patterns = (rng.random(len(chance)) < chance for _ in range(SAMPLES))
    return any(leads_back(graph.keep(pattern)) for pattern in patterns)


def _parts(words: Map, plan: MapPlan) -> Iterator[tuple[Map, MapPlan, tuple[Matrix, ...]]]:
    """The projections of a map, or itself, each with its place in (pre, post)."""
    for block in plan.blocks:
        yield block.words, block.plan, np.ix_(block.sources, block.targets)
    if not plan.blocks:
        yield words, plan, np.ix_(np.arange(plan.input_dim), np.arange(plan.output_dim))


def _start_and_chance(words: Map, plan: MapPlan) -> tuple[Matrix | None, Matrix]:
    """The effective weights at the start (post, pre), and how likely each is not 0 (pre, post).

    The weights are None where chance has a part in them.
    """
    shape = plan.input_dim, plan.output_dim
    start, chance, known = np.zeros(shape[::-1]), np.zeros(shape), True
    for part, part_plan, where in _parts(words, plan):
        found = _known_start(part, part_plan)
        if found is not None:
            start.T[where] = found.T
            chance[where] = found.T != 0
            continue
        known = False
        signs = part_plan.signs
        signs = signs[:, None] if signs is not None and signs.ndim == 1 else signs
        own = part_plan.input_dim, part_plan.output_dim
        kept = _chance(part, signs, part_plan.input_dim, own)
        chance[where] = kept if part_plan.connected is None else kept * part_plan.connected
    return start if known else None, chance


def _known_start(words: Map, plan: MapPlan) -> Matrix | None:
    """(post, pre): the effective weights at the start, where chance has no part in them."""
    known = _known(words, plan)
    if known is None:
        return None
    weight = np.broadcast_to(known, (plan.output_dim, plan.input_dim)).astype(np.float64)
    if plan.connected is not None:
        weight = np.where(plan.connected.T, weight, 0.0)
    if plan.signs is None or words.dale == "none":
        return weight
    signs = plan.signs if plan.signs.ndim == 1 else plan.signs.T
    signs = np.broadcast_to(signs, weight.shape).astype(np.float64)
    return _balanced(_signed(words, weight, signs), signs, words.ei_balance)


def _known(words: Map, plan: MapPlan) -> Matrix | None:
    """The weights before any constraint, (), (post, pre) or (connection,); None if drawn."""
    value = sure_value(words.weight)
    if value is not None:
        return np.array(value)
    if isinstance(words.weight, weights.Identity):
        return np.eye(plan.output_dim, plan.input_dim) * words.weight.gain
    return plan.weight


def _signed(words: Map, weight: Matrix, signs: Matrix | None) -> Matrix:
    """Known weights as their signs leave them: flipped, or set to 0 where they are wrong."""
    if signs is None or words.dale == "none":
        return weight
    given = isinstance(
        words.weight, (weights.WeightFile, weights.WeightValues, weights.ConnectomeCounts)
    )
    if words.dale == "abs" or (not given and words.dale_init == "abs"):
        flipped: Matrix = np.where(signs == 0, weight, np.abs(weight) * signs)
        return flipped
    clamped: Matrix = np.where(weight * signs < 0, 0.0, weight)
    return clamped


def _chance(words: Map, signs: Matrix | None, inputs: int, shape: tuple[int, ...]) -> Matrix:
    """How likely each weight of a drawn map is to be kept, not set to 0 for its sign."""
    if signs is None or words.dale == "none" or words.dale_init != "clamp":
        return np.ones(shape)
    above = chance_above_zero(words.weight, inputs)
    each: Matrix = np.where(signs > 0, above, np.where(signs < 0, 1 - above, 1.0))
    return np.broadcast_to(each, shape).copy()


def chance_above_zero(source: Model, inputs: int) -> float:
    """The probability that a weight of a drawing init is above 0."""
    if isinstance(source, weights.Uniform) and source.low is not None and source.high is not None:
        return min(max(source.high / (source.high - source.low), 0.0), 1.0)
    if not isinstance(source, (weights.Normal, weights.TruncNormal)):
        return 0.5  # all others are symmetric
    std = 1 / math.sqrt(inputs) if source.std is None else source.std
    if isinstance(source, weights.Normal):
        return _below(source.mean / std)
    low = source.mean - 2 * std if source.low is None else source.low
    high = source.mean + 2 * std if source.high is None else source.high
    if low >= 0 or high <= 0:
        return float(low >= 0)
    ends = [_below((end - source.mean) / std) for end in (low, 0.0, high)]
    return (ends[2] - ends[1]) / (ends[2] - ends[0])


def _below(value: float) -> float:
    """The distribution function of N(0, 1)."""
    return math.erfc(-value / math.sqrt(2)) / 2


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


def has_cycle(connected: Matrix) -> bool:
    """Whether a (pre, post) wiring leads from some unit back to itself."""
    left = np.ones(len(connected), dtype=bool)
    count = connected.sum(axis=0)  # presynaptic partners that are left
    while True:
        ends = left & (count == 0)
        if not ends.any():
            return bool(left.any())
        left &= ~ends
        count = count - connected[ends].sum(axis=0)


def has_likely_cycle(graph: Wiring, chance: Matrix) -> bool:
    """Whether the connections of some cycle are all kept with a probability of `LEAST_CHANCE`.

    `chance` (connection,), above 0, is how likely each is kept, whatever becomes of the others.
    """
    costs = -np.log(chance)  # so that chances multiply where costs add up
    steps = iter(range(MOST_STEPS))
    return any(_leads_back(graph, costs, unit, steps) for unit in range(graph.output_dim))


def _leads_back(graph: Wiring, costs: Matrix, unit: int, steps: Iterator[int]) -> bool:
    """Whether a path from a unit through later ones to itself costs little enough (Dijkstra).

    Where `steps`, of all units together, come to an end, the answer is yes: whether the weights
    have a cycle is then left to those who draw them.
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
