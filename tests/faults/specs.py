"""Two small trainings with everything in them that an interruption could upset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 61  # so that there are 60 after which something is left to do
EVERY = 10  # steps between checkpoints
# Three checkpoints, as soon as can be, for cases of which there are many.
SHORT: dict[str, Any] = {"steps": 18, "log_every": 6, "checkpoint": {"every": 6, "keep": 2}}

# The layers behind the hidden one.
AFTER: list[dict[str, Any]] = [
    {"name": "drop", "type": "dropout", "p": 0.2},
    {
        "name": "readout",
        "type": "linear",
        "output_dim": 3,
        "plasticity_mask": {"file": "plastic.npy", "rows": "pre"},
    },
]

LINEAR: dict[str, Any] = {
    "layers": [
        {
            "name": "hidden",
            "type": "linear",
            "output_dim": 8,
            "excitatory": 0.75,
            "activation": "relu",
            "sparsity_mask": {"file": "wiring.npy", "rows": "pre"},
        },
        *AFTER,
    ],
    "regularizers": [
        {"name": "dale", "type": "DaleLawL2", "params": "readout.weight", "Lambda": 1e-3},
        {"name": "sparse", "type": "L1", "params": "*.weight", "Lambda": 1e-4},
    ],
    "training": {"optimizer": {"type": "Adam", "lr": 0.01, "schedule": "cosine"}},
}

CTRNN: dict[str, Any] = {
    "dt": 20,
    "layers": [
        {
            "name": "hidden",
            "type": "ctrnn",
            "size": 8,
            "excitatory": 0.75,
            "tau": {"value": 100, "learn": True},
            "noise": {"sigma": 0.2},
            "recurrent": {
                "weight": "normal",
                "sparsity_mask": {"file": "wiring.npy", "rows": "pre"},
            },
        },
        *AFTER,
    ],
    "regularizers": [
        {"name": "rates", "type": "FiringRateL2", "layers": "hidden", "Lambda": 1e-3},
        {"name": "dale", "type": "DaleLawL2", "params": "hidden.recurrent.weight"},
    ],
    "training": {
        "optimizer": {
            "type": "Adam",
            "lr": 0.01,
            "schedule": {"type": "exponential", "factor": 0.99},
        }
    },
}

# In place of Adam, where two optimizers are to be had.
MOMENTUM: dict[str, Any] = {"type": "SGD", "lr": 0.05, "momentum": 0.9, "schedule": "cosine"}

KINDS = {"linear": LINEAR, "ctrnn": CTRNN}


def write_spec(folder: Path, kind: str, **training: Any) -> Path:
    """Write one of the trainings with its data; returns the path of its spec.

    Adam, shuffling, dropout, noise in "ctrnn", a schedule, regularizers, signs, absent and frozen
    connections, plasticity between 0 and 1, clipped gradients, evaluations and checkpoints between
    steps.
    """
    rng = np.random.default_rng(11)
    folder.mkdir(parents=True, exist_ok=True)
    shape = (40, 6) if kind == "linear" else (40, 4, 6)
    x = rng.normal(size=shape).astype(np.float32)
    y = rng.integers(0, 3, size=shape[:-1])
    x += np.eye(3, 6, dtype=np.float32)[y] * 2
    np.savez(folder / "data.npz", x=x, y=y)
    read = 6 if kind == "linear" else 8
    wiring = rng.random((read, 8)) < 0.6
    wiring[np.arange(read), np.arange(read)] = True
    np.save(folder / "wiring.npy", wiring.astype(np.int8))
    np.save(folder / "plastic.npy", rng.choice([0.0, 0.3, 1.0], size=(8, 3)))
    common = {
        "steps": STEPS,
        "batch_size": 6,
        "threads": 1,
        "log_every": 1,
        "clip_grad_norm": 1.0,
        "evaluate": {"every": 7},
        "checkpoint": {"every": EVERY, "keep": 2},
    }
    spec = {
        "netbuild": 1,
        "name": kind,
        "seed": 5,
        "task": {"type": "arrays", "file": "data.npz", "inputs": "x", "targets": "y"},
        **KINDS[kind],
        "training": common | KINDS[kind]["training"] | training,
    }
    path = folder / f"{kind}.yaml"
    path.write_text(json.dumps(spec, indent=1))
    return path
