"""What a check is given: places, files that are named relative to their own text, and problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netbuild.errors import DataFileError, SpecError
from netbuild.language import load
from netbuild.language.context import Context, Locator
from netbuild.language.parse import parse_document
from netbuild.language.weights import Normal
from netbuild.yamltree.document import Document, parse

TEXT = """netbuild: 1
layers:
- {name: a, type: linear, input_dim: 2, output_dim: 3, weight: {init: normal, std: 1.0}}
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    document = Document("spec.yaml", parse(TEXT, "spec.yaml"), tmp_path, TEXT)
    return Context(parse_document(document, Locator()), Locator())


def test_a_problem_is_noted_once_at_its_place(context: Context) -> None:
    here = context.at("layers", 0)["weight"]
    for _ in range(2):
        here.problem("NB308", "what\x1b[2J is wrong", "a hint")
    (found,) = context.problems
    assert (found.path, str(found.place)) == ("layers[a].weight", "spec.yaml:3:64")
    assert "\x1b" not in found.what
    here.problem("NB602", "a warning")
    assert [p.code for p in context.warnings] == ["NB602"]


def test_only_what_the_file_says_is_given(context: Context) -> None:
    assert context.at("layers", 0)["weight"].given
    assert not context.at("layers", 0)["bias"].given


def test_an_attempt_notes_what_is_wrong_with_a_file(context: Context) -> None:
    here = context.at("layers", 0, "weight")
    assert here.attempt(lambda: 3) == 3
    assert here.attempt(lambda: here.read("absent.npy", None)) is None
    assert [p.code for p in context.problems] == ["NB202"]
    with pytest.raises(DataFileError):
        here.locate("absent.npy")


@pytest.mark.parametrize(
    ("value", "fits"), [(0.0, True), (1.0, True), (-1e15, True), (1e16, False), (1e-16, False)]
)
def test_numbers_that_a_network_can_compute_with(
    context: Context, value: float, fits: bool
) -> None:
    section = Normal(init="normal", mean=value, std=abs(value))
    assert context.at("layers", 0, "weight").numbers_fit(section) == fits
    assert [p.path for p in context.problems] == (
        [] if fits else ["layers[a].weight.mean", "layers[a].weight.std"]
    )


def test_a_file_is_named_relative_to_the_text_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "pyproject.toml").touch()
    np.save(tmp_path / "base" / "w.npy", np.ones((2, 3)))
    (tmp_path / "base" / "base.yaml").write_text(TEXT.replace("{init: normal, std: 1.0}", "w.npy"))
    (tmp_path / "spec.yaml").write_text("extends: [base/base.yaml]\n")
    spec = load(tmp_path / "spec.yaml")
    (record,) = spec.files.values()
    assert Path(record.path) == (tmp_path / "base" / "w.npy").resolve()
    (tmp_path / "spec.yaml").write_text(
        "extends: [base/base.yaml]\nset: {'layers[a].weight': w.npy}\n"
    )
    with pytest.raises(SpecError, match=r"w\.npy"):
        load(tmp_path / "spec.yaml")
