"""A short fuzz of the spec reader, the same in every run; `fuzz_specs.py` goes on for longer."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import fuzzing
import pytest
from fuzz_specs import Specs, attempt, blocks, mutated, structure, texts
from hypothesis import given, settings
from places import TESTS
from strategies import RIGHT, examples, spoiled

from netbuild.errors import SpecError
from netbuild.language import load
from netbuild.yamltree.nodes import plain
from netbuild.yamltree.parser import Parser
from schemas import accepts


def test_whatever_a_spec_holds_is_told_or_built(tmp_path: Path) -> None:
    tally = fuzzing.short(Specs("0", tmp_path), 1500)
    assert not tally.failures
    assert tally.cases == 1500
    assert tally.accepted > 20
    assert len(tally.codes) > 25  # codes of every kind


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    return Specs("2", tmp_path_factory.mktemp("specs"))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(data=spoiled())
def test_what_the_language_nearly_allows(fuzz: Specs, data: Any) -> None:
    fuzz.judge((blocks(data).encode(), []))


def test_what_is_drawn_from_the_schema_is_right_there() -> None:
    drawn = examples(RIGHT, 100, 5)
    assert all(accepts(data) for data in drawn)
    assert len({blocks(data) for data in drawn}) > 50


def test_a_number_gives_the_same_case_in_another_process(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from fuzz_specs import Specs
fuzz = Specs("7", Path(sys.argv[1]))
for number in (1, 39, 40):  # two are drawn from the schema
    print(fuzz.case(number))
"""
    processes = []
    for seed in ("1", "2"):  # of Python's own hashes
        (tmp_path / seed).mkdir()
        argv = [sys.executable, "-c", program, str(tmp_path / seed)]
        with_seed = {"PYTHONHASHSEED": seed}
        processes.append(
            subprocess.Popen(argv, cwd=TESTS, stdout=subprocess.PIPE, text=True, env=with_seed)
        )
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert said[0] == said[1]
    assert len(set(said[0].splitlines())) == 3


def test_blocks_are_the_data_that_they_are_made_of() -> None:
    for data in examples(RIGHT, 100, 6):
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


def test_checks_do_not_depend_on_the_order_of_sets(tmp_path: Path) -> None:
    """The same problems, word for word, whatever seeds Python's own hashes."""
    rng = random.Random(4)
    pool = texts()
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_bytes(mutated(rng.choice(pool), pool, rng))
    program = """
import sys
from netbuild.language import load
from netbuild.errors import SpecError
for name in sys.argv[1:]:
    try:
        print(load(name, memory_limit=10**6).hash)
    except SpecError as error:
        print(*((str(p.place), p.what, p.hint) for p in error.problems), sep="\\n")
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", program, *sorted(map(str, tmp_path.glob("*.yaml")))],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") > 30
