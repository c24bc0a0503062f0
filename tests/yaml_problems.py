"""Problems of YAML, for the tests of its parser."""

from __future__ import annotations

import pytest

from netbuild.errors import SpecError
from netbuild.yamltree.document import parse


def problem_of(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, "x.yaml")
    assert len(caught.value.problems) == 1
    problem = caught.value.problems[0]
    return f"{problem.place} {problem.code} {problem.what}"
