"""Fuzzing the reader of specs: bytes and structures that nobody would write.

`python tests/fuzz_specs.py SECONDS [SEED]` goes on for so long and prints what it counted. Whatever
a spec holds, the reader returns a Spec that builds, or raises SpecError, within a second.
"""

from __future__ import annotations

import collections
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import INVALID, SPECS, VALID

from netbuild.check import Spec, load
from netbuild.errors import NetbuildError, Problem, SpecError
from netbuild.spec.dump import dump_yaml
from netbuild.spec.grammar import fields_of, homes
from netbuild.spec.nodes import plain

KEYS = sorted({key for home in homes() for key in fields_of(home.model)})
WORDS = [
    *KEYS,
    *("linear", "dropout", "normal", "relu", "Adam", "SGD", "L1", "DaleLaw", "hidden", "input"),
    *("0", "1", "-1", "1e-3", "1e309", ".nan", "-.inf", "014", "0x1F", "true", "no", "~", "null"),
    *("9" * 18, "9" * 30, "1_000", "1:30", "30%", "${x}", "*", "&a", "*a", "<<: *a", "!!int 3"),
    *("[]", "{}", "[[1]]", "- ", ": ", "? ", "|", ">", "'", '"', "#", "\t", "\n", "\r\n", "---"),
    *("\x00", "\x85", "\u2028", "\ufeff", "é", "🧠", "<Linear>", "../data/task.npz", "a.npy"),
    *("hidden.excitatory", "*.weight", "[a-", "cuda:1", "../../../x", "http://x", "~/x", "%", "@"),
]
MEMORY = 3 * 10**6  # bytes: what is accepted is small enough to be built


def texts() -> list[bytes]:
    """The specs that are mutated."""
    whole = [path.read_bytes() for path in VALID] * 4
    return whole + [path.read_bytes() for path in INVALID if path.stat().st_size < 5000]


