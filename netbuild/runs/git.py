"""The git commit that a run was started from, and how the run's own files differ from it.

A repository can come from anybody, and its configuration may name programs: filters, hooks,
drivers, a file system monitor, a remote that is a command. Git is therefore asked only which commit
is checked out and what its files hold; the files are compared in Python. Nothing of the repository
except the run's own files is read.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

LARGEST_TEXT = 1 << 18  # bytes of a file whose lines are compared
MOST_LINES = 4000
LARGEST_DIFFERENCE = 1 << 20  # bytes
PATIENCE = 10  # seconds
# Settings of a partial clone, in which git runs a command to fetch missing objects.
_FETCHES = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"
_NAME = "[0-9a-f]{40}|[0-9a-f]{64}"  # of a commit or a blob
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_CAUTION = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # an older git ignores GIT_NO_LAZY_FETCH
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}


class GitState(NamedTuple):
    """The commit that is checked out, and a patch from its files to the run's own files.

    Both are None outside of a repository; the patch is None in a partial clone too.
    """

    commit: str | None = None
    difference: str | None = None


def git_state(folder: Path, files: Mapping[Path, bytes]) -> GitState:
    """The commit of a folder's repository, and how these files (with their bytes) differ from it.

    Files that the commit does not have are left out. A file that is not text, or is too large, is
    named in a line with its digests.
    """
    answer = _git(folder, "rev-parse", "HEAD")
    head = "" if answer is None else answer.decode(errors="replace").strip()
    if not re.fullmatch(_NAME, head):
        return GitState()
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or _git(folder, "config", "--get-regexp", _FETCHES) is not None:
        return GitState(head)
    root = Path(os.fsdecode(top.removesuffix(b"\n")))
    named = {name: data for path, data in files.items() if (name := _name(path, root))}
    blobs = _blobs(folder, head, named)
    if blobs is None:
        return GitState(head)
    parts, left = [], LARGEST_DIFFERENCE
    for name, (blob, size) in blobs.items():
        now = named[name]
        if _blob_id(now, blob) == blob:
            continue
        then = _git(folder, "cat-file", "blob", blob) if size <= LARGEST_TEXT else None
        if then is not None and (_lines(then) == _lines(now) or _points_to(then, now)):
            continue  # only the line ends differ, or the storage in Git LFS
        part = _patch(name, then, now)
        if not part or len(part) > left:
            part = (
                f"# {name} differs: blob {blob}, {size:,} bytes, in the commit; "
                f"SHA-256 {hashlib.sha256(now).hexdigest()}, {len(now):,} bytes, here\n"
            )
        parts.append(part)
        left -= len(part)
    return GitState(head, "".join(parts))


def _name(path: Path, root: Path) -> str | None:
    """A file's name in the repository; None for a file outside, or a name with a line end."""
    place = Path(os.path.realpath(path))
    if not place.is_relative_to(root):
        return None
    name = place.relative_to(root).as_posix()
    return name if name.isprintable() else None


def _patch(name: str, then: bytes | None, now: bytes) -> str:
    """The patch of a file; "" unless both versions are text of moderate size."""
    if then is None or not (_is_text(then) and _is_text(now)):
        return ""
    one, other = (re.findall(r"[^\n]*\n|[^\n]+\Z", data.decode()) for data in (then, now))
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(one, other, f"a/{name}", f"b/{name}")
    )


def _is_text(data: bytes) -> bool:
    if len(data) > LARGEST_TEXT or data.count(b"\n") > MOST_LINES or b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> bytes:
    """The bytes with LF for CRLF."""
    return data.replace(b"\r\n", b"\n")


def _points_to(then: bytes, now: bytes) -> bool:
    """Whether the commit has, in place of a file, the pointer that Git LFS keeps for it."""
    return (
        then.startswith(_POINTER) and f"sha256:{hashlib.sha256(now).hexdigest()}\n".encode() in then
    )


def _blob_id(data: bytes, like: str) -> str:
    """The object id of these bytes, by the algorithm of another object id."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    found = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    found.update(data)
    return found.hexdigest()


def _blobs(folder: Path, commit: str, names: Iterable[str]) -> dict[str, tuple[str, int]] | None:
    """The blob id and the size of each file; files that the commit does not have are left out."""
    asked = "".join(f"{commit}:{name}\n" for name in names)
    answer = _git(folder, "cat-file", "--batch-check", given=asked.encode())
    if answer is None:
        return None
    found = {}
    for name, line in zip(names, answer.decode(errors="replace").split("\n"), strict=False):
        match = re.fullmatch(rf"({_NAME}) blob (\d{{1,18}})", line)
        if match:
            found[name] = (match[1], int(match[2]))
    return found


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What git prints, None where it fails. Only commands that read no filter, hook or driver."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments],
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | _CAUTION,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found.stdout if found.returncode == 0 else None
