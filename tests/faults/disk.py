"""A disk that forgets: what was not waited for may be missing, torn, or there in another order.

States that a disk may hold when the power goes are built from the calls of a command that were
written down, as in "All file systems are not created equal" (Pillai and others, OSDI 2014):

- data that were not followed by fsync of their file may be missing, or there in part, or as zeros;
- entries of a folder that were not followed by fsync of that folder may be missing, each by itself.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = 0  # the number of the folder that is there from the beginning


@dataclass
class Change:
    """One change of a file's data or of a folder's entries, and from when on it is certain."""

    at: int  # the number of the call
    target: int  # a file or a folder
    name: str = ""  # the entry, "" for data
    to: str = ""  # its new name, if it is renamed
    entry: int | None = None  # what the entry is from now on; None: there is none
    offset: int = 0
    data: bytes | None = None  # None: the file ends at `offset` from now on
    certain: float = float("inf")  # the number of the call that waited for it

    @property
    def is_write(self) -> bool:
        return not self.name and self.data is not None


@dataclass
class Story:
    """What a command did to a disk, and what it took for saved after which call."""

    changes: list[Change] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)  # call, step
    folders: set[int] = field(default_factory=lambda: {ROOT})
    calls: int = 0
    saved: int = -1  # the step that counted as saved before the first call; -1: there was no run

    def acked(self, call: int) -> int:
        """The step that counted as saved before a call; -1 before there was a run."""
        return max([self.saved, *(step for at, step in self.marks if at <= call)])


Tree = dict[str, bytes | None]  # paths, and the bytes of files; None: a folder


def story_of(
    trace: list[dict[str, Any]], folder: Path, before: Tree | None = None, saved: int = -1
) -> Story:
    """Read the calls that a `Shim` has written down; `before` is what was there, for certain."""
    story = Story(calls=len(trace), saved=saved)
    names = {str(folder): ROOT}  # paths, as they are now
    opened: dict[int, int] = {}
    new = count(1)

    def change(at: int, path: str, **values: Any) -> None:
        place = Path(path)
        story.changes.append(Change(at, names[str(place.parent)], place.name, **values))

    for name, data in sorted((before or {}).items()):
        path = str(folder / name)
        names[path] = next(new)
        change(-1, path, entry=names[path], certain=-1)
        if data is None:
            story.folders.add(names[path])
        else:
            story.changes.append(Change(-1, names[path], data=data, certain=-1))
    for at, call in enumerate(trace):
        op = call["op"]
        if op == "mark":
            story.marks.append((at, call["step"]))
        elif op == "open":
            if call["created"]:
                names[call["path"]] = next(new)
                change(at, call["path"], entry=names[call["path"]])
            opened[call["fd"]] = names[call["path"]]
            if call["emptied"] and not call["created"]:
                story.changes.append(Change(at, opened[call["fd"]]))
        elif op == "close":
            del opened[call["fd"]]
        elif op == "write":
            data = base64.b64decode(call["data"])
            file = opened[call["fd"]]
            story.changes.append(Change(at, file, offset=call["offset"], data=data))
        elif op == "ftruncate":
            story.changes.append(Change(at, opened[call["fd"]], offset=call["size"]))
        elif op == "fsync":
            for each in story.changes:
                if each.target == opened[call["fd"]]:
                    each.certain = min(each.certain, at)
        elif op == "mkdir":
            names[call["path"]] = next(new)
            story.folders.add(names[call["path"]])
            change(at, call["path"], entry=names[call["path"]])
        elif op in ("unlink", "rmdir"):
            change(at, call["path"])
            del names[call["path"]]
        elif op == "rename":
            moved = names[call["path"]]
            assert Path(call["path"]).parent == Path(call["to"]).parent
            change(at, call["path"], to=Path(call["to"]).name, entry=moved)
            below = call["path"] + "/"
            for path in [p for p in names if p == call["path"] or p.startswith(below)]:
                names[call["to"] + path[len(call["path"]) :]] = names.pop(path)
    return story


def tree_of(story: Story, changes: list[Change]) -> Tree:
    """What a disk holds after some changes."""
    entries: dict[int, dict[str, int]] = {folder: {} for folder in story.folders}
    files: dict[int, bytearray] = {}
    for each in changes:
        if each.name:
            here = entries[each.target]
            here.pop(each.name, None)
            if each.entry is not None:
                here[each.to or each.name] = each.entry
        elif each.data is None:
            content = files.setdefault(each.target, bytearray())
            del content[each.offset :]
        else:
            content = files.setdefault(each.target, bytearray())
            content.extend(bytes(max(0, each.offset - len(content))))
            content[each.offset : each.offset + len(each.data)] = each.data
    tree: Tree = {}

    def walk(folder: int, path: str) -> None:
        for name, number in entries[folder].items():
            if number in entries:
                tree[f"{path}{name}"] = None
                walk(number, f"{path}{name}/")
            else:
                tree[f"{path}{name}"] = bytes(files.get(number, b""))

    walk(ROOT, "")
    return tree


def states(story: Story, rng: random.Random) -> Iterator[tuple[int, str, Tree]]:
    """Without an end: a call that was the last, what became of what was pending, and the disk."""
    for call in range(story.calls):  # first the plain ones
        done = [each for each in story.changes if each.at <= call]
        yield call, "all of it lost", tree_of(story, [c for c in done if c.certain <= call])
        yield call, "nothing lost", tree_of(story, done)
    while True:
        call = rng.randrange(story.calls)
        done = [each for each in story.changes if each.at <= call]
        chance = rng.choice([0.1, 0.5, 0.9])
        yield call, f"kept {chance}", tree_of(story, list(_kept(done, call, chance, rng)))


def _kept(done: list[Change], call: int, chance: float, rng: random.Random) -> Iterator[Change]:
    """The certain changes and some of the others, of which writes may be torn."""
    for each in done:
        if each.certain <= call:
            yield each
        elif rng.random() < chance:
            if each.is_write and each.data is not None and rng.random() < 0.5:
                length = rng.randrange(len(each.data) + 1)
                part = rng.choice([each.data[:length], bytes(len(each.data))])
                yield Change(each.at, each.target, offset=each.offset, data=part)
            else:
                yield each


def write_tree(tree: Tree, folder: Path) -> None:
    """Make a folder hold what a disk held."""
    folder.mkdir()
    for name, data in tree.items():
        if data is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(data)


def read_tree(folder: Path) -> Tree:
    """What a folder holds."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }
