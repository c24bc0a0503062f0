"""The spectral radius: which weights have one that is not 0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netbuild.check.context import LARGEST, Context
from netbuild.check.maps import Matrix, Site
from netbuild.check.plan import MapPlan
from netbuild.masks import Wiring
from netbuild.spec import weights
from netbuild.spec.base import Model
from netbuild.spec.maps import Map, RecurrentMap
from netbuild.spec.nodes import Location

MOST_UNITS = 2000  # whose eigenvalues are computed here; of more only the wiring is looked at


def check_radius(context: Context, site: Site, plan: MapPlan) -> None:
    """A weight whose radius is 0 cannot be scaled to another."""
    words = site.words
    if not isinstance(words, RecurrentMap) or words.spectral_radius is None:
        return
    if words.projections is not None and not plan.blocks:
        return  # some of them have problems of their own
    here = (*site.here, "spectral_radius")
    if not fits(context, here, words.spectral_radius):
        return
    if plan.wiring is not None:
        _check_sparse(context, here, words, plan.wiring)
        return
    parts = list(_parts(words, plan))
    if all(isinstance(part.weight, weights.Zero) for part, _, _ in parts):
        what = "weights that start at 0 have no spectral radius"
        context.problem("NB308", here, what, "take it away, or another init: `weight: normal`")
        return
    start, pattern = np.zeros(site.shape[::-1]), np.zeros(site.shape, dtype=bool)
    known = True
    for part, part_plan, where in parts:
        found = _known_start(part, part_plan)
        pattern[where] = _pattern(part, part_plan) if found is None else found.T != 0
        known = known and found is not None
        start.T[where] = 0 if found is None else found.T
    if not has_cycle(pattern):
        wired = plan.connected is None or has_cycle(plan.connected)
        which = "weights that do not start at 0" if wired else "connections"
        what = f"the {which} form no cycle, so that their spectral radius is 0"
        context.problem("NB308", here, what, "take it away, or connect the units in a circle")
    elif known and len(start) <= MOST_UNITS:
        largest = np.abs(np.linalg.eigvals(start)).max()
        if not largest > 1e-6 * np.abs(start).max():
            what = "the spectral radius of these weights is 0"
            context.problem("NB308", here, what, "no factor changes that; take it away")


def _check_sparse(context: Context, here: Location, words: Map, wiring: Wiring) -> None:
    """As above, of a map that is too large for its matrix."""
    from netbuild.connectomes.cycles import has_cycle as leads_back

    if isinstance(words.weight, weights.Zero):
        what = "weights that start at 0 have no spectral radius"
        context.problem("NB308", here, what, "take it away, or another init: `weight: normal`")
    elif not leads_back(wiring):
        what = "the connections form no cycle, so that their spectral radius is 0"
        context.problem("NB308", here, what, "take it away, or connect the units in a circle")


def fits(context: Context, location: Location, value: float) -> bool:
    """Whether a network can compute with a number; a problem says so where it cannot."""
    if abs(value) <= LARGEST:
        return True
    what = f"{value:g} is beyond what a network computes with, in float32"
    context.problem("NB104", location, what, f"at most {LARGEST:g}")
    return False


def _parts(words: Map, plan: MapPlan) -> Iterator[tuple[Map, MapPlan, tuple[Matrix, ...]]]:
    """The projections of a map, or itself, each with its place in (pre, post)."""
    for block in plan.blocks:
        yield block.words, block.plan, np.ix_(block.sources, block.targets)
    if not plan.blocks:
        yield words, plan, np.ix_(np.arange(plan.input_dim), np.arange(plan.output_dim))


def _known_start(words: Map, plan: MapPlan) -> Matrix | None:
    """(post, pre): the effective weights at the start, where chance has no part in them."""
    drawn = _sure(words.weight, (plan.output_dim, plan.input_dim))
    weight = plan.weight if drawn is None else drawn
    if weight is None:
        return None
    weight = weight.astype(np.float64)
    if plan.connected is not None:
        weight = np.where(plan.connected.T, weight, 0.0)
    if plan.signs is None or words.dale == "none":
        return weight
    signs = plan.signs if plan.signs.ndim == 1 else plan.signs.T
    signs = np.broadcast_to(signs, weight.shape).astype(np.float64)
    if words.dale == "abs" or (drawn is not None and words.dale_init == "abs"):
        weight = np.where(signs == 0, weight, np.abs(weight) * signs)
    else:
        weight = np.where(weight * signs < 0, 0.0, weight)
    return _balanced(weight, signs, words.ei_balance)


def _sure(source: Model, shape: tuple[int, int]) -> Matrix | None:
    """(post, pre): the weights of an init that draws nothing."""
    if isinstance(source, weights.Zero):
        return np.zeros(shape)
    if isinstance(source, weights.Constant):
        return np.full(shape, source.value)
    if isinstance(source, weights.Normal) and source.std == 0:
        return np.full(shape, source.mean)
    return np.eye(*shape) * source.gain if isinstance(source, weights.Identity) else None


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


def _pattern(words: Map, plan: MapPlan) -> Matrix:
    """(pre, post): the weights that chance may make other than 0."""
    shape = plan.input_dim, plan.output_dim
    pattern: Matrix = np.ones(shape, dtype=bool)
    if plan.connected is not None:
        pattern = plan.connected
    if plan.signs is None or words.dale == "none" or words.dale_init != "clamp":
        return pattern
    signs = plan.signs[:, None] if plan.signs.ndim == 1 else plan.signs
    low, high = getattr(words.weight, "low", None), getattr(words.weight, "high", None)
    below, above = low is None or low < 0, high is None or high > 0
    kept: Matrix = (signs == 0) | ((signs > 0) & above) | ((signs < 0) & below)
    return pattern & kept


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
