"""The disk that loses what was not flushed, against states that were written down by hand."""

from __future__ import annotations

import base64
import random
from itertools import islice
from pathlib import Path
from typing import Any

from faults.disk import Tree, states, story_of, tree_of

DISK = Path("/disk")


def opened(descriptor: int, name: str, created: bool = False) -> dict[str, Any]:
    path = str(DISK / name) if name else str(DISK)
    return {"op": "open", "fd": descriptor, "path": path, "created": created, "emptied": False}


def written(descriptor: int, data: bytes, offset: int = 0) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"op": "write", "fd": descriptor, "data": text, "offset": offset}


def waited(descriptor: int) -> dict[str, Any]:
    return {"op": "fsync", "fd": descriptor}


def renamed(name: str, to: str) -> dict[str, Any]:
    return {"op": "rename", "path": str(DISK / name), "to": str(DISK / to)}


def possible(trace: list[dict[str, Any]], drawn: int = 300) -> list[Tree]:
    """All states that are drawn after the last call."""
    story = story_of(trace, DISK)
    plain = 2 * story.calls
    some = islice(states(story, random.Random(0)), plain - 2, plain + drawn)
    return [tree for call, _, tree in some if call == story.calls - 1]


def test_what_was_waited_for_is_there() -> None:
    trace = [opened(3, "a", True), written(3, b"data"), waited(3), opened(4, ""), waited(4)]
    assert all(tree == {"a": b"data"} for tree in possible(trace))


def test_data_that_were_not_waited_for_may_be_missing_torn_or_zeros() -> None:
    trace = [opened(3, "a", True), written(3, b"data"), opened(4, ""), waited(4)]
    found = {tree["a"] for tree in possible(trace)}
    assert found == {b"", b"d", b"da", b"dat", b"data", bytes(4)}


def test_an_entry_may_be_missing_though_its_file_was_waited_for() -> None:
    trace = [opened(3, "a", True), written(3, b"data"), waited(3)]
    assert {tree.get("a") for tree in possible(trace)} == {None, b"data"}


def test_a_rename_without_its_data_shows_an_empty_file() -> None:
    kept = [opened(3, "a", True), written(3, b"old"), waited(3), opened(4, ""), waited(4)]
    trace = [*kept, opened(5, "b", True), written(5, b"new"), renamed("b", "a")]
    assert {b"old", b"", b"new"} <= {tree.get("a") for tree in possible(trace)}
    safe = [*kept, opened(5, "b", True), written(5, b"new"), waited(5), renamed("b", "a")]
    assert {tree.get("a") for tree in possible(safe)} == {b"old", b"new"}
    done = [*safe, opened(6, ""), waited(6)]
    assert all(tree == {"a": b"new"} for tree in possible(done))


def test_folders_go_with_what_is_in_them() -> None:
    trace = [
        {"op": "mkdir", "path": str(DISK / "tmp")},
        opened(3, "tmp/a", True),
        written(3, b"x"),
        renamed("tmp", "kept"),
        opened(4, "kept/a"),
        {"op": "ftruncate", "fd": 4, "size": 0},
    ]
    story = story_of(trace, DISK)
    assert tree_of(story, story.changes) == {"kept": None, "kept/a": b""}
    assert {"tmp": None} in possible(trace)
    gone = [*trace, {"op": "unlink", "path": str(DISK / "kept/a")}]
    gone += [{"op": "rmdir", "path": str(DISK / "kept")}]
    story = story_of(gone, DISK)
    assert tree_of(story, story.changes) == {}


def test_what_was_there_before_is_there_for_certain() -> None:
    before: Tree = {"kept": None, "kept/a": b"old", "b": b"old"}
    trace = [
        opened(3, "kept/a"),
        {"op": "ftruncate", "fd": 3, "size": 0},
        {"op": "rename", "path": str(DISK / "kept"), "to": str(DISK / "aside")},
    ]
    story = story_of(trace, DISK, before, saved=6)
    assert tree_of(story, story.changes) == {"aside": None, "aside/a": b"", "b": b"old"}
    first = [tree for call, _, tree in islice(states(story, random.Random(0)), 6) if call == 0]
    assert first == [before, before]
    assert story.acked(-1) == 6
