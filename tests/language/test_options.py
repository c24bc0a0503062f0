"""The options of a back end: what a file may say, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbuild.errors import Exit, SpecError
from netbuild.experiments.backend import BACKENDS
from netbuild.language.backends import LocalOptions, RayOptions, options_from
from netbuild.language.grammar import BACKEND
from netbuild.language.options import load_options


def test_a_file_names_a_back_end_and_its_options(tmp_path: Path) -> None:
    (tmp_path / "on.yaml").write_text("backend: ray\nnum_gpus: 0.5\nresources: {a100: 1}\n")
    assert load_options(tmp_path / "on.yaml") == RayOptions(
        backend="ray", num_gpus=0.5, resources={"a100": 1}
    )
    assert options_from({"backend": "local"}) == LocalOptions(backend="local")


def test_every_back_end_has_options() -> None:
    assert BACKEND.choice is not None
    assert set(BACKEND.choice.by_value) == set(BACKENDS)


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        (
            "backend: ry\n",
            "on.yaml:1:10: error[NB105] backend: `ry` is not a known `backend`",
            "did you mean `ray`?",
        ),
        (
            "backend: ray\nnum_cpu: 2\n",
            "on.yaml:2:1: error[NB101] num_cpu: unknown key `num_cpu`",
            "did you mean `num_cpus`?",
        ),
        (
            "workers: 2\n",
            "on.yaml:1:1: error[NB102] the key `backend` is missing",
            "write `backend: ray`",
        ),
        (
            "backend: local\nworkers: 0\n",
            "on.yaml:2:10: error[NB104] workers: must be at least 1, found `0`",
            "",
        ),
        (
            "backend: ray\nresources: {a100: many}\n",
            "on.yaml:2:19: error[NB103] resources.a100: expected a number, found the text `many`",
            "",
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(
    text: str, line: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("on.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_options("on.yaml")
    assert str(caught.value) == line
    assert caught.value.exit_code == Exit.SPEC
    assert [problem.hint for problem in caught.value.problems] == [hint]


def test_problems_are_told_in_file_order(tmp_path: Path) -> None:
    (tmp_path / "on.yaml").write_text("backend: ray\nnum_cpu: 2\nworkers: 0\n")
    with pytest.raises(SpecError) as caught:
        load_options(tmp_path / "on.yaml")
    assert [each.place.line for each in caught.value.problems if each.place] == [2, 3]
