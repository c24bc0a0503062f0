"""Which files a spec reads, so that it can be loaded where there is nothing but these."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from netbuild.files.door import project_root
from netbuild.language.checked import Spec
from netbuild.language.start import START
from netbuild.rundir import CHECKPOINTS, RUN, STATE

MARKER = "pyproject.toml"


def files_of(spec: Spec) -> tuple[str, ...]:
    """The absolute paths of the files that a spec reads, each where a reference looks for it.

    The folder of the spec, and of each file that it extends, is written without links. A link on
    the way from there to a file stays in the path.
    """
    texts = [in_real_folder(path) for path in spec.texts]
    found = dict.fromkeys(map(str, texts))
    for where, record in spec.files.items():
        real = Path(record.path)
        if where == START:
            found |= dict.fromkeys(map(str, _of_run(real)))
        for folder in {text.parent for text in texts}:
            place = os.path.normpath(folder / record.reference)
            if os.path.realpath(place) == str(real) and os.path.isfile(place):
                found[place] = None
        found[str(real)] = None
    return tuple(found)


def markers_of(files: Iterable[str]) -> list[str]:
    """The paths of empty files that keep each folder of these files in the project that it is in.

    A copy of a project has no `.git`.
    """
    roots = {project_root(Path(path).parent) for path in files}
    return sorted(str(root / MARKER) for root in roots)


def in_real_folder(path: Path) -> Path:
    """The absolute path of a file whose folder is written without links."""
    return Path(os.path.realpath(path.parent)) / path.name


def _of_run(weights: Path) -> Iterator[Path]:
    """What finding the checkpoint of these weights reads in their run, the weights left out."""
    folder = weights.parent.parent
    if folder.name == CHECKPOINTS and (folder.parent / RUN).is_file():
        yield folder.parent / RUN
        yield from sorted(folder.glob(f"[!.]*/{STATE}"))
