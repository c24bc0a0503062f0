"""Dumping: what is written is read back as the same data, and reads well."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.errors import SpecError
from netbuild.language.dump import dump_yaml, inline, resolved
from netbuild.language.layers import Linear
from netbuild.language.spec import NetworkSpec
from netbuild.language.training import AdamW
from netbuild.yamltree.document import parse, parse_value
from netbuild.yamltree.nodes import plain

TRAPS = ["014", "1e-3", "no", "null", "~", "", "<<", "=", "true", ".nan", "1_000", "- a", "a: b"]
TEXT = st.one_of(st.sampled_from(TRAPS), st.text(st.characters(codec="utf-8"), max_size=20))
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**18) + 1, 10**18 - 1)
        | st.floats(allow_nan=False)
        | TEXT,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
        max_leaves=10,
    ),
    min_size=1,
    max_size=4,
)


@given(DATA)
def test_what_is_dumped_is_parsed_back(data: dict[str, Any]) -> None:
    assert plain(parse(dump_yaml(data), "x.yaml")) == data


@given(DATA)
def test_one_line_is_parsed_back(data: dict[str, Any]) -> None:
    text = inline(data)
    assert plain(parse_value(text, "x", 0)) == data


def test_numbers_keep_their_kind() -> None:
    data = {"a": 1, "b": 1.0, "c": 1e-05, "d": 1e300, "e": True, "f": -0.0, "g": math.inf}
    found = plain(parse(dump_yaml(data), "x.yaml"))
    assert found == data
    assert [type(value) for value in found.values()] == [type(value) for value in data.values()]
    assert math.isnan(plain(parse(dump_yaml({"a": math.nan}), "x.yaml"))["a"])


def test_what_python_holds_becomes_what_yaml_has() -> None:
    data = {
        "a": np.float32(0.5),
        "b": np.arange(4).reshape(2, 2),
        "c": (1, 2),
        "d": PurePosixPath("masks/a.npy"),
        "e": np.bool_(True),
        "f": [np.int64(3)],
    }
    expected = {"a": 0.5, "b": [[0, 1], [2, 3]], "c": [1, 2], "d": "masks/a.npy", "e": True}
    assert plain(parse(dump_yaml(data), "x.yaml")) == expected | {"f": [3]}


def circle() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["a"] = [data]
    return data


@pytest.mark.parametrize(
    ("data", "path", "what"),
    [
        ({"a": [{"b": object()}]}, "a[0].b", "Python `object`"),
        ({"a": {1: 2}}, "a", "Python `int`"),
        ({"a": {1, 2}}, "a", "Python `set`"),
        ({"a": b"x"}, "a", "Python `bytes`"),
        ({"a": 1j}, "a", "Python `complex`"),
        (circle(), "a[0].a[0]", "64 levels"),
    ],
)
def test_what_a_spec_cannot_hold_is_refused_at_its_path(data: Any, path: str, what: str) -> None:
    with pytest.raises(SpecError) as caught:
        dump_yaml(data)
    problem = caught.value.problems[0]
    assert problem.path.startswith(path)
    assert what in problem.what


def test_the_style_is_that_of_a_person() -> None:
    data = {
        "layers": [{"name": "a", "weight": {"init": "normal", "std": 1e-05}, "bias": None}],
        "units": [1, 0.5],
        "rows": [[1, 0], [0, 1]],
    }
    assert dump_yaml(data) == (
        "layers:\n- name: a\n  weight:\n    init: normal\n    std: 1e-05\n  bias: null\n"
        "units: [1, 0.5]\nrows: [[1, 0], [0, 1]]\n"
    )


def test_resolved_has_every_default_and_names_come_first() -> None:
    spec = NetworkSpec.model_validate(
        {
            "netbuild": 1,
            "layers": [{"output_dim": 3, "type": "linear", "name": "a", "bias": None}],
            "training": {"optimizer": {"type": "AdamW"}},
        }
    )
    data = resolved(spec)
    assert list(data)[:4] == ["netbuild", "name", "seed", "device"]
    layer = data["layers"][0]
    assert list(layer)[:2] == ["name", "type"]
    assert layer["bias"] is None  # the default is another
    assert layer["weight"] == {"init": "uniform", "learn": True}
    assert "input_dim" not in layer  # nothing was said
    assert set(layer) <= {info.alias or name for name, info in Linear.model_fields.items()}
    assert data["training"]["optimizer"]["weight_decay"] == AdamW(type="AdamW").weight_decay == 0.01
    assert NetworkSpec.model_validate(plain(parse(dump_yaml(data), "x"))) == spec
