"""What every check is given: the parsed parts, the files, and a list to add problems to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from netbuild import masks
from netbuild.errors import DataFileError, Problem
from netbuild.spec.diagnose import place_of
from netbuild.spec.load import Parsed
from netbuild.spec.paths import Location, at, spell

Result = TypeVar("Result")


@dataclass(frozen=True)
class FileRecord:
    """A file that a spec names, as it was read."""

    reference: str  # as the spec writes it
    path: str  # resolved, absolute
    sha256: str
    size: int  # bytes


@dataclass
class Context:
    """The state of one check of one spec."""

    parsed: Parsed
    data_root: Path | None = None
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, FileRecord] = field(default_factory=dict)  # by path in the spec
    _arrays: dict[tuple[Path, str | None], masks.ArrayFile] = field(default_factory=dict)

    def problem(
        self, code: str, location: Location, what: str, hint: str = "", *, key: bool = False
    ) -> None:
        """Note a problem at a location of the spec; `key` points at the key, not at its value."""
        root = self.parsed.root
        place = place_of(root, location, key=key)
        self.problems.append(Problem(code, what, spell(root, location), place, hint))

    def given(self, location: Location) -> bool:
        """Whether the file says anything at a location (a default does not)."""
        return at(self.parsed.root, location) is not None

    def attempt(self, location: Location, work: Callable[[], Result]) -> Result | None:
        """The result of reading a file, or None with its problem noted at `location`."""
        try:
            return work()
        except DataFileError as error:
            self.problem(error.code, location, error.what, error.hint)
            return None

    def locate(self, location: Location, reference: str) -> Path:
        """The file that the spec names at a location; raises DataFileError."""
        node = at(self.parsed.root, location)
        source = node.place.source if node else self.parsed.document.source
        folder = self.parsed.folders.get(source, self.parsed.document.folder)
        root = self.data_root or masks.project_root(folder)
        return masks.locate(reference, folder, root)

    def read(self, location: Location, reference: str, array: str | None) -> NDArray[Any]:
        """The array in the file that the spec names at a location; raises DataFileError."""
        path = self.locate(location, reference)
        key = (path, array)
        if key not in self._arrays:
            self._arrays[key] = masks.read_array(path, array)
        found = self._arrays[key]
        where = spell(self.parsed.root, location)
        self.files[where] = FileRecord(reference, str(path), found.sha256, found.size)
        return found.array

    def header(self, location: Location, reference: str, array: str | None) -> masks.Header:
        """The shape and dtype that a file declares; raises DataFileError."""
        return masks.read_header(self.locate(location, reference), array)


def matrix_of(rows: list[list[float]]) -> NDArray[np.float64]:
    """Rows written into a spec as a matrix; raises DataFileError when they are ragged."""
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        what = f"the rows have different lengths: {', '.join(map(str, sorted(widths)[:4]))}"
        raise DataFileError("NB201", what)
    return np.array(rows, dtype=np.float64)
