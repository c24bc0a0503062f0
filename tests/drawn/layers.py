"""Layers. A new type is a function here and a line in `LAYERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from drawn.connectomes import draw_connectome
from drawn.draft import Draft
from drawn.maps import map_keys, spectral_radius
from drawn.units import Units

ACTIVATIONS = ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]
TAUS = [10, 12.5, 20, 100]  # ms, none below dt
DT = 10
ALPHAS = [0.05, 0.2, 1]


def layer(draft: Draft, i: int) -> dict[str, Any]:
    """The layer of that number, which any layer before it may feed."""
    name = draft.rng.choice([f"l{i}", f"layer_{i}", f"no{i}", f"x{i}y"])
    said, reads = source(draft)
    kind = draft.rng.choices(list(LAYERS), [weight for weight, _ in LAYERS.values()])[0]
    if not i and kind == "dropout":
        kind = "linear"
    found = LAYERS[kind][1](draft, name, said, reads, draft.rng.randint(1, 6))
    draft.before = name
    return found


def source(draft: Draft) -> tuple[Any, Units]:
    """What `from` says, and the units that it means."""
    units = draft.known[draft.rng.choice(list(draft.known))]
    table = units.names is not None
    found = units.selections(areas=not table)
    if table and draft.maybe():
        # Columns mean the layer before, unless they say another.
        layer = {"layer": units.layer}
        found = [
            (layer | wanted if units.layer != draft.before or draft.maybe() else wanted, chosen)
            for wanted, chosen in [*units.by_columns(draft.rng), (layer, [*range(units.size)])]
        ]
        found = [(wanted, chosen) for wanted, chosen in found if wanted]
    said, chosen = draft.rng.choice(found)
    return said, units.part(chosen)


def dropout(draft: Draft, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
    # An area's name means the layer that has it, whatever passes its units on.
    draft.known[name] = replace(reads, layer=name)
    if reads.names is None:
        draft.known[name] = Units(name, reads.signs, ("",) * reads.size)
    return {"name": name, "type": "dropout", "from": source, "p": draft.rng.choice([0, 0.5])}


def linear(draft: Draft, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
    layer: dict[str, Any] = {"name": name, "type": "linear", "from": source}
    layer |= draft.some(input_dim=reads.size, activation=[activation(draft)])
    if reads.size > 1 and draft.maybe(0.25):
        drawn = draw_connectome(draft.rng, draft.next_path, reads.size, reads.names)
        layer |= {"connectome": drawn.words} | draft.some(output_dim=reads.size)
        gives = draft.known[name] = Units.of(name, drawn)
        return layer | map_keys(draft, name, reads, gives.size, gives, drawn)
    layer |= {"output_dim": size} | excitatory(draft)
    draft.known[name] = Units.like(name, size, layer.get("excitatory"))
    return layer | map_keys(draft, name, reads, size)


def excitatory(draft: Draft) -> dict[str, Any]:
    return draft.some(excitatory=[0, 0.5, 0.8, 1])


def activation(draft: Draft, n: float = 1.5) -> Any:
    kind = draft.rng.choice(ACTIVATIONS)
    return draft.rng.choice([kind, {"type": kind} | ({"n": n} if kind == "power" else {})])


def ctrnn(draft: Draft, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
    draft.recurrent = True
    layer: dict[str, Any] = {"name": name, "type": "ctrnn", "from": source}
    drawn = draw_connectome(draft.rng, draft.next_path) if draft.maybe(0.3) else None
    layer |= excitatory(draft) if drawn is None else {}
    layer |= draft.some(input_dim=reads.size, activation=[activation(draft, 1)])
    layer |= draft.some(formulation=["current", "rate", "update"])
    if drawn is not None:
        draft.known[name] = Units.of(name, drawn)
        layer |= {"connectome": drawn.words} | draft.some(size=len(drawn.names))
    elif draft.maybe(0.4):
        layer |= areas(draft, name, layer.get("excitatory"))
    else:
        layer["size"] = size
        draft.known[name] = Units.like(name, size, layer.get("excitatory"))
    gives = draft.known[name]
    one_alpha = time_constants(draft, layer, gives.size)
    layer |= draft.some(
        initial_state=["zero", per_unit(draft, [0, 0.5, -1], gives.size)],
        noise=[0.1, 0, noise(draft)],
        rate_noise=[0.1, {"sigma": 0.1}],
        input_noise=[0.1 if one_alpha else 0, noise(draft, one_alpha)],
    )
    if draft.maybe(0.7):
        layer["input"] = map_keys(draft, f"{name}.input", reads, gives.size, gives)
    else:
        draft.add_map(f"{name}.input", reads, gives.size, bias=True, signed=reads.signed)
    if draft.maybe(0.8):
        words = map_keys(draft, f"{name}.recurrent", gives, gives.size, gives, drawn)
        if drawn is None or not drawn.control:
            words |= spectral_radius(draft, words, drawn)
        layer["recurrent"] = words
    else:
        draft.add_map(f"{name}.recurrent", gives, gives.size, bias=True, signed=gives.signed)
    is_dense = layer.get("recurrent", {}).get("storage") == "dense"
    kernels = ["auto", "fused", "reference", *(["compiled"] if is_dense else [])]
    return layer | draft.some(kernel=kernels)


def areas(draft: Draft, name: str, share: float | None) -> dict[str, Any]:
    """One to three areas, and perhaps the size of them all; `share` is the layer's `excitatory`."""
    number = len(draft.known)
    areas: dict[str, Any] = {}
    units = Units(name, (), ())
    for area in [f"V{number}", f"area_{number}", f"aB{number}"][: draft.rng.randint(1, 3)]:
        areas[area] = {"size": draft.rng.randint(1, 3)} | excitatory(draft)
        own = areas[area].get("excitatory", share)
        units += Units.like(name, areas[area]["size"], own, area)
    draft.known[name] = units
    return {"areas": areas} | draft.some(size=units.size)


