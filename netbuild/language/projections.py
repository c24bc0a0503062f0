"""Maps that consist of projections: each is checked as a map of its own, then laid into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from netbuild.language import weights
from netbuild.language.check_maps import Matrix, Site, arrays_of, bias_of, check_map
from netbuild.language.check_selection import LAYER, Wanted, select, spelled
from netbuild.language.context import Context
from netbuild.language.maps import Map, Projection, RecurrentMap
from netbuild.language.named import Named
from netbuild.language.plan import BlockPlan, MapPlan
from netbuild.language.population import Population, area_meant
from netbuild.language.storage import stored
from netbuild.yamltree.nodes import Location, show

PARTS = {"excitatory": 1, "inhibitory": -1}
NORMAL = weights.Normal.model_construct(init="normal")


class Ends(NamedTuple):
    """The units that a projection reads and reaches, and where they stand in its map."""

    reads: Population
    reaches: Population
    sources: Matrix  # (input,)
    targets: Matrix  # (output,)


def check_projected(context: Context, site: Site) -> MapPlan:
    """The arrays of a map that may have projections."""
    words = site.words
    projections = getattr(words, "projections", None)
    if site.wired is not None:
        site = _without_wiring(context, site)
        projections = None
    if projections is None:
        return check_map(context, site)
    site = _without_matrices(context, site)
    whole = check_map(context, replace(site, words=_signs_only(site.words)))
    ends = [_ends(context, site, k, projection) for k, projection in enumerate(projections)]
    if not _disjoint(context, site, ends):
        return whole  # before any array is made: many that are alike would take much memory
    blocks = [
        _block(context, site, k, pair, whole.signs)
        for k, pair in enumerate(ends)
        if pair is not None
    ]
    if len(blocks) < len(projections):
        return whole  # which connections there are cannot be told
    _check_learning(context, site, blocks)
    connected = np.zeros(site.shape, dtype=bool)
    plasticity = np.ones(site.shape, dtype=np.float32)
    for block in blocks:
        where = np.ix_(block.sources, block.targets)
        connected[where] = True if block.plan.connected is None else block.plan.connected
        if block.plan.plasticity is not None:
            plasticity[where] = block.plan.plasticity
    plastic = any(block.plan.plasticity is not None for block in blocks)
    plan = replace(
        whole,
        connected=connected,
        plasticity=plasticity if plastic else None,
        bias=bias_of(context, site),
        blocks=tuple(blocks),
    )
    return stored(site.words, plan)


def _without_wiring(context: Context, site: Site) -> Site:
    """The words of a map without what says which connections exist, where a connectome does."""
    words = site.words
    for key in ("projections", "density", "sparsity_mask", "ei_mask"):
        if getattr(words, key, None) is not None:
            what = f"`connectome` says it already, and `{key}` too"
            context.problem("NB308", (*site.here, key), what, "take one away", key=True)
            words = words.model_copy(update={key: None})
    return replace(site, words=words)


def _without_matrices(context: Context, site: Site) -> Site:
    """The map without matrices of the whole of it, which do not go with projections."""
    words = site.words
    for key in ("weight", "sparsity_mask", "plasticity_mask"):
        if hasattr(getattr(words, key), "rows"):
            what = "a matrix of the whole map does not go with its projections"
            hint = "write it into the projections, each with the matrix of its own units"
            context.problem("NB308", (*site.here, key), what, hint, key=True)
            nothing = NORMAL if key == "weight" else None
            words = words.model_copy(update={key: nothing})
    if not words.self_connections and not site.returns:
        what = "this map leads to other units than it reads, and has no self-connections"
        context.problem(
            "NB308",
            (*site.here, "self_connections"),
            what,
            "take `self_connections` away",
            key=True,
        )
        words = words.model_copy(update={"self_connections": True})
    return replace(site, words=words)


def _signs_only(words: Map) -> Map:
    """The map without what its projections say."""
    nothing: dict[str, Any] = dict.fromkeys(("density", "sparsity_mask", "plasticity_mask"))
    plain = weights.Zero.model_construct(init="zero")
    nothing |= {"weight": plain, "self_connections": True, "dale": "project", "bias": None}
    nothing["storage"] = "dense"
    return words.model_copy(update=nothing)


def _ends(context: Context, site: Site, k: int, projection: Projection) -> Ends | None:
    """Whom a projection reads and reaches, or None with a problem noted."""
    here: Location = (*site.here, "projections", k)
    reads = selected(context, (*here, "from"), projection.from_, site.reads, "reads")
    reaches = selected(context, (*here, "to"), projection.to, site.reaches, "reaches")
    if reads is None or reaches is None:
        return None
    return Ends(reads, reaches, _positions(site.reads, reads), _positions(site.reaches, reaches))


def _block(context: Context, site: Site, k: int, ends: Ends, signs: Matrix | None) -> BlockPlan:
    here: Location = (*site.here, "projections", k)
    projection = site.words.projections[k]  # type: ignore[attr-defined]
    reads, reaches, sources, targets = ends
    if signs is not None:
        signs = signs[sources] if signs.ndim == 1 else signs[np.ix_(sources, targets)]
    words = _inherited(site.words, projection)
    if words.ei_balance != "none" and words.ei_mask is None and not reads.signed:
        if projection.ei_balance is not None:
            named = spelled(projection.from_)
            what = f"there are no signs to balance: the units of `{named}` have none"
            context.problem("NB308", (*here, "ei_balance"), what, "take it away")
        words = words.model_copy(update={"ei_balance": "none"})
    name = f"{site.name}/{spelled(projection.from_)}/{spelled(projection.to)}"
    plan = arrays_of(context, Site(here, name, words, reads, reaches), signs)
    return BlockPlan(name, words, plan, sources, targets)


def _inherited(words: Map, projection: Projection) -> Map:
    """The map's words as a projection changes them."""
    said = {
        key: getattr(projection, key)
        for key in Projection.model_fields
        if key not in ("from_", "to") and getattr(projection, key) is not None
    }
    if "density" in said:
        said.setdefault("sparsity_mask", None)
    elif "sparsity_mask" in said:
        said["density"] = None
    said |= {"bias": None, "projections": None, "storage": "dense"}
    if isinstance(words, RecurrentMap):
        said["spectral_radius"] = None
    return words.model_copy(update=said)


