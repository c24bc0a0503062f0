"""A short fuzz of the spec reader, the same in every run; `fuzz_specs.py` runs longer."""

from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import fuzzing
import pytest
from corpus import inside
from fuzz_specs import Specs, attempt, blocks, mutated, structure, texts
from hypothesis import given, settings
from places import TESTS
from strategies import RIGHT, examples, spoiled

from netbuild.errors import SpecError
from netbuild.language import load
from netbuild.yamltree.nodes import plain
from netbuild.yamltree.parser import Parser
from schemas import accepts

CASES = 500


def test_whatever_a_spec_holds_is_told_or_built(tmp_path: Path) -> None:
    tally = fuzzing.short(Specs("0", tmp_path), CASES)
    assert not tally.failures
    assert tally.cases == CASES
    assert tally.accepted > 10
    assert len(tally.codes) > 25  # codes of every kind


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    return Specs("2", tmp_path_factory.mktemp("specs"))


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(data=spoiled())
def test_what_the_language_nearly_allows(fuzz: Specs, data: Any) -> None:
    fuzz.judge((blocks(data).encode(), []))


def test_what_is_drawn_from_the_schema_is_right_there() -> None:
    drawn = examples(RIGHT, 50, 5)
    assert all(accepts(data) for data in drawn)
    assert len({blocks(data) for data in drawn}) > 25


def test_blocks_are_the_data_that_they_are_made_of() -> None:
    for data in examples(RIGHT, 50, 6):
        tree = Parser("x.yaml", blocks(data)).tree()
        assert tree is not None
        assert plain(tree) == data


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    rng = random.Random(2)
    for _ in range(500):
        text = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        assert isinstance(attempt(tmp_path, text, []), SpecError)


def test_mappings_that_are_no_specs() -> None:
    rng = random.Random(3)
    for _ in range(200):
        data = {"netbuild": 1, "layers": structure(rng), "training": structure(rng)}
        with pytest.raises(SpecError):
            load(data, memory_limit=10**6)


def problems_of(folder: Path) -> list[str]:
    """What checks of all specs in a folder say, word for word."""
    found = []
    with inside(folder):
        for path in sorted(Path().glob("*.yaml")):
            try:
                found.append(load(path, memory_limit=10**6).hash)
            except SpecError as error:
                found += [f"{p.place} {p.what} {p.hint}" for p in error.problems]
    return found


def test_cases_and_problems_are_the_same_where_hashes_are_others(
    fuzz: Specs, tmp_path: Path
) -> None:
    """In processes in which Python's own hashes, and so the order of sets, differ."""
    rng = random.Random(4)
    pool = texts()
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_bytes(mutated(rng.choice(pool), pool, rng))
    numbers = [1, 39, 40]  # two are drawn from the schema
    program = f"""
import sys
from pathlib import Path
from fuzz_specs import Specs
from test_fuzz import problems_of
folder = Path({str(tmp_path)!r})
own = folder / sys.argv[1]
own.mkdir()
fuzz = Specs({fuzz.seed!r}, own)
print(([fuzz.case(number) for number in {numbers}], problems_of(folder)))
"""
    # Both are processes of their own: Hypothesis draws from the constants of imported modules too.
    first, second = (
        subprocess.run(
            [sys.executable, "-c", program, f"hashes{seed}"],
            cwd=TESTS,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second
    cases, problems = ast.literal_eval(first)
    assert len(set(map(str, cases))) == len(numbers)
    assert len(problems) > 30
