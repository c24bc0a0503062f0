"""Environments are found by their registered names, and nothing else is ever imported."""

from __future__ import annotations

import sys
import warnings

import pytest

from netbuild.environments.registry import creator, environment_names, quietly, signature_of


@pytest.mark.parametrize("name", ["os:system", "os.system", "gymnasium:CartPole-v1", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="registers no environment"):
        creator(name)


def test_names_are_sorted_and_can_be_made() -> None:
    names = environment_names()
    assert names == sorted(set(names))
    assert creator(names[0]) is creator(names[0])


def test_arguments_are_those_of_the_class_itself() -> None:
    arguments = signature_of(creator("PerceptualDecisionMaking-v0"))
    assert {"dt", "timing", "sigma"} <= arguments.keys()
    assert "self" not in arguments


@pytest.mark.filterwarnings("error")
def test_only_the_warnings_of_gymnasium_are_silenced() -> None:
    with quietly():
        warnings.warn("\x1b[33mWARN: old ways", UserWarning, stacklevel=1)
        warnings.warn("WARN: old ways", UserWarning, stacklevel=1)
    with pytest.raises(RuntimeWarning, match="divided by zero"), quietly():
        warnings.warn("divided by zero", RuntimeWarning, stacklevel=1)


def test_neurogym_is_imported_late() -> None:
    assert "netbuild.environments.registry" in sys.modules
    source = sys.modules["netbuild.environments.registry"]
    assert not hasattr(source, "neurogym")
