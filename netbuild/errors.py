"""What can go wrong, as data: exit codes, problems with their places, the few error kinds.

A warning is a problem too, one that leaves a spec right: its code is NB6xx.

The bottom of the house: every other module may import this one, and it imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Exit(IntEnum):
    """The exit codes of every command; with several kinds at once, the lowest."""

    DONE = 0
    USAGE = 2
    SPEC = 3  # editing the YAML solves it
    DATA = 4  # a mask or data file: missing, malformed, misshapen
    RUN = 5  # a checkpoint or run directory
    LOCKED = 6
    IO = 7  # disk full, permission
    DIVERGED = 8  # NaN, Inf
    RESOURCES = 9
    MISSING = 10  # an extra or a device
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True)
class Place:
    """A span of one line of a file, or of one `--set`; lines and columns count from 1."""

    source: str  # "spec.yaml", or "--set #2"
    line: int = 0  # 0: the whole source
    column: int = 0
    end_column: int = 0  # one past the last character, on the same line
    text: str = ""  # that line, for the excerpt
    spec: str = ""  # of a place in a command line: the spec that it changes

    def __str__(self) -> str:
        if self.source.startswith("--"):
            return f"{self.source}, column {self.column}" if self.column else self.source
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or a warning: where, what was found and expected, what to do."""

    code: str  # "NB201"
    what: str
    path: str = ""  # "layers[hidden].ei_mask"
    place: Place | None = None
    hint: str = ""

    @property
    def exit_code(self) -> Exit:
        """The exit code of this problem's class, from its number; a warning's is 0."""
        number = int(self.code.removeprefix("NB"))
        for first, exit_code in _EXIT_CODES:
            if first <= number < first + 100:
                return exit_code
        return Exit.SPEC

    @property
    def severity(self) -> Literal["error", "warning"]:
        """Whether a spec with this problem is refused."""
        return "error" if self.exit_code else "warning"


_EXIT_CODES = ((1000, Exit.MISSING), (900, Exit.RESOURCES), (600, Exit.DONE), (200, Exit.DATA))


def joined(*hints: str) -> str:
    """Several hints as one, those that are empty left out."""
    return "; ".join(filter(None, hints))


class NetbuildError(Exception):
    """What the user or the machine did, in one line; `exit_code` says which kind it is."""

    def __init__(self, message: str, exit_code: Exit, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.hint = hint


class SpecError(NetbuildError):
    """A spec, or a file that it names, is wrong.

    `problems` has all errors, in file order; `warnings` has the warnings.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        lines = (
            f"{p.place or 'spec'}: error[{p.code}] {p.path}{': ' if p.path else ''}{p.what}"
            for p in self.problems
        )
        super().__init__("\n".join(lines), min(p.exit_code for p in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...], ...]]:
        return SpecError, (self.problems, self.warnings)  # it travels between worker processes


class DataFileError(NetbuildError):
    """A mask, weight or data file cannot be used; the spec's place is added by who knows it.

    `key` is the place below the section that names the file, where the reader knows it:
    `("edges", "weight")` of a connectome.
    """

    def __init__(self, code: str, what: str, hint: str = "", key: tuple[str, ...] = ()) -> None:
        super().__init__(what, Problem(code, what).exit_code, hint)
        self.code = code
        self.what = what
        self.key = key

    def __reduce__(self) -> tuple[type[DataFileError], tuple[str, str, str, tuple[str, ...]]]:
        return DataFileError, (self.code, self.what, self.hint, self.key)