def selected(
    context: Context, location: Location, text: str | Wanted, whole: Population, verb: str
) -> Population | None:
    """The units that a map reads or reaches, and a projection names; None with a problem noted."""
    if not isinstance(text, str):
        if text.get(LAYER, whole.layer) != whole.layer:
            what = f"this map {verb} `{whole.layer}`"
            context.problem("NB302", (*location, LAYER), what, f"take `{LAYER}` away", key=True)
            return None
        return select(context, location, whole, text)
    name, dot, part = text.partition(".")
    known = [whole.layer, *whole.areas]
    if name not in known:
        what = f"`{show(name)}` is no area of `{whole.layer}`"
        if whole.layer == "input":
            what = f"no channel of the input is named `{show(name)}`"
        if name in (*context.layer_names, "input"):
            what = f"this map {verb} `{whole.layer}`, not `{name}`"
        hint = f"write `{whole.layer}.{name}`" if name in PARTS and whole.signed else ""
        context.problem("NB302", location, what, hint or context.near(name, known))
        return None
    chosen = whole if name == whole.layer else whole.part(area=name)
    if not dot:
        return chosen
    if part not in PARTS:
        hint = area_meant(text, whole.areas)
        hint = hint or context.near(text, [f"{name}.{part}" for part in PARTS])
        context.problem("NB302", location, f"`{show(text)}` names no units", hint)
        return None
    if not chosen.signed:
        what = f"the units of `{name}` have no signs"
        hint = "" if whole.layer == "input" else "give it `excitatory`, e.g. `excitatory: 0.8`"
        hint = "give its node table a column of signs" if isinstance(whole, Named) else hint
        context.problem("NB302", location, what, hint)
        return None
    part_of = chosen.part(sign=PARTS[part])
    if not part_of.size:
        context.problem("NB302", location, f"`{name}` has no {part} units", "all have other signs")
        return None
    return part_of


def _positions(whole: Population, chosen: Population) -> Matrix:
    """(unit,): where the chosen units stand among those of `whole`, whose order they keep."""
    return np.searchsorted(whole.indices, chosen.indices)


def _disjoint(context: Context, site: Site, ends: Sequence[Ends | None]) -> bool:
    """Whether no pair of units is in two projections; a problem names the first that has one."""
    taken = np.full(site.shape, -1, dtype=np.int32)
    for k, pair in enumerate(ends):
        if pair is None:
            continue
        where = np.ix_(pair.sources, pair.targets)
        before = taken[where]
        if (before >= 0).any():
            here = (*site.here, "projections", k)
            what = f"some of these pairs of units are in projections[{int(before.max())}] too"
            context.problem("NB308", here, what, "a pair can be in one projection only")
            return False
        taken[where] = k
    return True


def _check_learning(context: Context, site: Site, blocks: Iterable[BlockPlan]) -> None:
    learns = [block.words.weight.learn for block in blocks]
    if len(set(learns)) > 1:
        k = learns.index(not site.words.weight.learn)  # so it is one that says so itself
        what = "some projections learn and some do not"
        hint = "a frozen projection has `plasticity_mask: {generate: random, density: 0}`"
        context.problem("NB308", (*site.here, "projections", k, "weight"), what, hint)
