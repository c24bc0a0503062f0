"""Whole specs that are right: every key of the language, in small sizes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from drawn.draft import Draft
from drawn.layers import DT, layer, linear
from drawn.regularizers import regularizer
from drawn.training import select, task, training
from drawn.units import Units
from netbuild.language.dump import dump_yaml


def draw_spec(seed: int, folder: Path) -> dict[str, Any]:
    """A right spec whose data and mask files are written into `folder`."""
    draft = Draft(random.Random(seed), folder, f"d{seed}")
    rng = draft.rng
    loss = rng.choice(["cross_entropy", "mse"])
    inputs = rng.randint(1, 5)
    units = draft.known["input"] = Units.like("input", inputs)
    layers = [layer(draft, i) for i in range(rng.randint(1, 4))]
    if layers[-1]["type"] == "dropout":
        layers.append(linear(draft, f"l{len(layers)}", "input", units, rng.randint(1, 6)))
    last = layers[-1]
    spec: dict[str, Any] = {"netbuild": 1}
    spec["task"] = task(draft, inputs, draft.known[last["name"]].size, loss)
    spec["layers"] = layers
    let_learn(last)
    if draft.dt or draft.maybe(0.1):
        spec["dt"] = DT
    spec |= draft.some(name=["net", "A.b-c_1"], seed=[0, 7, 2**32 - 1], device=["cpu", "auto"])
    if regularizers := [regularizer(draft, i) for i in range(rng.randint(0, 4))]:
        spec["regularizers"] = regularizers
    spec["training"] = training(draft, loss)
    select(spec, seed)
    if draft.maybe(0.1):
        map_ = {"ctrnn": ".input"}.get(last["type"], "")
        spec["set"] = {"seed": 5, f"layers[{last['name']}]{map_}.seed": 6}
    return extending(draft, spec) if draft.maybe(0.1) else spec


def let_learn(layer: dict[str, Any]) -> None:
    """Let the weights of the last layer learn, so that something does."""
    for key in ("learn", "types"):
        layer.get("connectome", {}).pop(key, None)
    words = layer.get("input", {})
    for holder in (layer, words, *words.get("projections", ())):
        if isinstance(holder.get("weight"), dict):
            holder["weight"].pop("learn", None)


def extending(draft: Draft, spec: dict[str, Any]) -> dict[str, Any]:
    """The same spec, with a part of it in a file that it builds on."""
    base = {key: spec.pop(key) for key in ("task", "training")}
    name = f"{draft.prefix}-base.yaml"
    (draft.folder / name).write_text(dump_yaml(base))
    return {"extends": draft.rng.choice([name, [name]])} | spec
