"""A spec file as it was read: one regular file of fair size, UTF-8, and its tree."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from netbuild.errors import Place, Problem, SpecError
from netbuild.system import READ
from netbuild.wording import nearest, show
from netbuild.yamltree.nodes import Node, kind_of
from netbuild.yamltree.parser import BREAKS, Parser

MAX_BYTES = 1 << 20


@dataclass
class Document:
    """One parsed file: its tree, and the folder that its paths are relative to."""

    source: str
    root: Node
    folder: Path
    text: str = field(repr=False)  # as it is in the file, a byte order mark included


def read(path: Path, source: str | None = None) -> Document:
    """Parse the spec file at `path`; raises SpecError with every problem of its YAML."""
    source = source or str(path)
    text = _text(_read_bytes(path, source), source)
    return Document(source, parse(text, source), path.parent, text)


def parse(text: str, source: str) -> Node:
    """Parse the text of a whole spec, whose root must be a mapping of keys; raises SpecError."""
    root = Parser(source, text.removeprefix("\ufeff")).tree()
    if root is None or root.value is None:
        hint = "`netbuild init` writes one to begin with"
        raise SpecError([Problem("NB009", "the spec is empty", "", Place(source, 1, 1), hint)])
    if not isinstance(root.value, dict):
        what = f"a spec is a mapping of keys, this is {kind_of(root)}"
        raise SpecError([Problem("NB009", what, place=root.place)])
    return root


def parse_value(text: str, source: str, start: int) -> Node:
    """Parse the value that follows `text[:start]`, as after the `=` of a `--set`.

    Its places are those of the whole text. Raises SpecError.
    """
    node = Parser(source, text[start:], before=text[:start]).tree()
    return node or Node(None, Place(source, 1, start + 1, start + 2, text))


def _read_bytes(path: Path, source: str) -> bytes:
    def refuse(what: str, hint: str = "") -> SpecError:
        return SpecError([Problem("NB001", what, place=Place(source), hint=hint)])

    try:
        descriptor = os.open(path, READ)
    except FileNotFoundError as error:
        raise refuse(f"cannot read the spec: {error.strerror}", _like(path)) from None
    except OSError as error:
        raise refuse(f"cannot read the spec: {error.strerror or error}") from None
    except ValueError:
        raise refuse("cannot read the spec: the path holds a NUL character") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise refuse("cannot read the spec: it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise refuse(f"cannot read the spec: {error.strerror or error}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise refuse("the spec is larger than 1 MiB", "keep matrices in separate files")
    return data


def _like(path: Path) -> str:
    """A hint that names a spec of a similar name in the same folder."""
    try:
        beside = [
            other.name for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml")
        ]
    except OSError:
        return ""
    best = nearest(path.name, beside)
    return f"did you mean `{show(str(path.parent / best))}`?" if best else ""


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        *lines, last = BREAKS.split(data[: error.start].decode())
        place = Place(source, len(lines) + 1, len(last) + 1)
        hint = "save it as UTF-8"
        raise SpecError([Problem("NB002", "the spec is not UTF-8 text", "", place, hint)]) from None
