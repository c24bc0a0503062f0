"""Regularizers: what they act on, what they are called, and their references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import plan_of, said_of

from netbuild.language import targets
from netbuild.language.plan import RegularizerPlan

LAYERS = """layers:
- {name: a, type: linear, input_dim: 2, output_dim: 3, excitatory: 0.7}
- {name: b, type: linear, output_dim: 2, bias: null}
- {name: d, type: dropout, p: 0.1}
- {name: ab, type: linear, from: a.inhibitory, output_dim: 2}
regularizers:
"""


def regularizers(folder: Path, *items: str, **arrays: Any) -> list[RegularizerPlan]:
    return plan_of(folder, LAYERS + "".join(f"- {item}\n" for item in items), **arrays).regularizers


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("a.weight", ["a.weight"]),
        ("'*'", ["a.weight", "a.bias", "b.weight", "ab.weight", "ab.bias"]),
        ("'*.bias'", ["a.bias", "ab.bias"]),
        ("a*.weight", ["a.weight", "ab.weight"]),
        ("'?.weight'", ["a.weight", "b.weight"]),
        ("'[!a]*'", ["b.weight"]),
        ("[ab.bias, '*.bias', a.weight]", ["a.weight", "a.bias", "ab.bias"]),
    ],
)
def test_parameters_by_name_and_pattern(tmp_path: Path, params: str, names: list[str]) -> None:
    [plan] = regularizers(tmp_path, f"{{type: L1, params: {params}}}")
    assert list(plan.params) == names


def test_names_are_given_or_made_and_always_different(tmp_path: Path) -> None:
    plans = regularizers(
        tmp_path,
        "{type: L1, params: '*'}",
        "{type: L1, params: '*', name: l1}",
        "{type: L1, params: '*'}",
        "{type: DaleLawL2, params: b.weight}",
        "{type: ExcRatioTargetRegularization, params: b.weight}",
    )
    assert [plan.name for plan in plans] == [
        *("l1_2", "l1", "l1_3", "dale_law_l2", "exc_ratio_target_regularization")
    ]


def references(plan: RegularizerPlan) -> list[Any]:
    assert plan.references is not None
    return [reference.tolist() for reference in plan.references]


def test_a_reference_defaults_to_the_signs_of_the_map(tmp_path: Path) -> None:
    [plan] = regularizers(tmp_path, "{type: DaleLaw, params: ['b.weight', 'ab.weight']}")
    assert references(plan) == [[[1, 1, -1], [1, 1, -1]], [[-1], [-1]]]


def test_references_lie_as_their_parameters(tmp_path: Path) -> None:
    reference = np.array([[1.5, -2, 0], [1, 2, 3]])  # (input_dim, output_dim) of `a`
    dale, distance, bias = regularizers(
        tmp_path,
        "{type: DaleHinge, params: a.weight, reference: r.npy}",
        "{type: WeightsDistance, params: a.weight, reference: {file: t.npy, rows: post}}",
        "{type: WeightsDistance, params: a.bias, reference: [[1, 2, 3]]}",
        r=reference,
        t=reference.T,
    )
    assert references(dale) == [np.sign(reference).T.tolist()]
    assert references(distance) == [reference.T.tolist()]
    assert references(bias) == [[1, 2, 3]]


def test_drawn_references_are_left_to_the_building(tmp_path: Path) -> None:
    [plan] = regularizers(tmp_path, "{type: DaleLaw, params: a.weight, reference: {inh_ratio: 1}}")
    assert plan.references is None


def test_parameters_are_not_judged_while_layers_have_problems(tmp_path: Path) -> None:
    text = LAYERS.replace("output_dim: 3", "output_dim: x") + "- {type: L1, params: a.weight}\n"
    assert [said[:5] for said in said_of(tmp_path, text)] == ["NB103"]


def test_one_reference_must_fit_all_parameters(tmp_path: Path) -> None:
    text = LAYERS + "- {type: WeightsDistance, params: '*.weight', reference: r.npy}\n"
    assert said_of(tmp_path, text, r=np.ones((2, 3))) == [
        "NB201 regularizers[0].reference: the matrix in r.npy is (2, 3);"
        " this map expects (input_dim=3, output_dim=2)"
    ]


def test_thousands_of_patterns_are_refused_before_they_take_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "MOST_COMPARED", 20_000)
    layers = "".join(f"- {{name: l{i}, type: linear, output_dim: 1}}\n" for i in range(1, 101))
    first = "layers:\n- {name: l0, type: linear, input_dim: 1, output_dim: 1}\n"
    head = f"{first}{layers}regularizers:\n"
    few = "".join(f"- {{type: L1, params: 'l{i}.*'}}\n" for i in range(90))
    assert len(plan_of(tmp_path, head + few).regularizers) == 90
    many = head + few + few.replace("l", "?").replace("?ayers", "layers")
    [said] = said_of(tmp_path, many)
    assert "NB901" in said
    assert "202 parameters" in said
