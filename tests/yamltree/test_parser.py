"""The parser: places, merges, limits, and errors in plain words."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from yaml_problems import problem_of

from netbuild.errors import Place, SpecError
from netbuild.yamltree import parser
from netbuild.yamltree.document import parse, parse_value
from netbuild.yamltree.nodes import Node, plain
from netbuild.yamltree.parser import MAX_DEPTH, MAX_NODES


@st.composite
def documents(draw: st.DrawFn, depth: int = 0) -> object:
    scalars = st.one_of(
        st.integers(-999, 999),
        st.booleans(),
        st.sampled_from(["a", "b c", "é", "🧠", "x: y", "no"]),
    )
    if depth == 3:
        return draw(scalars)
    below = documents(depth + 1)
    keys = st.sampled_from(["a", "bb", "c c", "ü", "1", "true", "~", "-", "#"])
    return draw(
        st.one_of(scalars, st.lists(below, max_size=3), st.dictionaries(keys, below, max_size=3))
    )


def nodes_of(node: Node) -> list[Node]:
    below = [*node.items, *node.entries.values()]
    return [node, *(found for child in below for found in nodes_of(child))]


def span_of(place: Place) -> str:
    return place.text[place.column - 1 : place.end_column - 1]


@settings(max_examples=200, deadline=None)
@given(documents(), st.sampled_from([True, False, None]), st.sampled_from(["\n", "\r\n"]))
def test_places_point_at_the_text_they_claim(data: object, flow: bool | None, end: str) -> None:
    text = yaml.safe_dump({"root": data}, default_flow_style=flow, allow_unicode=True, width=10**6)
    text = text.replace("\n", end)
    root = parse(text, "x.yaml")
    assert plain(root) == {"root": data}
    lines = text.split(end)
    for node in nodes_of(root):
        for place in filter(None, (node.place, node.key_place)):
            assert place.text == lines[place.line - 1]
            assert 1 <= place.column < place.end_column
        span = span_of(node.place)
        if not isinstance(node.value, (dict, list)):
            assert parse_value(span, "x", 0).value == node.value
        elif span.endswith(("]", "}")) and span[0] in "[{":
            assert plain(parse_value(span, "x", 0)) == plain(node)
        for key, child in node.entries.items():
            assert child.key_place is not None
            word = span_of(child.key_place)
            assert (yaml.safe_load(word) if word[0] in "'\"" else word) == key


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("a: {b: 1, c: [2]}  # c", {"a": "{b: 1, c: [2]}", "b": "1", "c": "[2]"}),
        ("a:   [1,\n  2]", {"a": "[1"}),
        ("a:\n  b: some text # c", {"a": "b: some text", "b": "some text"}),
        ("a:\n- b: 1\n  c: 2", {"b": "1", "c": "2"}),
        ("\"a\": 'x'", {"a": "'x'"}),
        ("a: |\n  text\n", {"a": "|"}),
        ("a: &x {b: 1}\nc: *x", {"a": "&x {b: 1}", "c": "&x {b: 1}"}),
        ("a: é🧠b # c", {"a": "é🧠b"}),
        ("a: one\n  two", {"a": "one"}),
    ],
)
def test_spans(text: str, spans: dict[str, str]) -> None:
    found = {}
    for node in nodes_of(parse(text, "x.yaml")):
        if node.key_place:
            found[span_of(node.key_place).strip("\"'")] = span_of(node.place)
    assert {key: found[key] for key in spans} == spans


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_lines_are_counted_as_the_parser_does(line_break: str) -> None:
    node = parse(f"a: 1{line_break}b: 2", "x.yaml").entries["b"]
    assert node.place == Place("x.yaml", 2, 4, 5, "b: 2")


def test_a_value_after_a_path_has_the_place_of_the_whole_text() -> None:
    node = parse_value("training.steps={a: [1, x]}", "--set #2", 15)
    inner = node.entries["a"].items[1]
    assert inner.place == Place("--set #2", 1, 24, 25, "training.steps={a: [1, x]}")
    assert str(inner.place) == "--set #2, column 24"
    assert node.place.column == 16
    assert parse_value("a=", "--set #1", 2).value is None


def test_merges() -> None:
    text = """
x: &x {a: 1, b: 1}
y: &y {b: 2, c: 2}
one: {<<: *x, a: 3}
two: {<<: [*x, *y], d: 4}
quoted: {"<<": 5}
three: {<<: *x, <<: *y}
"""
    root = parse(text, "x.yaml")
    data = plain(root)
    assert data["one"] == {"a": 3, "b": 1}
    assert data["two"] == {"a": 1, "b": 1, "c": 2, "d": 4}
    assert data["quoted"] == {"<<": 5}
    assert data["three"] == {"a": 1, "b": 1, "c": 2}
    merged = root.entries["one"].entries["b"]
    assert merged.place.line == 2  # where the value is written


@given(st.integers(1, 70), st.integers(0, 70))
@settings(deadline=None)
def test_depth_is_what_it_is_once_anchors_are_expanded(outer: int, inner: int) -> None:
    text = f"a: &a {'[' * inner}1{']' * inner}\nb: {'[' * outer}*a{']' * outer}\n"
    if 2 + outer + inner > MAX_DEPTH:
        assert "NB006 nested deeper than 64 levels" in problem_of(text)
    else:
        root = parse(text, "x.yaml")
        assert root.depth == 2 + outer + inner
        assert root.size == len(nodes_of(root)) + 2


def test_the_most_values_that_are_read() -> None:
    rows = "".join(f"  - [{', '.join(['0.25'] * 99)}]\n" for _ in range(990))
    assert parse(f"a:\n{rows}", "x.yaml").size < MAX_NODES


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 500_000,
        "a: " + "{b: " * 250_000,
        "- " * 500_000,
        "a: &a [*a]",
        "a: &a {<<: *a}",
        "a: [" + "0, " * MAX_NODES + "]",
        "a: &a {"
        + ", ".join(f"k{i}: 1" for i in range(300))
        + "}\nb: {<<: ["
        + "*a, " * 500
        + "]}",
        "? " * 5000,
    ],
)
def test_bombs_are_refused_at_once(text: str) -> None:
    said = problem_of(text)
    assert "NB006" in said or "NB005" in said
    assert len(said) < 200


@pytest.mark.parametrize("text", ["a: 1\n---\n", "a: 1\n---\nb: 1\n", "---\n---\n"])
def test_one_document(text: str) -> None:
    assert "NB003 a spec is one YAML document" in problem_of(text)


def test_several_problems_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        parse("a: 014\na: 2\nb: !x y\n3: 4\n", "x.yaml")
    assert [problem.code for problem in caught.value.problems] == [
        *("NB007", "NB004", "NB005", "NB008")
    ]


@pytest.mark.parametrize("loader", [yaml.SafeLoader, parser.Loader])
@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: {b",
        "a: 'x",
        "a: b: c",
        "a: - b",
        "- a\n b: c",
        "a:\n  b: 1\n c: 2",
        "a: @b",
        "]",
    ],
)
def test_syntax_is_explained_with_and_without_libyaml(
    text: str, loader: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser, "Loader", loader)
    said = problem_of(text)
    for word in ("expected", "<block", "scanning", "mapping values"):
        assert word not in said
