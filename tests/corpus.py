"""The form of the corpus in `specs/`: what each file says that a check of it must find.

The first lines of a file in `specs/invalid` are comments: `# exit: CODE`, one `# expect: ...` for
every problem, and optionally `# set: PATH=VALUE` and `# unset: PATH`. A problem is written as
`LINE:COLUMN CODE path: what | hint`, its place with the source's name where it is another file.
Warnings are `# warn: ...` in the same words, in `specs/valid` too.

`specs/catalogue.csv` lists inputs that are known to go wrong in programs like this one, and where
each is tried: in a file of the corpus, or in a test where no file could hold it.

`python tests/corpus.py FILE...` writes what a check finds now into the files; read it before you
believe it.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netbuild.errors import Problem, SpecError
from netbuild.language import load
from netbuild.language.design import is_experiment, load_experiment
from netbuild.language.points import points_of

SPECS = Path(__file__).parent / "specs"
INVALID = sorted((SPECS / "invalid").glob("*.yaml"))
VALID = sorted((SPECS / "valid").glob("*.yaml"))
MEMORY = 8 * 10**9  # bytes, whatever this machine has
_HEAD = rb"# (exit|expect|warn|set|unset): "


@dataclass(frozen=True)
class Expected:
    """What the head of a file says."""

    exit_code: int
    problems: list[str]
    warnings: list[str]
    overrides: list[str]
    unset: list[str]


def head_of(path: Path) -> Expected:
    """The comments at the top of a file."""
    words: dict[str, list[str]] = {key: [] for key in ("exit", "expect", "warn", "set", "unset")}
    for line in path.read_bytes().splitlines():
        match = re.match(_HEAD + rb"(.*)$", line)
        if match is None:
            break
        words[match[1].decode()].append(match[2].decode())
    exit_code = int(words["exit"][-1]) if words["exit"] else 0
    return Expected(exit_code, words["expect"], words["warn"], words["set"], words["unset"])


def found_in(path: Path) -> tuple[int, list[str], list[str]]:
    """The exit code, the problems and the warnings that a check finds."""
    head = head_of(path)
    with inside(path.parent):
        try:
            if is_experiment(path.name) and not head.overrides:
                points = points_of(load_experiment(path.name))
                return 0, [], [written(warning, path.name) for warning in points.warnings]
            spec = load(path.name, head.overrides, unset=head.unset, memory_limit=MEMORY)
        except SpecError as error:
            said = (
                [written(p, path.name) for p in some] for some in (error.problems, error.warnings)
            )
            return error.exit_code, *said
    return 0, [], [written(warning, path.name) for warning in spec.warnings]


def written(problem: Problem, name: str) -> str:
    """A problem as the corpus writes it."""
    place = str(problem.place).removeprefix(f"{name}:")
    if place == name:  # the whole file
        place = "-"
    path = f"{problem.path}: " if problem.path else ""
    hint = f" | {problem.hint}" if problem.hint else ""
    text = f"{place} {problem.code} {path}{problem.what}{hint}"
    return text.replace(str(SPECS.parent.parent), "ROOT")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Messages hold paths as they were given, so every file is checked from its own folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def rewrite(path: Path) -> None:
    """Write what a check finds into the head of a file."""
    head = head_of(path)
    body = path.read_bytes()
    while re.match(_HEAD, body):
        body = body.split(b"\n", 1)[1]
    kept = [f"# set: {s}" for s in head.overrides] + [f"# unset: {s}" for s in head.unset]
    lines: list[str] = []
    for _ in range(3):  # the head's own length moves the places
        path.write_bytes("".join(f"{line}\n" for line in [*lines, *kept]).encode() + body)
        exit_code, problems, warnings = found_in(path)
        lines = [f"# exit: {exit_code:d}"] if exit_code else []
        lines += [f"# expect: {problem}" for problem in problems]
        lines += [f"# warn: {warning}" for warning in warnings]


@dataclass(frozen=True)
class Row:
    """An input of the catalogue: what it is, what becomes of it, and where that is tried."""

    number: int
    input: str
    verdict: str  # "refused", "warned" or "accepted"
    where: list[str]  # files below specs/, or tests: `test_x.py::test_y`
    exit_code: int  # of those rows that no file holds
    said: str  # in them: `CODE what | hint`


def catalogue() -> list[Row]:
    """The catalogue, in order; a row that is tried in several ways comes several times."""
    with (SPECS / "catalogue.csv").open(newline="") as stream:
        return [
            Row(
                int(row["row"]),
                row["input"],
                row["verdict"],
                row["where"].split(),
                int(row["exit"] or 0),
                row["said"],
            )
            for row in csv.DictReader(stream)
        ]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name).resolve())
