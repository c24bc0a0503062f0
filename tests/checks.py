"""Loading specs from text in tests of the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netbuild.errors import SpecError
from netbuild.language import Spec, load
from netbuild.language.plan import LayerPlan, MapPlan, Plan

HEAD = "netbuild: 1\n"


def spec_of(folder: Path, text: str, **arrays: Any) -> Spec:
    """The spec of a text, with arrays as `NAME.npy` beside it."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "spec.yaml").write_text(HEAD + text)
    return load(folder / "spec.yaml")


def plan_of(folder: Path, text: str, **arrays: Any) -> Plan:
    """What the checks find out of a spec."""
    return spec_of(folder, text, **arrays).plan


def layer_of(folder: Path, text: str, **arrays: Any) -> LayerPlan:
    """The last layer's plan."""
    return list(plan_of(folder, text, **arrays).layers.values())[-1]


def map_of(folder: Path, words: str, **arrays: Any) -> MapPlan:
    """The map of one layer of 2 to 3 units."""
    text = f"layers: [{{name: a, type: linear, input_dim: 2, output_dim: 3, {words}}}]\n"
    return layer_of(folder, text, **arrays).maps[""]


def connected(plan: MapPlan | None) -> Any:
    """(pre, post): the connections of a map, however they are kept."""
    assert plan is not None
    return plan.connections.whole().T


def said_of(folder: Path, text: str, **arrays: Any) -> list[str]:
    """What is wrong with a spec: code, path and words."""
    try:
        spec_of(folder, text, **arrays)
    except SpecError as error:
        return [f"{p.code} {p.path}: {p.what}" for p in error.problems]
    return []
