"""Paths: spelling, reading and following them are one grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbuild.errors import Place
from netbuild.yamltree.document import parse
from netbuild.yamltree.nodes import Location, Node, plain
from netbuild.yamltree.paths import (
    PathError,
    Segment,
    Tree,
    assign,
    follow,
    parse_path,
    remove,
)

NOWHERE = Place("test")
TEXT = """
seed: 1
layers:
  - {name: hidden, type: linear, weight: {std: 0.1}}
  - {name: out, parts: [{name: a}, {name: a}, {b: 1}, [1, 2]]}
empty:
"""


def tree() -> Node:
    return parse(TEXT, "x.yaml")


KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,6}", fullmatch=True)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> Node:
    """Nodes of any shape, some of whose items have names, some the same ones."""
    if depth == 4 or draw(st.booleans()):
        return Node(draw(st.one_of(st.integers(), KEYS)), NOWHERE)
    if draw(st.booleans()):
        return Node(draw(st.lists(trees(depth + 1), max_size=3)), NOWHERE)
    entries = draw(st.dictionaries(KEYS, trees(depth + 1), max_size=3))
    if draw(st.booleans()):
        entries["name"] = Node(draw(st.sampled_from(["x", "y", "0", "a b", "]", ""])), NOWHERE)
    return Node(entries, NOWHERE)


def locations(node: Node, here: Location = ()) -> list[Location]:
    below = [(i, child) for i, child in enumerate(node.items)]
    children = [*below, *node.entries.items()]
    return [here, *(found for part, child in children for found in locations(child, (*here, part)))]


@given(st.dictionaries(KEYS, trees(), min_size=1, max_size=3))
def test_what_is_spelled_is_followed_back(entries: dict[str, Node]) -> None:
    root = Node(entries, NOWHERE)
    spelled = Tree(root)
    for location in locations(root)[1:]:
        assert follow(root, spelled.spell(location)) == location


@given(st.lists(st.tuples(st.booleans(), KEYS), min_size=1, max_size=8))
def test_paths_are_read_as_they_are_written(steps: list[tuple[bool, str]]) -> None:
    steps = [(False, steps[0][1]), *steps[1:]]
    text = "".join(f"[{word}]" if item else f".{word}" for item, word in steps)[1:]
    segments = parse_path(text)
    assert [(segment.item, segment.text) for segment in segments] == steps
    for segment in segments:
        assert text[segment.column - 1 + segment.item :].startswith(segment.text)


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_a_located_error(text: str) -> None:
    found: PathError | tuple[Segment, ...]
    try:
        found = parse_path(text)
    except PathError as error:
        found = error
    if isinstance(found, PathError):
        assert 1 <= found.column <= max(len(text), 1)
        assert found.hint
    else:
        assert all(segment.text or segment.item for segment in found)


@pytest.mark.parametrize(
    ("text", "column"),
    [("", 1), (".a", 1), ("a.", 2), ("a..b", 3), ("[a]", 1), ("a[b", 2), ("a]b", 2), ("a[]", 2)],
)
def test_where_a_path_goes_wrong(text: str, column: int) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(text)
    assert caught.value.column == column


def test_a_path_has_an_end() -> None:
    assert len(parse_path(".".join("a" * 64))) == 64
    with pytest.raises(PathError, match="65 steps"):
        parse_path(".".join("a" * 65))


def test_segments() -> None:
    assert parse_path("layers[ hidden ].weight[0]") == (
        Segment("layers", False, 1),
        Segment("hidden", True, 7),
        Segment("weight", False, 18),
        Segment("0", True, 24),
    )


def test_spelling_uses_names_that_are_unique() -> None:
    spelled = Tree(tree())
    assert spelled.spell(("layers", 0, "weight", "std")) == "layers[hidden].weight.std"
    assert spelled.spell(("layers", 1, "parts", 1, "name")) == "layers[out].parts[1].name"
    assert spelled.spell(("layers", 7, "x")) == "layers[7].x"
    assert spelled.spell(("nowhere", 0)) == "nowhere[0]"
    assert spelled.spell(()) == ""


def test_places_are_of_the_thing_or_of_what_is_around_it() -> None:
    spelled = Tree(tree())
    assert spelled.place(("seed",)).column == 7
    assert spelled.place(("seed",), key=True).column == 1
    assert spelled.place(("layers", 0, "weight", "mean")).line == 4
    assert spelled.place(("layers", 0, "weight", "mean")).text.endswith("{std: 0.1}}")
    assert spelled.place(("nowhere",)) == spelled.root.place


@pytest.mark.parametrize(
    ("path", "what", "hint"),
    [
        ("sed", "there is no key `sed`", "did you mean `seed`?"),
        ("layers[hiden]", "no item is named `hiden`", "did you mean `hidden`?"),
        ("layers[2]", "there is no item [2]: the list has 2 items", "positions count from 0"),
        ("layers[" + "9" * 5000 + "]", "there is no item [999", "positions count from 0"),
        ("layers[out].parts[a]", "2 items are named `a`", "pick one by its position: `[0]`"),
        ("layers.hiden.x", "no item is named `hiden`", "did you mean `hidden`?"),
        ("layers.2.x", "there is no item [2]: the list has 2 items", "positions count from 0"),
        ("layers.x", "no item is named `x`", "one of `hidden`, `out`"),
        ("seed.x", "`x` is a key, but it stands under a whole number", ""),
        ("layers[out].parts[3][0].x", "stands under a whole number", ""),
        ("seed[0]", "picks an item of a list, but here is a whole number", ""),
        ("layers[hidden][weight]", "here is a mapping of keys", "a key follows a dot: `.weight`"),
        ("empty[0]", "but here is nothing", ""),
        ("empty.x", "`x` is a key, but it stands under nothing", ""),
    ],
)
def test_paths_that_lead_nowhere_say_where_they_stop(path: str, what: str, hint: str) -> None:
    root = tree()
    with pytest.raises(PathError) as caught:
        follow(root, path)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert plain(root) == plain(tree())
    with pytest.raises(PathError):
        remove(root, path)


@pytest.mark.parametrize(
    ("dotted", "bracketed"),
    [
        ("layers.hidden", "layers[hidden]"),
        ("layers.0.weight.std", "layers[hidden].weight.std"),
        ("layers.out.parts.3.1", "layers[out].parts[3][1]"),
    ],
)
def test_dots_pick_items_as_brackets_do(dotted: str, bracketed: str) -> None:
    one, other = tree(), tree()
    assert follow(one, dotted) == follow(other, bracketed)
    assert put(one, dotted, Node(7, NOWHERE)) == put(other, bracketed, Node(7, NOWHERE))
    assert plain(one) == plain(other)
    one, other = tree(), tree()
    remove(one, dotted)
    remove(other, bracketed)
    assert plain(one) == plain(other)


def put(root: Node, path: str, value: Node, *, append: bool = False) -> Location:
    return assign(root, path, value, [NOWHERE] * len(parse_path(path)), append=append)


@given(st.data())
def test_what_is_assigned_is_there_and_nothing_else_changes(data: st.DataObject) -> None:
    root = Node(data.draw(st.dictionaries(KEYS, trees(), min_size=1, max_size=3)), NOWHERE)
    location = data.draw(st.sampled_from(locations(root)[1:]))
    before = plain(root)
    assert put(root, Tree(root).spell(location), Node(5, NOWHERE)) == location
    part = before
    for step in location[:-1]:
        part = part[step]
    part[location[-1]] = 5
    assert plain(root) == before


@given(st.data())
def test_what_is_removed_is_gone(data: st.DataObject) -> None:
    root = Node(data.draw(st.dictionaries(KEYS, trees(), min_size=1, max_size=3)), NOWHERE)
    location = data.draw(st.sampled_from(locations(root)[1:]))
    before = plain(root)
    remove(root, Tree(root).spell(location))
    part = before
    for step in location[:-1]:
        part = part[step]
    del part[location[-1]]
    assert plain(root) == before


def test_missing_mappings_are_made_and_lists_grow() -> None:
    root = tree()
    put(root, "training.optimizer.lr", Node(0.1, NOWHERE))
    put(root, "empty.x", Node(1, NOWHERE))
    put(root, "layers[hidden].more", Node("a", NOWHERE), append=True)
    assert put(root, "layers[hidden].more", Node("b", NOWHERE), append=True) == (
        *("layers", 0, "more", 1),
    )
    data = plain(root)
    assert data["training"] == {"optimizer": {"lr": 0.1}}
    assert data["empty"] == {"x": 1}
    assert data["layers"][0]["more"] == ["a", "b"]
    with pytest.raises(PathError, match="adds to a list"):
        put(root, "seed", Node(1, NOWHERE), append=True)
