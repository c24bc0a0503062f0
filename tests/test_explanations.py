"""Every code is explained, and every example is what it claims to be."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import netbuild
from netbuild.errors import SpecError
from netbuild.explanations import EXPLANATIONS, FILES
from netbuild.language.design import load_experiment
from netbuild.language.points import points_of

PACKAGE = Path(netbuild.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "complex.npy", np.ones((2, 3), dtype=complex))
    return tmp_path


def codes_of(path: Path) -> set[str]:
    try:
        if path.is_file() and "\nexperiment:" in path.read_text() and "\nspec:" in path.read_text():
            return {warning.code for warning in points_of(load_experiment(path)).warnings}
        return {warning.code for warning in netbuild.load(path).warnings}
    except SpecError as error:
        return {problem.code for problem in error.problems}


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_the_wrong_example_is_wrong_in_this_way_and_the_right_one_is_right(
    code: str, folder: Path
) -> None:
    path = folder / "spec.yaml"
    wrong = EXPLANATIONS[code].wrong
    if wrong:
        path.write_text(wrong)
        assert code in codes_of(path)
    elif code == "NB001":
        assert codes_of(folder) == {code}  # it is about paths
    else:
        assert code in ("NB406", "NB1001")  # nothing is missing or another's where the tests run
    path.write_text(EXPLANATIONS[code].right)
    assert codes_of(path) == set()


def test_every_code_is_explained() -> None:
    used: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "explanations.py":
            used |= set(re.findall(r'"(NB\d{3,4})"', path.read_text()))
    assert used == set(EXPLANATIONS)


def test_codes_are_in_order() -> None:
    assert list(EXPLANATIONS) == sorted(EXPLANATIONS, key=lambda code: int(code[2:]))
