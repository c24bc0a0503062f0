"""The git commit that a run is started at, and how its files differ from that commit.

A repository can come from anybody, and its configuration may name programs: filters, hooks,
drivers, a file system monitor, a remote that is a command. So git is asked for nothing here but
which commit is checked out, and what its files hold; files are compared in Python. Of the
repository nothing but the run's own files is looked at.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST_TEXT = 1 << 18  # bytes of a file whose lines are compared
MOST_LINES = 4000
LARGEST_DIFFERENCE = 1 << 20  # bytes
PATIENCE = 10  # seconds
# Settings of a partial clone, in which git runs a command to fetch missing objects.
_FETCHES = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"
_NAME = "[0-9a-f]{40}|[0-9a-f]{64}"  # of a commit or a blob
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and the difference of some files from it, as a patch.

    Both are None outside of a repository; the difference is None in a partial clone too.
    """

    commit: str | None = None
    difference: str | None = None


def git_state(folder: Path, files: Mapping[Path, bytes]) -> GitState:
    """The commit of a folder's repository, and how these files (with their bytes) differ from it.

    Files that the commit does not have are left out. A file that is no text, or too large, is named
    in one line with its digests.
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
    return GitState(head, _difference(folder, head, named))


def _name(path: Path, root: Path) -> str | None:
    """A file's name in the repository; None for one outside, or that one line cannot hold."""
    place = Path(os.path.realpath(path))
    if not place.is_relative_to(root):
        return None
    name = place.relative_to(root).as_posix()
    return name if name.isprintable() else None


def _difference(folder: Path, commit: str, files: Mapping[str, bytes]) -> str | None:
    """The patch that leads from the commit's files to these."""
    blobs = _blobs(folder, commit, files)
    if blobs is None:
        return None
    changed = {name: blob for name, blob in blobs.items() if blob[0] != _blob_id(files[name], blob)}
    small = [name for name, (_, size) in changed.items() if size <= LARGEST_TEXT]
    contents = _contents(folder, [changed[name][0] for name in small])
    texts = dict(zip(small, contents, strict=True)) if contents is not None else {}
    parts, left = [], LARGEST_DIFFERENCE
    for name in changed:
        part = _part(name, changed[name], texts.get(name), files[name])
        if len(part) > left:
            part = _line(name, changed[name], files[name])
        parts.append(part)
        left -= len(part)
    return "".join(parts)


def _part(name: str, blob: tuple[str, int], then: bytes | None, now: bytes) -> str:
    """The patch of one file; empty if only its line ends or its Git LFS storage differ."""
    if then is not None and (_lines(then) == _lines(now) or _points_to(then, now)):
        return ""
    if then is None or not (_is_text(then) and _is_text(now)):
        return _line(name, blob, now)
    return "".join(_patch(name, then.decode(), now.decode()))


def _line(name: str, blob: tuple[str, int], now: bytes) -> str:
    digest = hashlib.sha256(now).hexdigest()
    return (
        f"# {name} differs: blob {blob[0]}, {blob[1]:,} bytes, in the commit; "
        f"SHA-256 {digest}, {len(now):,} bytes, here\n"
    )


def _patch(name: str, then: str, now: str) -> Iterator[str]:
    one, other = (re.findall(r"[^\n]*\n|[^\n]+\Z", text) for text in (then, now))
    for line in difflib.unified_diff(one, other, f"a/{name}", f"b/{name}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    fair = len(data) <= LARGEST_TEXT and data.count(b"\n") <= MOST_LINES
    return fair and b"\0" not in data


def _lines(data: bytes) -> bytes:
    """The bytes with LF for CRLF."""
    return data.replace(b"\r\n", b"\n")


def _points_to(then: bytes, now: bytes) -> bool:
    """Whether a commit has, in place of a file, what Git LFS keeps of it."""
    digest = hashlib.sha256(now).hexdigest()
    return then.startswith(_POINTER) and f"sha256:{digest}\n".encode() in then


def _blob_id(data: bytes, blob: tuple[str, int]) -> str:
    """The object id of these bytes, by the algorithm of `blob`."""
    algorithm = "sha1" if len(blob[0]) == 40 else "sha256"
    found = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    found.update(data)
    return found.hexdigest()


def _blobs(
    folder: Path, commit: str, names: Mapping[str, bytes]
) -> dict[str, tuple[str, int]] | None:
    """What git calls each file of a commit, and its size; files that it lacks are left out."""
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


def _contents(folder: Path, blobs: list[str]) -> list[bytes] | None:
    """The bytes of some blobs."""
    answer = _git(folder, "cat-file", "--batch", given="".join(f"{b}\n" for b in blobs).encode())
    if answer is None:
        return None
    found = []
    for blob in blobs:
        head, _, answer = answer.partition(b"\n")
        match = re.fullmatch(rb"[0-9a-f]+ blob (\d+)", head)
        if match is None or not head.startswith(blob.encode()):
            return None
        size = int(match[1])
        found.append(answer[:size])
        answer = answer[size + 1 :]
    return found


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What git prints, None where it fails. Only commands that read no filter, hook or driver."""
    environment = {
        **os.environ,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # so that an older git, which fetches all the same, cannot
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
    }
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments],
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=environment,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found.stdout if found.returncode == 0 else None
