"""The tree of a spec."""

from __future__ import annotations

from netbuild.yamltree.document import parse
from netbuild.yamltree.nodes import copy_tree, plain


def test_a_copy_shares_no_container() -> None:
    root = parse("a: &x [{b: 1}]\nc: *x\n", "x.yaml")
    copy = copy_tree(root)
    copy.entries["a"].items[0].entries["b"] = copy.entries["a"]
    assert plain(root) == {"a": [{"b": 1}], "c": [{"b": 1}]}
    assert plain(copy.entries["c"]) == [{"b": 1}]
