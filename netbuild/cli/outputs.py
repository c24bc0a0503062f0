"""The files that a command writes: where they may be, what they are called, and how they appear."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError

MOST = 100  # characters of a name
PLAIN = re.compile(r"(?:[A-Za-z0-9_.,&+=]|-(?![a-z]+=))*")  # what stands in a name as it is


def need_ending(path: Path | None, what: str, *endings: str) -> None:
    """Refuse, before anything is computed, a path that could not be written.

    It must have one of the allowed endings, in a folder that exists; None if no path was given.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        known = ", ".join(endings[:-1]) + f" or {endings[-1]}" if len(endings) > 1 else endings[0]
        raise NetbuildError(f"{path}: {what} ends in {known}", Exit.USAGE)
    need_folder(path.parent)


def need_folder(folder: Path) -> None:
    """Raise NetbuildError where a folder does not exist."""
    if not folder.is_dir():
        raise NetbuildError(f"there is no folder {folder}", Exit.IO)


def write(path: Path, content: bytes, *, quiet: bool, run: Path | None = None) -> None:
    """Write a file whole or not at all, and print its name.

    `run` is the run that it becomes part of, whose folder for it is made if a copy has lost it.
    """
    from netbuild import durable

    if run is not None:
        durable.need_folder(path.parent, within=run)
    durable.replace_file(path, content, within=run)
    if not quiet:
        say(path)


def file_name(kind: str, options: Iterable[tuple[str, str]]) -> str:
    """A name, without an ending, for what was made with these options, as (option, value).

    It is `weights` or `rates-condition=coh-units=V1`. Other options have another name: where a
    value is too long, or has characters that are not plain, eight characters of a digest of all
    options follow. The same options always have the same name.
    """
    given = list(options)
    whole = "-".join([kind, *(f"{option}={value}" for option, value in given)])
    if len(whole) <= MOST and all(PLAIN.fullmatch(value) for _, value in given):
        return whole
    readable = re.sub(r"[^A-Za-z0-9_.,&+=-]+", "_", whole)[: MOST - 9]
    digest = hashlib.sha256(repr((kind, given)).encode("utf-8", "backslashreplace")).hexdigest()
    return f"{readable}-{digest[:8]}"
