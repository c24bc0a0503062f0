"""The keys of regularizers: each kind has a class of the maths with the same name."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

import netbuild.regularization as maths
from netbuild.language.regularizers import ActivityRegularizer, Norm, RegularizerSpec

ADAPTER: TypeAdapter[Any] = TypeAdapter(RegularizerSpec)
MODELS = get_args(get_args(RegularizerSpec)[0])


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_is_a_class(model: Any) -> None:
    (name,) = get_args(model.model_fields["type"].annotation)
    assert hasattr(maths, name)


@pytest.mark.parametrize("model", MODELS)
def test_a_term_counts_once_unless_it_says_more(model: Any) -> None:
    assert model.model_fields["Lambda"].default == 1
    reads = "layers" if issubclass(model, ActivityRegularizer) else "params"
    assert model.model_fields[reads].is_required()


def test_only_matrix_norms_need_whole_matrices() -> None:
    words = {"type": "L1", "params": ["a.weight"]}
    assert ADAPTER.validate_python(words).needs_whole() == ""
    assert ADAPTER.validate_python(words | {"norm": "matrix"}).needs_whole() == "norm"
    for model in MODELS:
        assert ("norm" in model.model_fields) == issubclass(model, Norm)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "L1", "params": []},
        {"type": "L1", "params": ["a.weight"], "Lambda": -1.0},
        {"type": "Lp", "params": ["a.weight"], "p": 0.5},
        {"type": "DaleLawL2", "params": ["a.weight"], "alpha": 1.5},
        {"type": "FiringRateL1", "layers": ["a"], "params": ["a.weight"]},
    ],
)
def test_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)
