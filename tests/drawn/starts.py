"""How weights and biases start."""

from __future__ import annotations

from typing import Any

import numpy as np

from drawn.draft import Draft

FAN: dict[str, Any] = {"gain": [0.5, 2]}
KAIMING: dict[str, Any] = {
    "a": [0.1, -0.5],
    "mode": ["fan_in", "fan_out"],
    "nonlinearity": ["linear", "relu", "leaky_relu", "tanh", "sigmoid"],
}
# The inits of both weights and biases, and those of weights alone, with their arguments.
INITS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "normal": {"mean": [0.5, -0.25], "std": [0.1, 1]},
    "trunc_normal": {"mean": [0.1, -0.1], "std": [0.5, 0.25]},
    "zero": {},
}
WEIGHT_INITS: dict[str, dict[str, Any]] = INITS | {
    "xavier_uniform": FAN,
    "xavier_normal": FAN,
    "kaiming_uniform": KAIMING,
    "kaiming_normal": KAIMING,
    "orthogonal": FAN,
    "identity": FAN,
}
RANGES = {"uniform": {"low": -0.5, "high": 0.25}, "trunc_normal": {"low": -0.75, "high": 1}}


def weight_start(draft: Draft, shape: tuple[int, int]) -> Any:
    values = draft.numbers().normal(size=shape)
    kind = draft.rng.randrange(9)
    if kind < 6:
        return init(draft, WEIGHT_INITS)
    return draft.matrix(values) | learn(draft) if kind < 8 else draft.rng.choice([0.25, -1])


def bias_start(draft: Draft, size: int) -> Any:
    values = [draft.rng.choice([0.0, 0.5, -1]) for _ in range(size)]
    kind = draft.rng.randrange(6)
    if kind < 2:
        return init(draft, INITS)
    if kind == 2:
        return draft.array(np.array(values)) | learn(draft)
    if kind == 3:
        return {"values": values} | learn(draft)
    return draft.rng.choice([None, 0.5, values, draft.file(np.array(values))])


def init(draft: Draft, kinds: dict[str, dict[str, Any]]) -> Any:
    """One of the inits, by its name or with some of its arguments."""
    kind = draft.rng.choice([*kinds, "constant"])
    if kind == "constant":
        return {"init": kind, "value": draft.rng.choice([0.1, -0.5])} | learn(draft)
    if draft.maybe(0.3):
        return kind
    found = {"init": kind, **draft.some(**kinds[kind]), **learn(draft)}
    return found | RANGES[kind] if kind in RANGES and draft.maybe() else found


def learn(draft: Draft) -> dict[str, Any]:
    return {"learn": draft.maybe()} if draft.maybe(0.3) else {}


def init_of(start: Any) -> Any:
    """The name of the init that a map's `weight` says, in either form; None where it has none."""
    return start.get("init") if isinstance(start, dict) else start


def without_zeros(words: dict[str, Any]) -> None:
    """Let no weight of `dale: abs` start at 0, where |w| has no gradient."""
    if "dale_init" in words:
        words["dale_init"] = "abs"
    weight = words.get("weight")
    if init_of(weight) == "zero":
        learn = weight.get("learn", True) if isinstance(weight, dict) else True
        words["weight"] = {"init": "normal", "learn": learn}


def without_whole(words: dict[str, Any]) -> None:
    """Replace the inits that take a whole matrix: orthogonal rows, and the identity."""
    if init_of(words.get("weight")) in ("orthogonal", "identity"):
        words["weight"] = "normal"


def all_learn_alike(draft: Draft, parts: list[dict[str, Any]]) -> None:
    """Let the weights of all projections of a map learn, or none; `parts` begins with the map."""
    learn = draft.maybe(0.8)
    if not learn:
        parts[0].setdefault("weight", "normal")
    for part in parts:
        weight = part.get("weight")
        if isinstance(weight, dict):
            weight.pop("learn", None)
        if weight is None or learn:
            continue
        short = {"init": "constant", "value": weight} if isinstance(weight, float | int) else {}
        long = {"init": weight} if isinstance(weight, str) else short or weight
        part["weight"] = long | {"learn": False}