def time_constants(draft: Draft, layer: dict[str, Any], size: int) -> bool:
    """Give a layer or its areas time constants; returns whether all units share one for good."""
    learns = draft.maybe(0.3)
    areas = [area for area in layer.get("areas", {}).values() if draft.maybe()]
    for part, units in [(layer, size), *((area, area["size"]) for area in areas)]:
        key = draft.rng.choice(["tau", "alpha"])
        draft.dt |= key == "tau"
        value = part[key] = per_unit(
            draft, {"tau": TAUS, "alpha": ALPHAS}[key], units, learn=learns
        )
    if areas and len(areas) == len(layer["areas"]):
        layer.pop("tau", layer.pop("alpha", None))
    one = "value" in value if isinstance(value, dict) else isinstance(value, int | float)
    return one and not learns and not areas


def per_unit(draft: Draft, values: list[Any], size: int, learn: bool | None = None) -> Any:
    """One value, or one for each unit, in the spec or in a file."""
    learn = draft.maybe(0.3) if learn is None else learn
    drawn = [draft.rng.choice(values) for _ in range(size)]
    long = {"learn": learn} if learn or draft.maybe(0.3) else {}
    kind = draft.rng.randrange(4)
    if kind == 0:
        return draft.array(np.array(drawn)) | long
    if kind == 1:
        return {"values": drawn} | long if long else drawn
    if kind == 2 and not long:
        return draft.file(np.array(drawn))
    return {"value": drawn[0]} | long if long else drawn[0]


def noise(draft: Draft, one_alpha: bool = True) -> dict[str, Any]:
    found = {"sigma": 0.1} | draft.some(scaling=["euler_maruyama", "nn4n", "none"])
    return found if one_alpha else found | {"scaling": draft.rng.choice(["nn4n", "none"])}


# How often each type is drawn, and by what.
LAYERS: dict[str, tuple[int, Callable[[Draft, str, Any, Units, int], dict[str, Any]]]] = {
    "linear": (4, linear),
    "ctrnn": (3, ctrnn),
    "dropout": (1, dropout),
}
