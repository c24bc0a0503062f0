"""Maps that consist of projections: each is checked as a separate map, then they are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netbuild.language import weights
from netbuild.language.context import Here
from netbuild.language.maps import Map, Projection, RecurrentMap, bias_of, check_map
from netbuild.language.masks import signs_of
from netbuild.language.plan import MapPlan, Site
from netbuild.language.storage import stored
from netbuild.language.units import Units, select, spelled
from netbuild.wiring import Connections

NORMAL = weights.Normal.model_construct(init="normal")
MATRICES = ("weight", "sparsity_mask", "plasticity_mask")  # keys that may hold one
Ends = tuple[Units, Units]  # the units that a projection reads, and those that it reaches


def check_projected(site: Site) -> MapPlan:
    """The plan of a map that may have projections."""
    signs = signs_of(site)
    projections: Sequence[Projection] | None = getattr(site.section, "projections", None)
    if projections is None:
        return check_map(site, signs)
    base = _inheritable(site)
    whole = MapPlan(
        **vars(site),
        connections=Connections(site.input_dim, site.output_dim),
        signs=signs,
        weight_learns=site.section.weight.learn,
    )
    ends = [_ends(site, k, projection) for k, projection in enumerate(projections)]
    if not _disjoint(site, ends):
        return whole  # before any array is made: many that are alike would take much memory
    blocks = [
        _block(replace(whole, section=base), k, projection, pair)
        for k, (projection, pair) in enumerate(zip(projections, ends, strict=True))
        if pair is not None
    ]
    if len(blocks) < len(projections):
        return whole  # which connections there are cannot be told
    _check_learning(site, blocks)
    return _laid(whole, blocks)


def _inheritable(site: Site) -> Map:
    """What projections inherit from their map; a problem for each key that they cannot."""
    section: Map = site.section
    nothing: dict[str, Any] = {"bias": None, "projections": None, "storage": "dense"}
    if isinstance(section, RecurrentMap):
        nothing["spectral_radius"] = None
    for key in MATRICES:
        if hasattr(getattr(section, key), "rows"):
            what = "a map with `projections` cannot have one matrix for all of its units"
            hint = "write a matrix into each projection, for the units of that projection"
            site.here[key].problem("NB308", what, hint, key=True)
            nothing[key] = NORMAL if key == "weight" else None
    if not section.self_connections and not site.is_recurrent:
        what = "this map reads other units than it reaches, so it cannot have self-connections"
        location = site.here["self_connections"]
        location.problem("NB308", what, "remove `self_connections`", key=True)
        nothing["self_connections"] = True
    return section.model_copy(update=nothing)


def _ends(site: Site, k: int, projection: Projection) -> Ends | None:
    """The units that a projection reads, and those that it reaches; None with a problem noted."""
    here = site.here["projections"][k]
    reads = select(here["from"], site.reads, projection.from_, "reads")
    gives = select(here["to"], site.gives, projection.to, "reaches")
    return None if reads is None or gives is None else (reads, gives)


def _disjoint(site: Site, ends: Sequence[Ends | None]) -> bool:
    """Whether no pair of units is in two projections; a problem names the first that has one."""
    taken = np.full((site.output_dim, site.input_dim), -1, dtype=np.int32)
    for k, pair in enumerate(ends):
        if pair is None:
            continue
        where = np.ix_(pair[1].at(site.gives), pair[0].at(site.reads))
        before = int(taken[where].max(initial=-1))
        if before >= 0:
            here = site.here["projections"][k]
            what = f"some of these pairs of units are in projections[{before}] too"
            here.problem("NB308", what, "a pair can be in one projection only")
            return False
        taken[where] = k
    return True


def _block(whole: MapPlan, k: int, projection: Projection, ends: Ends) -> MapPlan:
    """One projection, checked as a separate map; `whole.section` is what it inherits."""
    here: Here = whole.here["projections"][k]
    reads, gives = ends
    sources, targets, signs = reads.at(whole.reads), gives.at(whole.gives), whole.signs
    if signs is not None:
        signs = signs[sources] if signs.ndim == 1 else signs[np.ix_(targets, sources)]
    section = _inherited(whole.section, projection)
    if section.ei_balance != "none" and section.ei_mask is None and not reads.signed:
        if projection.ei_balance is not None:
            named = spelled(projection.from_)
            what = f"there are no signs to balance: the units of `{named}` have none"
            here["ei_balance"].problem("NB308", what, "remove it")
        section = section.model_copy(update={"ei_balance": "none"})
    name = f"{whole.name}/{spelled(projection.from_)}/{spelled(projection.to)}"
    plan = check_map(Site(here, name, section, reads, gives), signs)
    return replace(plan, where=np.ix_(targets, sources))


def _inherited(section: Map, projection: Projection) -> Map:
    """The map's section, with the keys that a projection changes."""
    said = {
        key: value for key, value in projection if key not in ("from_", "to") and value is not None
    }
    if "density" in said:
        said.setdefault("sparsity_mask", None)
    elif "sparsity_mask" in said:
        said["density"] = None
    return section.model_copy(update=said)


def _check_learning(site: Site, blocks: Sequence[MapPlan]) -> None:
    learns = [block.weight_learns for block in blocks]
    if len(set(learns)) > 1:
        k = learns.index(not site.section.weight.learn)  # which overrides the map's `learn`
        what = "some projections learn and some do not"
        hint = "a frozen projection has `plasticity_mask: {generate: random, density: 0}`"
        site.here["projections"][k]["weight"].problem("NB308", what, hint)


def _laid(whole: MapPlan, blocks: Sequence[MapPlan]) -> MapPlan:
    """The plan of a map with the arrays of its projections in their places."""
    shape = whole.output_dim, whole.input_dim
    matrix = np.zeros(shape, dtype=bool)
    plasticity = np.ones(shape, dtype=np.float32)
    for block in blocks:
        matrix[block.where] = block.connections.whole()
        if block.plasticity is not None:
            plasticity[block.where] = block.plasticity
    kept = stored(whole.section, Connections(whole.input_dim, whole.output_dim, matrix))
    plastic = any(block.plasticity is not None for block in blocks)
    return replace(
        whole,
        connections=kept,
        plasticity=kept.of(plasticity) if plastic else None,
        bias=bias_of(whole),
        blocks=tuple(blocks),
        weight_learns=blocks[0].weight_learns,
    )
