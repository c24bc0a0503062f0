"""Regularizers of whatever parameters and units the layers have."""

from __future__ import annotations

from typing import Any

import numpy as np

from drawn.draft import Draft
from drawn.units import Units


def regularizer(draft: Draft, i: int) -> dict[str, Any]:
    names = list(draft.shapes)
    weights = [name for name in names if name.endswith(".weight")]
    signed = [name for name in weights if name in draft.signed]
    free = [name for name in weights if name not in draft.signed]
    one = draft.rng.choice(weights)
    shape = draft.shapes[one]
    reference = draft.matrix(np.random.default_rng(i).normal(size=shape[::-1]))
    whole = [name for name in weights if name not in draft.sparse]
    keys = norm(draft, whole)
    params = draft.rng.choice(["*", one, ["*.weight"], [draft.rng.choice(names), "*.weight"]])
    kinds: list[dict[str, Any]] = [
        {"type": "L1", "params": params} | keys,
        {"type": "L2", "params": params} | keys,
        {"type": "Lp", "params": draft.rng.choice(names)} | draft.some(p=[1, 2]) | keys,
        {"type": "Lp", "params": draft.rng.choice(names), "p": 1.5} | draft.some(squared=True),
        {"type": "ExcRatioTargetRegularization"}
        | {"params": draft.rng.choice(["*.weight", one])}
        | draft.some(exc_target_ratio=[0.7]),
        {"type": "InhRatioTargetRegularization", "params": one}
        | draft.some(inh_target_ratio=[0.3]),
        {"type": "WeightsDistance", "params": one, "reference": reference}
        | draft.some(p=[1, 2])
        | keys,
    ]
    if keys.get("norm") == "matrix":
        last = kinds[-1:] if one in whole else []
        kinds = [kind | {"params": whole} for kind in kinds[:3]] + last
    if signed:
        kinds.append(dale(draft) | {"params": draft.rng.sample(signed, 1)})
    if free:
        drawn = {"inh_ratio": 0.2} | draft.some(rho=[0.5], inh_first=[True, False], seed=[3])
        kinds.append(dale(draft) | {"params": free, "reference": drawn})
    if one in free:
        kinds.append(dale(draft) | {"params": one, "reference": reference})
    kinds += [firing_rate(draft)] * 2
    found = draft.rng.choice(kinds) | draft.some(name=[f"r{i}"], Lambda=[0, 1e-3])
    if found.get("params") == one and found.get("norm") != "matrix":
        found |= ends(draft, one)
    return found


def ends(draft: Draft, weight: str) -> dict[str, Any]:
    """Sometimes only some connections of a weight are meant."""
    reads, gives = draft.reads[weight], draft.known[weight.partition(".")[0]]
    return draft.some(**{"from": wanted(draft, reads), "to": wanted(draft, gives)})


def wanted(draft: Draft, units: Units) -> list[Any]:
    """What a selection of these units may say."""
    return [said for said, _ in units.selections() + units.by_columns(draft.rng)]


def firing_rate(draft: Draft) -> dict[str, Any]:
    kind = draft.rng.choice(["FiringRateL1", "FiringRateL2", "FiringRateVariance"])
    names = [name for name in draft.known if name != "input"]
    layers: Any = draft.rng.sample(names, draft.rng.randint(1, len(names)))
    units = {}
    if draft.maybe():
        layers = layers[0]
        units = draft.some(units=wanted(draft, draft.known[layers]))
    return {"type": kind, "layers": layers} | units | draft.some(of=["sample", "unit_mean"])


def norm(draft: Draft, whole: list[str]) -> dict[str, Any]:
    if whole and draft.maybe(0.2):
        return {"norm": "matrix"} | draft.some(squared=[True, False], reduction=["sum"])
    entries = {"squared": [True, False], "reduction": ["sum", "mean"]}
    return draft.some(**entries, norm=["entrywise"])


def dale(draft: Draft) -> dict[str, Any]:
    kind = draft.rng.choice(["DaleLaw", "DaleLawL2", "DaleHinge"])
    own: dict[str, Any] = {"DaleLawL2": {"alpha": [0, 0.5]}, "DaleHinge": {"p": [1, 2]}}
    return {"type": kind} | draft.some(**own.get(kind, {}))
