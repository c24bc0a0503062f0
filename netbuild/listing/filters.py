"""Filters of runs: conditions on their columns, and on any path of their resolved specs."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from netbuild.errors import Exit, NetbuildError, Place, SpecError
from netbuild.folders import check_file
from netbuild.language.compose import written_out
from netbuild.language.grammar import slot_at
from netbuild.listing.entries import COLUMNS, Entry
from netbuild.wording import did_you_mean, show
from netbuild.yamltree.document import parse_value, read
from netbuild.yamltree.nodes import Node, copy_tree, plain
from netbuild.yamltree.paths import PathError, follow, parse_path

_CONDITION = re.compile(r"\s*([^=<>!]+?)\s*(>=|<=|!=|=|<|>)(.*)", re.DOTALL)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS = ("run", "path", "status", "name", "on", "spec", "commit", "started", "problem")
NUMBERS = ("step", "accuracy", "loss", "best", "test", "seed")
_BEGINNINGS = ("run", "spec", "commit", "started")  # of which the first letters will do


@dataclass(frozen=True)
class Condition:
    """`KEY=VALUE`, or with `!=`, `>`, `<`, `>=` or `<=` between them."""

    key: str
    sign: str
    value: Node  # as a spec's loader reads it; of a column of text, that text

    def holds(self, entry: Entry, specs: SpecValues) -> bool:
        """Whether a run matches; a column or path that a run lacks is null."""
        if self.key in COLUMNS:
            found, wanted = getattr(entry, self.key), plain(self.value)
            found = str(found) if isinstance(found, Path) else found
        else:
            tree = specs.tree(entry)
            if tree is None:
                return False
            found, wanted = specs.value(entry, self.key), self._written_out(tree)
        if self.sign in _ORDERS:
            return _comparable(found, wanted) and _ORDERS[self.sign](found, wanted)
        begins = self.key in _BEGINNINGS and isinstance(found, str) and bool(wanted)
        same = _fits(found, wanted) or (begins and found.startswith(wanted))
        return same == (self.sign == "=")

    def _written_out(self, tree: Node) -> Any:
        """The value as a resolved spec has it: `relu` is `{type: relu}` where that is a section."""
        try:
            slot = slot_at(tree, follow(tree, self.key))
        except PathError:
            slot = None
        return plain(written_out(copy_tree(self.value), slot))


def parse_condition(text: str) -> Condition:
    """The condition that a command line says; raises NetbuildError (exit 2)."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        what = f"a filter is KEY=VALUE; got `{show(text)}`"
        raise NetbuildError(what, Exit.USAGE, "write for example `status=finished`")
    key, sign, value = match.groups()
    check_key(key)
    if key in _TEXTS:  # a hash of digits is no number
        bare = value.strip()
        return Condition(key, sign, Node(None if bare == "null" else bare, Place("--filter")))
    try:
        node = parse_value(text, "--filter", match.start(3))
    except SpecError as error:
        problem = error.problems[0]
        raise NetbuildError(f"--filter {show(text)}: {problem.what}", Exit.USAGE) from None
    return Condition(key, sign, node)


def check_key(key: str) -> None:
    """Raise NetbuildError (exit 2) for what is neither a column nor a path of specs."""
    try:
        parse_path(key)
    except PathError as error:
        raise NetbuildError(error.what, Exit.USAGE, error.hint) from None


class SpecValues:
    """The values of runs' resolved specs; a spec that several runs share is read once."""

    def __init__(self) -> None:
        self._trees: dict[str, Node | None] = {}
        self._known: set[str] = set()  # paths that a run has had
        self._wrong: dict[str, PathError] = {}

    def tree(self, entry: Entry) -> Node | None:
        """The resolved spec of a run, None where it cannot be read."""
        key = entry.spec or str(entry.path)
        if key not in self._trees:
            try:
                check_file(entry.path / "resolved.yaml")
                self._trees[key] = read(entry.path / "resolved.yaml").root
            except (NetbuildError, OSError):
                return None  # of another run of the same spec it may be whole
        return self._trees[key]

    def value(self, entry: Entry, path: str) -> Any:
        """What stands at a path of a run's resolved spec as plain data, None where nothing does."""
        tree = self.tree(entry)
        if tree is None:
            return None
        try:
            found = tree.at(follow(tree, path))
        except PathError as error:
            self._wrong[path] = error
            return None
        self._known.add(path)
        return None if found is None else plain(found)

    def require(self, path: str) -> None:
        """Raise NetbuildError (exit 2) for a path that was looked for and that no run has."""
        if path in self._wrong and path not in self._known:
            error = self._wrong[path]
            what = f"no run has a value `{show(path)}`: {error.what}"
            hint = did_you_mean(path, COLUMNS) or error.hint
            raise NetbuildError(what, Exit.USAGE, hint)


def _fits(found: Any, wanted: Any) -> bool:
    """Whether a value is the one that is wanted; of a section, whether it holds that much."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(_fits(found.get(key), value) for key, value in wanted.items())
    if isinstance(found, str) and isinstance(wanted, str):
        return fnmatchcase(found, wanted)
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted)


def _comparable(found: Any, wanted: Any) -> bool:
    """Whether both are numbers, or both are texts, such as times."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return False
    both = found, wanted
    return any(all(isinstance(each, kind) for each in both) for kind in ((int, float), str))
