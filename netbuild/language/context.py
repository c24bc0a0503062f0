"""What every check is given: the parsed parts, the files, and a list to add problems to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from numpy.typing import NDArray
from pydantic import BaseModel

from netbuild.errors import DataFileError, Place, Problem
from netbuild.files.arrays import ArrayFile, read_array, read_shape
from netbuild.files.door import locate, project_root
from netbuild.language.base import Model
from netbuild.language.values import LARGEST, SMALLEST, finite
from netbuild.wording import near, show
from netbuild.yamltree.document import Document
from netbuild.yamltree.nodes import Location, Node
from netbuild.yamltree.paths import Tree, names_of

Result = TypeVar("Result")

LONGEST_RUN = 1024  # characters of the path of a run
MOST_SAID = 500  # characters of a message
MOST_EXPLAINED = 100  # problems that get a hint that is slow to find


@dataclass(frozen=True)
class FileRecord:
    """A file that a spec names, as it was read."""

    reference: str  # as the spec writes it
    path: str  # resolved, absolute
    sha256: str
    size: int  # bytes


@dataclass
class Locator:
    """Which file a reference in a folder's file means, and whether it may be read."""

    data_root: Path | None = None
    _roots: dict[Path, Path] = field(default_factory=dict)

    def __call__(self, reference: str, folder: Path) -> Path:
        """The file's path; raises DataFileError."""
        if self.data_root is None and folder not in self._roots:
            self._roots[folder] = project_root(folder)
        return locate(reference, folder, self.data_root or self._roots[folder])


@dataclass(frozen=True)
class GivenStart:
    """A run that the caller names as the start of a training, in place of the spec's.

    Unlike the `run` of a spec, it may lie anywhere, and under any name that a file system has.
    """

    run: Path  # absolute, links resolved
    checkpoint: int

    def node(self, folder: Path) -> Node:
        """The `start_from` of a spec in a folder, as a tree; its `run` is for people to read."""
        place = Place("--fork")
        path = os.fsencode(os.path.relpath(self.run, folder)).decode(errors="replace")
        run, checkpoint = Node(path[-LONGEST_RUN:], place), Node(self.checkpoint, place)
        return Node({"run": run, "checkpoint": checkpoint}, place)


@dataclass(frozen=True)
class Parsed:
    """Whatever parsed of a spec, for the checks that look across fields.

    A part that has problems is None; `problems` says what they are.
    """

    tree: Tree
    document: Document
    folders: Mapping[str, Path]  # of each source, which its relative paths start from
    problems: Sequence[Problem]
    spec: Any  # the model of the whole, a NetworkSpec; None where any part is wrong
    layers: Sequence[BaseModel | None]
    regularizers: Sequence[BaseModel | None]
    task: BaseModel | None
    training: BaseModel | None
    start_from: BaseModel | None = None
    given: GivenStart | None = None  # the run that `start_from` means, whatever it says
    seed: int = 0
    dt: float | None = None


