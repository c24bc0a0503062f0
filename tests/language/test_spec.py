"""The keys of a whole spec: its name, its version, its device."""

from __future__ import annotations

from typing import Any

import pytest
from whole_spec import WHOLE, problems_of

from netbuild.language.spec import NetworkSpec, SpecFile


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("device", "cuda:1", None),
        ("device", "gpu", "did you mean `cuda`?"),
        ("device", "GPU:2", "did you mean `cuda:2`?"),
        ("device", "cdua", "did you mean `cuda`?"),
        ("device", "tpu", "did you mean `cpu`?"),
        ("device", "x", "one of `auto`, `cpu`, `cuda`, `cuda:0`"),
        ("name", "EI-decision_2.1", None),
        ("name", "my net", "write `my_net`"),
        ("name", "../net", "write `net`"),
        ("seed", 2**32 - 1, None),
        ("dt", 0.5, None),
    ],
)
def test_keys_of_the_whole(key: str, value: object, hint: str | None) -> None:
    found = problems_of(WHOLE | {key: value})
    assert [problem.hint for problem in found] == ([] if hint is None else [hint])


@pytest.mark.parametrize(("key", "value"), [("seed", -1), ("seed", 2**32), ("dt", 0), ("name", "")])
def test_values_out_of_range(key: str, value: object) -> None:
    assert [problem.path for problem in problems_of(WHOLE | {key: value})] == [key]


def test_a_file_has_two_keys_more_than_a_network() -> None:
    assert SpecFile.model_fields.keys() - NetworkSpec.model_fields.keys() == {"extends", "set"}


def test_defaults_are_right_without_validation() -> None:
    """Defaults are constructed unchecked; written out they are the same spec."""
    words: dict[str, Any] = {"netbuild": 1, "layers": WHOLE["layers"]}
    spec = NetworkSpec.model_validate(words)
    again = NetworkSpec.model_validate(spec.model_dump(by_alias=True, exclude_none=True))
    assert again.training == spec.training
    assert not spec.training.is_written
