"""Plans: what a layer is built from, and the widths that a run keeps of its environments."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import layer_of, plan_of

from netbuild.builder import LAYERS
from netbuild.language.ctrnn import CTRNN
from netbuild.language.layers import Linear
from netbuild.language.maps import InputMap, Map, RecurrentMap
from netbuild.language.plan import NeurogymPlan
from netbuild.layers import LinearLayer

TEXT = """dt: 10
layers:
- {name: a, type: linear, input_dim: 3, output_dim: 4, excitatory: 0.5}
- {name: h, type: ctrnn, size: 5, tau: 50, noise: 0.1, recurrent: {density: 0.4, seed: 3}}
- {name: d, type: dropout, p: 0.1}
"""
WIDTHS: dict[str, Any] = {"inputs": 3, "outputs": 2, "classes": True, "channels": {"go": [0, 2]}}


@pytest.mark.parametrize("section", [Map, InputMap, RecurrentMap, Linear])
def test_a_map_takes_every_key_that_no_check_uses(section: type[Map]) -> None:
    assert section.model_fields.keys() - section.checked <= taken_by(LinearLayer)


def test_a_recurrent_layer_takes_every_key_that_no_check_uses() -> None:
    assert CTRNN.model_fields.keys() - CTRNN.checked <= taken_by(LAYERS["ctrnn"])


def taken_by(kind: Any) -> set[str]:
    return set(inspect.signature(kind).parameters)


def test_a_key_that_a_layer_does_not_know_is_no_secret(tmp_path: Path) -> None:
    """As if a key had been added to the language, and not to the layer."""

    class Longer(Map):
        forgotten: int = 3

    found = layer_of(tmp_path, TEXT.partition("- {name: h")[0]).maps[""]
    object.__setattr__(found, "section", Longer.model_construct(**dict(found.section)))
    with pytest.raises(TypeError, match="forgotten"):
        LinearLayer(3, 4, **found.arguments())


def test_arguments_are_those_of_the_class(tmp_path: Path) -> None:
    plans = plan_of(tmp_path, TEXT).layers
    assert plans["d"].arguments == {"p": 0.1, "seed": 0, "name": "d"}
    assert plans["h"].arguments["noise"] == {"sigma": 0.1, "scaling": "euler_maruyama"}
    assert plans["h"].arguments["alpha"] == {"value": np.array(0.2), "learn": False}
    recurrent = plans["h"].maps["recurrent"].arguments()
    assert recurrent["sparsity_mask"].sum() == 10
    assert recurrent["storage"] == "dense"
    signs = plans["h"].maps["input"].arguments()["ei_mask"]
    assert signs.tolist() == [1, 1, -1, -1]  # of the units of `a`


def test_each_draw_has_a_stream_and_the_first_is_that_of_the_name(tmp_path: Path) -> None:
    maps = plan_of(tmp_path, TEXT).layers["h"].maps
    seeds = {maps[key].arguments(draw)["seed"] for key in maps for draw in (0, 1, 2)}
    assert len(seeds) == 6
    assert maps["input"].arguments()["seed"] == maps["input"].arguments(0)["seed"]


def test_widths_come_back_from_a_run() -> None:
    plan = NeurogymPlan.from_data(WIDTHS)
    assert plan.channels == {"go": (0, 2)}
    assert NeurogymPlan.from_data(plan.to_data()) == plan


@pytest.mark.parametrize(
    "change",
    [{"inputs": 0}, {"outputs": True}, {"inputs": 10**9}, {"channels": {"go": [3]}}],
)
def test_widths_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"widths|channel"):
        NeurogymPlan.from_data(WIDTHS | change)