@dataclass
class Context:
    """The state of one check of one spec."""

    parsed: Parsed
    locator: Locator
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    files: dict[str, FileRecord] = field(default_factory=dict)  # by path in the spec
    kept: dict[Any, Any] = field(default_factory=dict)  # slow results, shared by all stages
    arrays: dict[tuple[Path, str | None], ArrayFile] = field(default_factory=dict)
    connectomes: dict[int, Any] = field(default_factory=dict)  # by the position of their layer
    _said: set[Problem] = field(default_factory=set)

    @cached_property
    def layer_names(self) -> dict[str, list[int]]:
        """The positions of the layers of each name, in the file and whether they parsed or not."""
        section = self.parsed.tree.at(("layers",))
        positions: dict[str, list[int]] = {}
        for i, name in enumerate(names_of(section) if section else ()):
            if name:
                positions.setdefault(name, []).append(i)
        return positions

    def at(self, *location: str | int) -> Here:
        """A place of the spec, for the checks of a section."""
        return Here(self, location)

    def problem(
        self, code: str, location: Location, what: str, hint: str = "", *, key: bool = False
    ) -> None:
        """Note a problem at a location of the spec; `key` points at the key, not at its value.

        One with the code of a warning is noted as that. What it says may hold text from the spec,
        and is made safe to print here.
        """
        tree = self.parsed.tree
        place = tree.place(location, key=key)
        what, hint = show(what, MOST_SAID), show(hint, MOST_SAID)
        found = Problem(code, what, tree.spell(location), place, hint)
        if found not in self._said:  # a file may be asked for twice
            self._said.add(found)
            (self.problems if found.severity == "error" else self.warnings).append(found)

    def near(self, word: str, words: Iterable[str]) -> str:
        """A hint that names the nearest word, for as many problems as a user may read."""
        return near(word, words) if len(self.problems) < MOST_EXPLAINED else ""

    def of_stage(self, parsed: Parsed) -> Context:
        """The context of a stage's own spec, which reads no file again."""
        return Context(parsed, self.locator, kept=self.kept, arrays=self.arrays)

    def once(self, key: object, work: Callable[[], Result]) -> Result:
        """The result of `work`, which is done once for all stages of a training."""
        if key not in self.kept:
            self.kept[key] = work()
        return cast(Result, self.kept[key])


@dataclass(frozen=True)
class Here:
    """A place of the spec that is being checked; `here["density"]` is the place of a key in it."""

    context: Context
    location: Location

    def __getitem__(self, part: str | int) -> Here:
        return Here(self.context, (*self.location, part))

    @property
    def given(self) -> bool:
        """Whether the file says anything here (a default does not)."""
        node = self.context.parsed.tree.at(self.location)
        return node is not None and node.value is not None

    def problem(self, code: str, what: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem here; `key` points at the key, not at its value."""
        self.context.problem(code, self.location, what, hint, key=key)

    def attempt(self, work: Callable[[], Result]) -> Result | None:
        """The result of reading a file, or None with its problem noted here."""
        try:
            return work()
        except DataFileError as error:
            self.problem(error.code, error.what, error.hint)
            return None

    @property
    def folder(self) -> Path:
        """The folder that a path written here is relative to."""
        parsed = self.context.parsed
        node = parsed.tree.at(self.location)
        source = node.place.source if node else parsed.document.source
        return parsed.folders.get(source, parsed.document.folder)

    def locate(self, reference: str) -> Path:
        """The file that is named here; raises DataFileError."""
        return self.context.locator(reference, self.folder)

    def read(self, reference: str, array: str | None) -> NDArray[Any]:
        """The array in the file that is named here, all of its values finite.

        Raises DataFileError.
        """
        path, context = self.locate(reference), self.context
        if (path, array) not in context.arrays:
            context.arrays[path, array] = read_array(path, array)
            finite(context.arrays[path, array].array, path.name)
        found = context.arrays[path, array]
        where = context.parsed.tree.spell(self.location)
        context.files[where] = FileRecord(reference, str(path), found.sha256, found.size)
        return found.array

    def shape(self, reference: str, array: str | None) -> tuple[int, ...]:
        """The shape that the file named here declares; raises DataFileError."""
        return read_shape(self.locate(reference), array)

    def fits(self, value: float) -> bool:
        """Whether a network can compute with the number here; adds a problem if it cannot."""
        if value == 0 or SMALLEST <= abs(value) <= LARGEST:
            return True
        what = f"{value:g} is beyond what a network computes with, in float32"
        hint = f"at most {LARGEST:g}"
        if abs(value) < SMALLEST:
            what = f"{value:g} is too near to 0 for what a network computes with, in float32"
            hint = f"0, or at least {SMALLEST:g}"
        self.problem("NB104", what, hint)
        return False

    def numbers_fit(self, section: Model) -> bool:
        """Whether a network can compute with all numbers that the section here holds itself."""
        numbers = [(key, value) for key, value in section if isinstance(value, float)]
        return all([self[key].fits(value) for key, value in numbers])  # noqa: C419
