"""Networks whose parts hardly ever meet; what a check accepts of them must build."""

from __future__ import annotations

import random
from typing import Any

from drawn.starts import RANGES

# Numbers at the ends of what a network computes with, beyond them, and between.
ENDS = [0.0, 1e-40, 1e-15, 1e-6, 0.3, 1.0, 1e6, 1e15, 1e39]
SIGNED_ENDS = [*ENDS, *(-end for end in ENDS[1:])]
NORMAL: dict[str, list[float]] = {"mean": SIGNED_ENDS, "std": ENDS}
GAIN: dict[str, list[float]] = {"gain": ENDS}
SLOPE: dict[str, list[float]] = {"a": SIGNED_ENDS}
BIAS_INITS: dict[str, dict[str, list[float]]] = {
    "uniform": {},
    "normal": NORMAL,
    "trunc_normal": NORMAL,
    "constant": {"value": SIGNED_ENDS},
}
WEIGHT_INITS = BIAS_INITS | {
    "zero": {},
    "xavier_uniform": GAIN,
    "xavier_normal": GAIN,
    "kaiming_uniform": SLOPE,
    "kaiming_normal": SLOPE,
    "orthogonal": GAIN,
    "identity": GAIN,
}
SPREADS = [(0, 0.3), (-0.3, -0.1), (-1e-3, 1.0), (-1e15, 1e15), (0.1, 0.10000001)]


def draw_bold(seed: int) -> dict[str, Any]:
    """A network of one or two layers with a recurrent map or one between two layers.

    The map has any init, with numbers at the ends of their range, under any signs, in either
    storage, and perhaps with a spectral radius.
    """
    rng = random.Random(seed)
    size = rng.choice([1, 2, 3, 3, 6])
    words: dict[str, Any] = {"weight": init(rng, WEIGHT_INITS)}
    if rng.random() < 0.3:
        matrix = [[rng.choice([0, 0.5, -1, 1e-40, 1e15]) for _ in range(size)] for _ in range(size)]
        words["weight"] = {"values": matrix, "rows": "pre"}
    words |= constraints(rng, size)
    if rng.random() < 0.5:
        words["bias"] = init(rng, BIAS_INITS)
    signs = {"excitatory": rng.choice([0, 0.5, 1])} if rng.random() < 0.6 else {}
    if not signs and rng.random() < 0.5:
        words["ei_mask"] = [rng.choice([1, -1, 0]) for _ in range(size)]
    layer: dict[str, Any] = {"name": "h", "input_dim": 2, **signs}
    if rng.random() < 0.3:
        last = {"name": "out", "type": "linear", "output_dim": size, **words}
        layers = [layer | {"type": "linear", "output_dim": size}, last]
    else:
        if rng.random() < 0.6:
            words["spectral_radius"] = rng.choice([0.5, 0.5, *ENDS[1:]])
        layer |= {"type": "ctrnn", "size": size, "alpha": rng.choice([0.5, 1, 1e-15, 1e-40])}
        if rng.random() < 0.2:
            layer["noise"] = rng.choice(ENDS)
        layers = [layer | {"recurrent": words}]
    return {"netbuild": 1, "seed": rng.choice([0, 1, 2]), "layers": layers}


def init(rng: random.Random, kinds: dict[str, dict[str, list[float]]]) -> Any:
    kind = rng.choice(list(kinds))
    found: dict[str, Any] = {"init": kind}
    for key, values in kinds[kind].items():
        if kind == "constant" or rng.random() < 0.5:
            found[key] = rng.choice(values)
    if kind in RANGES and rng.random() < 0.5:
        found["low"], found["high"] = rng.choice(SPREADS)
    return found | ({"learn": False} if rng.random() < 0.1 else {})


def constraints(rng: random.Random, size: int) -> dict[str, Any]:
    keys: dict[str, list[Any]] = {
        "dale": ["project", "abs", "none"],
        "dale_init": ["abs", "clamp"],
        "ei_balance": ["row", "global", "nn4n"],
        "storage": ["dense", "sparse"],
        "self_connections": [False],
    }
    found = {key: rng.choice(values) for key, values in keys.items() if rng.random() < 0.5}
    kind = rng.randrange(4)
    if kind == 0:
        found["density"] = rng.choice([0, 0.3, 0.7, 1])
    elif kind == 1:
        mask = [[rng.randint(0, 1) for _ in range(size)] for _ in range(size)]
        found["sparsity_mask"] = {"values": mask, "rows": "pre"}
    return found
