"""The form of the corpus in `specs/`: what each file says that a check of it must find.

The first lines of a file in `specs/invalid` are comments: `# exit: CODE`, one `# expect: ...` for
every problem, and optionally `# set: PATH=VALUE` and `# unset: PATH`. A problem is written as
`LINE:COLUMN CODE path: what | hint`, its place with the source's name where it is another file.

`python tests/corpus.py FILE...` writes what a check finds now into the files; read it before you
believe it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netbuild.check import load
from netbuild.errors import Problem, SpecError

SPECS = Path(__file__).parent / "specs"
INVALID = sorted((SPECS / "invalid").glob("*.yaml"))
VALID = sorted((SPECS / "valid").glob("*.yaml"))
MEMORY = 8 * 10**9  # bytes, whatever this machine has


@dataclass(frozen=True)
class Expected:
    """What the head of a file says."""

    exit_code: int
    problems: list[str]
    overrides: list[str]
    unset: list[str]


def head_of(path: Path) -> Expected:
    """The comments at the top of a file."""
    words: dict[str, list[str]] = {"exit": ["0"], "expect": [], "set": [], "unset": []}
    for line in path.read_bytes().splitlines():
        match = re.match(rb"# (exit|expect|set|unset): (.*)$", line)
        if match is None:
            break
        words[match[1].decode()].append(match[2].decode())
    return Expected(int(words["exit"][-1]), words["expect"], words["set"], words["unset"])


def found_in(path: Path) -> tuple[int, list[str]]:
    """The exit code and the problems that a check finds."""
    head = head_of(path)
    with inside(path.parent):
        try:
            load(path.name, head.overrides, unset=head.unset, memory_limit=MEMORY)
        except SpecError as error:
            return error.exit_code, [written(problem, path.name) for problem in error.problems]
    return 0, []


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
    while re.match(rb"# (exit|expect|set|unset): ", body):
        body = body.split(b"\n", 1)[1]
    kept = [f"# set: {s}" for s in head.overrides] + [f"# unset: {s}" for s in head.unset]
    lines = ["# exit: 0"]
    for _ in range(3):  # the head's own length moves the places
        path.write_bytes("".join(f"{line}\n" for line in [*lines, *kept]).encode() + body)
        exit_code, problems = found_in(path)
        lines = [f"# exit: {exit_code:d}", *(f"# expect: {problem}" for problem in problems)]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name).resolve())
