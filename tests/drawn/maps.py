"""What the spec says of a map: how it starts, its masks and signs, and its projections."""

from __future__ import annotations

from typing import Any

import numpy as np

from drawn.connectomes import Drawn
from drawn.draft import Draft
from drawn.starts import (
    all_learn_alike,
    bias_start,
    learn,
    weight_start,
    without_whole,
    without_zeros,
)
from drawn.units import Units

Words = dict[str, Any]
BALANCES = ["row", "global", "nn4n", "none"]


def map_keys(
    draft: Draft,
    name: str,
    reads: Units,
    size: int,
    gives: Units | None = None,
    wired: Drawn | None = None,
) -> Words:
    """The keys of a map to `size` units whose parameters are `NAME.weight` and `NAME.bias`.

    A map that says which units it reaches may consist of projections, or be a connectome's.
    """
    shape = (reads.size, size)
    sparse = draft.maybe(0.3)
    counts = ["connectome", {"init": "connectome"} | draft.some(scale=[0.1, 2]) | learn(draft)]
    starts = draft.rng.choice(counts) if wired and draft.maybe(0.6) else weight_start(draft, shape)
    found = draft.some(
        weight=[starts],
        bias=[bias_start(draft, size)],
        seed=[1, 2],
        dale=["project", "abs", "none"],
        dale_init=["abs", "clamp"],
    )
    if wired is None:
        found |= signs(draft, shape, reads) | masks(draft, shape)
    else:
        found |= draft.some(self_connections=False)
        if wired.words.get("learn", "weights") == "weights":
            found |= plasticity(draft, shape, reads, gives)
    if sparse:
        found["storage"] = "sparse"
        draft.sparse.add(f"{name}.weight")
        without_whole(found)
    else:
        found |= draft.some(storage=["auto", "dense"])
    own = wired is not None and wired.signs is not None
    signed = reads.signed or own or "ei_mask" in found
    draft.add_map(name, reads, size, bias=found.get("bias", "") is not None, signed=signed)
    if signed:
        found |= draft.some(ei_balance=BALANCES)
    if gives is not None and wired is None and draft.maybe(0.4):
        divide(draft, found, reads, gives)
    if signed and found.get("dale") == "abs":
        for part in (found, *found.get("projections", ())):
            without_zeros(part)
    return found


def signs(draft: Draft, shape: tuple[int, int], reads: Units) -> Words:
    """Sometimes an `ei_mask`, for units that have no signs."""
    if reads.signed or draft.maybe(0.7):
        return {}
    signs = [draft.rng.choice([1, -1, 0]) for _ in reads.signs]
    matrix = draft.matrix(draft.numbers().integers(-1, 2, shape))
    return {"ei_mask": draft.rng.choice([signs, {"units": signs}, {"excitatory": 0.5}, matrix])}


def masks(draft: Draft, shape: tuple[int, int], *, returns: bool = False) -> Words:
    """Sometimes masks; `returns` is whether the map leads back to the layer that it reads."""
    numbers = draft.numbers()
    masks: Words = {}
    if (returns or shape[0] == shape[1]) and draft.maybe():
        masks["self_connections"] = False
    kind = draft.rng.choice(["none", "density", "random", "indegree", "file", "counts"])
    if kind == "density":
        masks["density"] = draft.rng.choice([0, 0.3, 1])
    elif kind == "random":
        masks["sparsity_mask"] = {"generate": "random", "density": 0.5} | draft.some(seed=[1])
    elif kind == "indegree":
        connections = draft.rng.randint(0, shape[0] - 1)
        drawn = {"generate": "fixed_indegree", "connections": connections}
        masks["sparsity_mask"] = drawn | draft.some(seed=[1])
    elif kind == "file":
        masks["sparsity_mask"] = draft.matrix(numbers.integers(0, 2, shape))
    elif kind == "counts":
        threshold = {"threshold": draft.rng.choice([0, 2.5])}
        masks["sparsity_mask"] = draft.matrix(numbers.integers(0, 5, shape)) | threshold
    return masks | plasticity(draft, shape)


def plasticity(
    draft: Draft, shape: tuple[int, int], reads: Units | None = None, gives: Units | None = None
) -> Words:
    """Sometimes a mask of what learns."""
    if draft.maybe(0.7):
        return {}
    if reads is not None and gives is not None and draft.maybe():
        return between(draft, reads, gives)
    numbers = draft.numbers()
    drawn = {"generate": "random", "density": 0.5} | draft.some(seed=[1])
    matrix = draft.matrix(np.round(numbers.random(shape), 1))
    return {"plasticity_mask": draft.rng.choice([drawn, matrix])}


def between(draft: Draft, reads: Units, gives: Units) -> Words:
    """A mask by which connections from and to some neurons learn; none if there are no tables."""
    ends = {}
    for key, units in (("from", reads), ("to", gives)):
        if (found := units.by_columns(draft.rng)) and draft.maybe(0.7):
            ends[key] = found[0][0]
    return {"plasticity_mask": ends} if ends else {}


def spectral_radius(draft: Draft, words: Words, drawn: Drawn | None) -> Words:
    """Sometimes a spectral radius, where that of the initial weights is surely not 0.

    Of a connectome that is so where a neuron connects to itself; others may have no cycle left.
    """
    keys = {"sparsity_mask", "density", "projections", "self_connections", "ei_balance"}
    if drawn is not None and not any(i == j for i, j in drawn.pairs):
        return {}
    sure = words.get("weight", "normal") in ("normal", "uniform", "xavier_normal", "orthogonal")
    if keys & words.keys() or not sure or words.get("dale_init") == "clamp":
        return {}
    return draft.some(spectral_radius=[0.5, 1.5])


# projections


def divide(draft: Draft, words: Words, reads: Units, gives: Units) -> None:
    """Make a map consist of projections, without matrices of the whole of it."""
    for key in ("weight", "sparsity_mask", "plasticity_mask"):
        value = words.get(key)
        if isinstance(value, dict) and not {"init", "generate"} & value.keys():
            del words[key]
    if words.get("sparsity_mask", {}).get("generate") == "fixed_indegree":
        # The smallest projection may have fewer units than that.
        words["sparsity_mask"] = {"generate": "random", "density": 0.5}
    if reads.layer != gives.layer:
        words.pop("self_connections", None)
    taken = np.zeros((reads.size, gives.size), bool)
    projections = []
    for _ in range(draft.rng.randint(1, 4)):
        source, sources = draft.rng.choice(reads.selections() + reads.by_columns(draft.rng))
        target, targets = draft.rng.choice(gives.selections() + gives.by_columns(draft.rng))
        where = np.ix_(sources, targets)
        if taken[where].any():
            continue
        taken[where] = True
        block = projection(draft, reads.part(sources), gives.part(targets), words)
        projections.append({"from": source, "to": target} | block)
    words["projections"] = projections
    all_learn_alike(draft, [words, *projections])


def projection(draft: Draft, reads: Units, gives: Units, words: Words) -> Words:
    """The keys of a projection, below the `words` of its map."""
    shape = (reads.size, gives.size)
    starts = weight_start(draft, shape)
    found = draft.some(weight=[starts], seed=[1, 2], dale_init=["abs", "clamp"])
    if reads.signed or "ei_mask" in words:
        found |= draft.some(ei_balance=BALANCES)
    found |= masks(draft, shape, returns=reads.layer == gives.layer)
    if draft.maybe(0.3):
        found |= between(draft, reads, gives)
    if draft.maybe(0.1):
        found["self_connections"] = True
    return found
