"""A page: everything from outside is escaped, and nothing in it runs or is fetched."""

from __future__ import annotations

import base64
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from report_pages import HOSTILE, Page, check_page

from netbuild.report.cells import (
    Code,
    Doi,
    Listing,
    Note,
    Number,
    Paragraph,
    Picture,
    Report,
    Section,
    Table,
    number,
)  # fmt: skip
from netbuild.report.page import cell, page


def report_of(text: str) -> Report:
    """A report in which every place of a text from outside has this text."""
    blocks = [
        Paragraph((text, Code(text), Doi(text))),
        Note(text),
        Table(text, (text, text), [(Code(text), [text, (text, Number(text))])]),
        Table(text, (), [(text, Code(text))]),
        Listing(text, text, text),
        Picture(text, text, png=b"png", csv=b"1", file=text),
    ]
    return Report(text, text, [Note(text)], [Section("only", "Only", blocks)])


def test_hostile_text_stays_text() -> None:
    plain, hostile = Page(page(report_of("p" * len(HOSTILE)))), check_page(page(report_of(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    keys = [sorted(attributes) for _, attributes in hostile.tags]
    assert keys == [sorted(attributes) for _, attributes in plain.tags]
    assert "<script>alert(1)</script>" in hostile.text
    assert "\\u202e\\x1b[2J" in hostile.text
    assert "\x1b" not in hostile.text


@given(st.text(st.sampled_from("<>&\"'`/{}%#\\;=!- \u202e\x1b\x00\ud800é中a1"), max_size=40))
def test_any_text_is_shown_and_adds_nothing(text: str) -> None:
    found = Page(cell((text, Code(text))).encode())
    assert [tag for tag, _ in found.tags] == ["code"]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    assert found.text == escaped * 2


def test_a_policy_forbids_scripts_and_the_network() -> None:
    found = Page(page(report_of("x")))
    policy = next(a["content"] for t, a in found.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_what_is_saved_has_the_bytes_of_the_file() -> None:
    text = "a: 1 # \u4e2d </a>\n\tb\x00\n"
    found = Page(page(Report("t", "s", [], [Section("a", "A", [Listing("l", text, "x.yaml")])])))
    link = next(a for t, a in found.tags if t == "a" and a.get("download") == "x.yaml")
    assert base64.b64decode(link["href"].partition("base64,")[2]) == text.encode()
    assert "a: 1 # \u4e2d </a>\n\tb\\x00" in found.text


def test_identifiers_become_links_to_doi_org_alone() -> None:
    found = Page(cell(Doi('10.1/x"> javascript:')).encode())
    assert unquote(found.tags[0][1]["href"]) == 'https://doi.org/10.1/x"> javascript:'


def test_numbers() -> None:
    shown = [number(value) for value in (None, 12345, 0.123456, 3.0, 1e-5, -2.5e9, float("inf"))]
    assert shown == ["-", "12,345", "0.1235", "3", "1e-05", "-2.5e+09", "inf"]
