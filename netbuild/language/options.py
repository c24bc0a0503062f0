"""Reads the options of a back end from their file."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from netbuild.errors import Place, Problem, SpecError
from netbuild.language.backends import TELLER, Options, options_from
from netbuild.language.diagnose import problems_of
from netbuild.yamltree.document import read
from netbuild.yamltree.nodes import plain
from netbuild.yamltree.paths import Tree


def load_options(path: str | Path) -> Options:
    """The options in a file; raises SpecError with all problems of the file, in file order."""
    document = read(Path(path), str(path))
    if TELLER not in document.root.entries:
        what, hint = "the key `backend` is missing", "write `backend: ray`"
        raise SpecError([Problem("NB102", what, "", Place(document.source, 1, 1), hint)])
    try:
        return options_from(plain(document.root))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        problems = problems_of(errors, Tree(document.root))
        raise SpecError(sorted(problems, key=_line)) from None


def _line(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)
