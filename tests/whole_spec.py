"""A spec in long form that has nearly every section, and the problems of one like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netbuild.errors import Problem, SpecError
from netbuild.language.dump import dump_yaml
from netbuild.language.parse import parse_document
from netbuild.yamltree.document import Document, parse

WHOLE: dict[str, Any] = {
    "netbuild": 1,
    "name": "whole",
    "seed": 3,
    "device": "cpu",
    "task": {
        "type": "arrays",
        "file": "x.npz",
        "inputs": {"array": "x", "subtract": 1.0, "divide": 2.0},
        "targets": {"array": "y"},
        "split": {"train": 0.8, "seed": 3},
    },
    "layers": [
        {
            "name": "a",
            "type": "linear",
            "input_dim": 4,
            "output_dim": 8,
            "weight": {"init": "normal", "std": 0.1, "mean": 0.0, "learn": True},
            "bias": {"values": [1.0] * 8, "learn": False},
            "sparsity_mask": {"generate": "random", "density": 0.5, "seed": 3},
            "ei_mask": {"excitatory": 0.8},
            "plasticity_mask": {"file": "p.npy", "rows": "post"},
            "activation": {"type": "power", "n": 2.0},
            "dale": "abs",
            "ei_balance": "row",
            "self_connections": True,
        },
        {"name": "b", "type": "dropout", "p": 0.5},
        {"name": "c", "type": "linear", "from": "a", "output_dim": 3, "excitatory": 0.5},
    ],
    "regularizers": [
        {"name": "r", "type": "L1", "params": ["a.weight"], "Lambda": 0.1, "reduction": "mean"},
        {"type": "DaleLawL2", "params": ["a.weight"], "alpha": 0.5},
    ],
    "training": {
        "steps": 5,
        "batch_size": 4,
        "loss": "mse",
        "optimizer": {
            "type": "SGD",
            "lr": 0.1,
            "momentum": 0.9,
            "schedule": {"type": "cosine", "warmup": 1, "min_factor": 0.1},
        },
        "evaluate": {"every": 2},
        "checkpoint": {"every": 2, "keep": 3},
        "stop_when": {"metric": "loss", "at_most": 0.1, "patience": 3},
        "clip_grad_norm": 1.0,
    },
}


def problems_of(data: object) -> list[Problem]:
    text = data if isinstance(data, str) else dump_yaml(data)  # type: ignore[arg-type]
    document = Document("spec.yaml", parse(text, "spec.yaml"), Path(), text)
    try:
        return list(parse_document(document, lambda reference, folder: folder).problems)
    except SpecError as error:
        return list(error.problems)
