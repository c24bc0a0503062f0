"""Fuzzing the reader of specs: bytes and structures that nobody would write.

`python tests/fuzz_specs.py SECONDS` runs for this time and prints its counts. Whatever a spec
holds, the reader returns a Spec that builds, or raises SpecError with places and in one line each.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import fuzzing
from corpus import INVALID, SPECS, VALID
from drawn.specs import draw_spec
from strategies import KEYS, RIGHT, examples

from netbuild.errors import Problem, SpecError
from netbuild.language import Spec, load
from netbuild.yamltree.document import read
from netbuild.yamltree.nodes import plain

WORDS = [
    *KEYS,
    *("linear", "dropout", "normal", "relu", "Adam", "SGD", "L1", "DaleLaw", "hidden", "input"),
    *("0", "1", "-1", "1e-3", "1e309", ".nan", "-.inf", "014", "0x1F", "true", "no", "~", "null"),
    *("9" * 18, "9" * 30, "1_000", "1:30", "30%", "${x}", "*", "&a", "*a", "<<: *a", "!!int 3"),
    *("[]", "{}", "[[1]]", "- ", ": ", "? ", "|", ">", "'", '"', "#", "\t", "\n", "\r\n", "---"),
    *("\x00", "\x85", "\u2028", "\ufeff", "é", "🧠", "<Linear>", "../data/task.npz", "a.npy"),
    *("ctrnn", "rate", "update", "fused", "V1", "V1.excitatory", "hidden.V1", "FiringRateL2"),
    *("hidden.excitatory", "*.weight", "[a-", "cuda:1", "../../../x", "http://x", "~/x", "%", "@"),
    *("connectome", "sparse", "brain", "{kind: motor}", "{layer: brain, sign: -1}", "[A, B]"),
    *("edges.csv", "../data/edges.csv", "../data/neurons.csv", "../data/edges_twice.csv"),
    *("degree_preserving", "er", "signs", "scale_per_type", "nothing", "max", "drop", "{a: 1}"),
]
MEMORY = 3 * 10**6  # bytes: what is accepted is small enough to be built
DRAWN = 60  # right specs beside those of the corpus
RESOLVED = 5  # of so many that are accepted one is resolved and read again
GRAMMAR = 40  # specs in a block that are drawn from the schema


@cache
def texts() -> list[bytes]:
    """The corpus's specs, which are mutated."""
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
    """Data with one part of it replaced, removed or put elsewhere."""
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
    value = rng.choice(WORDS) if rng.random() < 0.7 else json.dumps(structure(rng, 3))
    return f"{path}{rng.choice(['=', '=', '+=', ''])}{value}"


def check_problem(problem: Problem, size: int) -> None:
    """A problem has a place, fits on a line, and is no internal error."""
    assert problem.place is not None
    assert problem.what
    for text in (problem.what, problem.hint, problem.path):
        assert text.isprintable(), text
        assert len(text) < 900, text
    place = problem.place
    assert 0 <= place.line <= size + 2
    assert not place.line or 1 <= place.column < place.end_column or not place.end_column
    for word in ("NoneType", "Traceback", "Input should", "validation error"):
        assert word not in problem.what


def attempt(folder: Path, text: bytes, changes: Sequence[str] = ()) -> Spec | SpecError:
    """Read one spec from `folder`, and check its problems."""
    path = folder / "spec.yaml"
    path.write_bytes(text)
    try:
        return load(path, changes, memory_limit=MEMORY)
    except SpecError as error:
        for problem in error.problems:
            check_problem(problem, text.count(b"\n") + 200)
        return error


def builds(spec: Spec) -> None:
    """What is accepted builds, and holds what it says."""
    from netbuild.builder import build

    network = build(spec, device="cpu")
    assert not any(check.violations for check in network.verify())