def mutated(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """The text after a few changes to its bytes, words and lines."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        text = rng.choice(MUTATIONS)(text, others, rng)
    return text


def _byte(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    i = rng.randrange(len(text) + 1)
    return text[:i] + bytes([rng.randrange(256)]) + text[i + rng.randrange(2) :]


def _insert(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    i = rng.randrange(len(text) + 1)
    return text[:i] + rng.choice(WORDS).encode() + text[i:]


def _word(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    found = list(re.finditer(rb"[\w.*-]+", text))
    if not found:
        return text
    match = rng.choice(found)
    return text[: match.start()] + rng.choice(WORDS).encode() + text[match.end() :]


def _cut(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    return text[:i] if rng.random() < 0.3 else text[:i] + text[j:]


def _line(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    lines = text.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == 1:
        lines.insert(i, lines[j])
    elif kind == 2:
        lines[i] = b" " * rng.randrange(5) + lines[i]
    else:
        lines[i] = lines[i].lstrip()
    return b"\n".join(lines)


def _splice(text: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other) + 1) :]


Mutation = Callable[[bytes, list[bytes], random.Random], bytes]
MUTATIONS: list[Mutation] = [_byte, _insert, _word, _word, _word, _cut, _line, _line, _splice]


def structure(rng: random.Random, depth: int = 0) -> Any:
    """Data of any shape, with keys of the language."""
    kind = rng.randrange(10 if depth < 5 else 4)
    if kind < 4:
        values: list[Any] = [None, True, 0, 1, -1, 2**40, 0.5, 1e300, "", "x", [], {}]
        return rng.choice([*values, *WORDS])
    if kind < 6:
        return [structure(rng, depth + 1) for _ in range(rng.randrange(4))]
    keys = rng.sample(KEYS, rng.randrange(1, 6))
    return {key: structure(rng, depth + 1) for key in keys}


def changed(data: Any, rng: random.Random) -> Any:
    """Data with one part of it replaced, taken away or put elsewhere."""
    if isinstance(data, dict) and data and rng.random() < 0.85:
        key = rng.choice(list(data))
        kind = rng.random()
        if kind < 0.7:
            return data | {key: changed(data[key], rng)}
        if kind < 0.85:
            return {k: v for k, v in data.items() if k != key}
        return data | {rng.choice(KEYS): data[key]}
    if isinstance(data, list) and data and rng.random() < 0.9:
        i = rng.randrange(len(data))
        return [*data[:i], changed(data[i], rng), *data[i + rng.randrange(2) :]]
    return structure(rng, 3)


def override(rng: random.Random) -> str:
    """An argument of `--set`."""
    path = "".join(
        rng.choice([f".{rng.choice(KEYS)}", f"[{rng.choice(['0', '9', 'hidden', 'x'])}]"])
        for _ in range(rng.randrange(1, 5))
    ).lstrip(".")
    value = rng.choice(WORDS) if rng.random() < 0.7 else dump_yaml({"a": structure(rng, 3)})[3:]
    return f"{path}{rng.choice(['=', '=', '+=', ''])}{value}"


def check_problem(problem: Problem, size: int) -> None:
    """What is said has a place, fits on a line, and does not come from inside."""
    assert problem.place is not None
    assert problem.what
    for text in (problem.what, problem.hint, problem.path):
        assert "\n" not in text
        assert "\x1b" not in text
        assert len(text) < 900, text
    place = problem.place
    assert 0 <= place.line <= size + 2
    assert not place.line or 1 <= place.column < place.end_column or not place.end_column
    for word in ("NoneType", "Traceback", "Input should", "validation error"):
        assert word not in problem.what


def attempt(folder: Path, text: bytes, changes: list[str]) -> Spec | SpecError:
    """Read one spec, in a second."""
    (folder / "spec.yaml").write_bytes(text)
    began = time.perf_counter()
    try:
        found: Spec | SpecError = load(folder / "spec.yaml", changes, memory_limit=MEMORY)
    except SpecError as error:
        found = error
        for problem in error.problems:
            check_problem(problem, text.count(b"\n") + 200)
    taken = time.perf_counter() - began
    assert taken < 1, f"{taken:.1f} s"
    return found


def builds(spec: Spec) -> None:
    """What is accepted builds, and resolves to itself."""
    from netbuild.builder import build

    network = build(spec, device="cpu")
    assert not any(check.violations for check in network.verify())
    assert spec.to_yaml()


def draw(rng: random.Random, pool: list[bytes], data: list[Any]) -> tuple[bytes, list[str]]:
    """One spec, and what overrides it."""
    changes = [override(rng) for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 3]))]
    if rng.random() < 0.6:
        return mutated(rng.choice(pool), pool, rng), changes
    whole = rng.choice(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        whole = changed(whole, rng)
    if not isinstance(whole, dict):
        whole = {"netbuild": 1, "layers": whole}
    return dump_yaml(whole).encode(), changes


def folder_of_specs(root: Path) -> Path:
    """A project with the data that the corpus names, and a folder for specs in it."""
    (root / ".git").mkdir()
    shutil.copytree(SPECS / "data", root / "data")
    shutil.copytree(SPECS / "valid" / "bases", root / "specs" / "bases")
    return root / "specs"


def right_data() -> list[Any]:
    """The data of the specs that are right."""
    from netbuild.spec.document import read

    return [plain(read(path).root) for path in VALID]


def fuzz(folder: Path, rng: random.Random, count: int, seconds: float = 1e9) -> dict[str, int]:
    """So many specs, or for so long; what came of them."""
    pool, data = texts(), right_data()
    counts: collections.Counter[str] = collections.Counter()
    end = time.perf_counter() + seconds
    while counts["specs"] < count and time.perf_counter() < end:
        text, changes = draw(rng, pool, data)
        counts["specs"] += 1
        try:
            found = attempt(folder, text, changes)
            if isinstance(found, Spec):
                counts["accepted"] += 1
                builds(found)
            else:
                counts.update({problem.code for problem in found.problems})
        except NetbuildError as error:
            raise AssertionError(f"{error}\n{text!r}\n{changes!r}") from error
        except Exception as error:
            reason = "".join(traceback.format_exception(error, limit=-4))
            raise AssertionError(f"{reason}\n{text!r}\n{changes!r}") from error
    return dict(counts)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns())
        print(fuzz(folder_of_specs(Path(name)), rng, 10**9, float(sys.argv[1])))
