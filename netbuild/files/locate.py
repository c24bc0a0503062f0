"""Which file a path in a spec means, and whether it may be read at all.

A spec may come from anybody, so a path in it reaches regular files below the project's root and
nothing else: no URL, no home directory, no device, no way out through `..` or a symbolic link.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from netbuild.errors import DataFileError

ROOT_MARKERS = (".git", "pyproject.toml")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(file|data):", re.IGNORECASE)
LISTED = 1000  # entries of a folder that are looked at for a suggestion
SPECS = (".yaml", ".yml")
CLOSE = 0.7  # how alike two stems are, of 1, when one is suggested for the other
SHOWN = 80  # characters of a path in a message


def project_root(folder: Path) -> Path:
    """The nearest of `folder` and its ancestors that holds .git or pyproject.toml, else `folder`.

    Symbolic links are resolved. Files outside it are never read on behalf of a spec in `folder`.
    """
    folder = Path(os.path.realpath(folder))
    for candidate in (folder, *folder.parents):
        if any(os.path.lexists(candidate / marker) for marker in ROOT_MARKERS):
            return candidate
    return folder


def locate(reference: str, folder: Path, root: Path) -> Path:
    """The file that a spec in `folder` means by `reference`: absolute, links resolved, in `root`.

    Raises DataFileError: NB202 where there is no such file or it cannot be reached, NB203 where
    the path is refused (a URL, `~`, outside `root`, not a regular file).
    """
    refuse_what_is_no_path(reference)
    root = Path(os.path.realpath(root))
    try:
        path = Path(os.path.realpath(folder / reference))
        # Asked before the disk is, so that what lies outside the root is not even probed.
        if not path.is_relative_to(root):
            raise DataFileError(
                "NB203",
                f"{shown(reference)} is outside the project, whose root is {shown(str(root))}",
                "files that a spec names lie below the folder that holds .git or pyproject.toml "
                "(without one: the spec's own folder); copy the file there, say where it is with "
                "`--data-root DIR`, or put a `pyproject.toml` at the root of the project",
            )
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        hint = suggestion(reference, folder, root)
        raise DataFileError("NB202", f"there is no file {shown(reference)}", hint) from None
    except OSError as error:  # a name too long, a loop of links, a folder that may not be entered
        reason = error.strerror or type(error).__name__
        what = f"{shown(reference)} cannot be reached ({reason})"
        raise DataFileError("NB202", what) from None
    except ValueError:  # half of a surrogate pair: no file system has such a name
        raise DataFileError("NB203", f"{shown(reference)} is not a file name") from None
    if not stat.S_ISREG(mode):
        raise DataFileError("NB203", f"{shown(reference)} is {kind_of_file(mode)}, not a file")
    return path


def shown(text: str) -> str:
    """`text` fit for one line of a terminal: unprintable characters escaped, the middle cut."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    half = SHOWN // 2
    return plain if len(plain) <= SHOWN else f"{plain[: half - 2]} ... {plain[3 - half :]}"


def kind_of_file(mode: int) -> str:
    """In words, what a file with this `st_mode` is."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def refuse_what_is_no_path(reference: str) -> None:
    """Refuse what only looks like a path; raises DataFileError NB203."""
    if not reference.strip():
        raise DataFileError("NB203", "the path is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in reference):
        raise DataFileError("NB203", f"{shown(reference)} holds a control character")
    if SCHEME.match(reference):
        raise DataFileError(
            "NB203",
            f"{shown(reference)} is a URL; only files of this project are read",
            "download it, keep it beside the spec, and give its path",
        )
    if reference.startswith("~"):
        raise DataFileError(
            "NB203",
            f"{shown(reference)} begins with `~`, which is not expanded",
            "give a path that starts at the spec's own folder",
        )


def suggestion(reference: str, folder: Path, root: Path) -> str:
    """A hint for a missing file: the nearest name in its folder, or where it would be found."""
    from_root = Path(os.path.realpath(root / reference))
    if from_root.is_relative_to(root) and from_root.is_file():
        nearby = os.path.relpath(from_root, os.path.realpath(folder))
        return f"paths start at the folder of the file that contains them: say {shown(nearby)}"
    parent = (folder / reference).parent
    if not Path(os.path.realpath(parent)).is_relative_to(root):
        return ""
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry in islice(entries, LISTED)]
    except OSError:
        return f"there is no folder {shown(str(Path(reference).parent))}"
    best = nearest(Path(reference).name, names)
    return f"did you mean {shown(str(Path(reference).with_name(best)))}?" if best else ""


def nearest(wanted: str, names: Iterable[str]) -> str:
    """The name whose stem is most like that of `wanted`, or "" where none is close.

    Extensions are few and would make any two names alike; one only decides between equal stems.
    A spec is never suggested for a data file, nor a data file for a spec.
    """
    stem, extension = os.path.splitext(wanted.casefold())
    by_stem: dict[str, str] = {}
    for name in sorted(names, key=lambda n: os.path.splitext(n.casefold())[1] != extension):
        other, its = os.path.splitext(name.casefold())
        if (its in SPECS) == (extension in SPECS):
            by_stem.setdefault(other, name)
    match = difflib.get_close_matches(stem, by_stem, 1, CLOSE)
    return by_stem[match[0]] if match else ""