def resolves(spec: Spec) -> None:
    """What is accepted resolves to a spec that means the same."""
    assert spec.path is not None
    path = spec.path.with_name("resolved.yaml")
    path.write_text(spec.to_yaml())
    assert load(path, memory_limit=MEMORY).hash == spec.hash


def written(data: Any, rng: random.Random) -> bytes:
    """Data as YAML, on one line or in blocks."""
    if not isinstance(data, dict):
        data = {"netbuild": 1, "layers": data}
    return (json.dumps(data) if rng.random() < 0.3 else blocks(data)).encode()


def blocks(data: Any, indent: str = "") -> str:
    """Data as YAML in blocks; much quicker than a dumper, and not as careful with text."""
    if isinstance(data, dict) and data:
        lines = (f"{indent}{word(key)}:{below(value, indent)}" for key, value in data.items())
        return "\n".join(lines)
    if isinstance(data, list) and any(isinstance(item, dict) for item in data):
        return "\n".join(f"{indent}- {blocks(item, indent + '  ').lstrip()}" for item in data)
    return f"{indent}{word(data)}"


def below(value: Any, indent: str) -> str:
    text = blocks(value, f"{indent}  ")
    if text.lstrip().startswith("- ") or "\n" in text or (isinstance(value, dict) and value):
        return f"\n{text}"
    return f" {text.lstrip()}"


def word(value: Any) -> str:
    plain_text = isinstance(value, str) and re.fullmatch(r"[a-zA-Z][\w./]*", value)
    return value if plain_text else json.dumps(value)


def folder_of_specs(root: Path) -> Path:
    """A project with the data that the corpus names, and a folder for specs in it."""
    (root / ".git").mkdir()
    shutil.copytree(SPECS / "data", root / "data")
    shutil.copytree(SPECS / "valid" / "bases", root / "specs" / "bases")
    return root / "specs"


Case = tuple[bytes, list[str]]  # a spec, and what overrides it


class Specs:
    """The fuzz of specs: mutated bytes, changed structures, and what the schema allows."""

    def __init__(self, seed: str, folder: Path) -> None:
        self.seed = seed
        self.folder = folder_of_specs(folder)
        right = [draw_spec(i, self.folder) for i in range(DRAWN)]
        self.pool = texts() + [blocks(data).encode() for data in right]
        self.data = [plain(read(path).root) for path in VALID] + right
        self.grammar = lru_cache(2)(self._grammar)

    def _grammar(self, block: int) -> list[Any]:
        number = zlib.crc32(f"{self.seed}/{block}".encode())
        return examples(RIGHT, GRAMMAR, number)

    def case(self, number: int) -> Case:
        """One spec, and what overrides it."""
        rng = fuzzing.stream(self.seed, number)
        block, position = divmod(number, fuzzing.BLOCK)
        grammar = self.grammar(block)
        changes = [override(rng) for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 3]))]
        if position < len(grammar):
            return written(grammar[position], rng), []
        if rng.random() < 0.6:
            return mutated(rng.choice(self.pool), self.pool, rng), changes
        whole = rng.choice(rng.choice([self.data, grammar]))
        for _ in range(rng.choice([1, 1, 2, 4])):
            whole = changed(whole, rng)
        return written(whole, rng), changes

    def judge(self, case: Case) -> Sequence[str]:
        """The codes of the problems found; what is accepted is built."""
        found = attempt(self.folder, *case)
        if isinstance(found, SpecError):
            return sorted({problem.code for problem in found.problems})
        builds(found)
        if b"extends" not in case[0] and zlib.crc32(case[0]) % RESOLVED == 0:
            resolves(found)
        return ()

    def save(self, case: Case, folder: Path) -> None:
        """The spec as it stood among the data, and its overrides."""
        (folder / "spec.yaml").write_bytes(case[0])
        (folder / "set.txt").write_text("".join(f"{change}\n" for change in case[1]), "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch; the networks are tiny
    raise SystemExit(fuzzing.main("specs", Specs))
