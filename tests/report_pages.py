"""What a browser would make of a report, and text that a page must not obey."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>]]>--> {{ 7*7 }} \u202e\x1b[2J"


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    VOID = ("meta", "link", "br", "wbr", "img", "path", "use")

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(content.decode())
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] for _, found in self.tags if attribute in found]


def check_page(content: bytes) -> Page:
    """Check what every page promises: no script, nothing fetched, headings in order, names once."""
    found = Page(content)
    names = [name for name, _ in found.tags]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(names)
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
    fetched = [*found.values("src"), *found.values("href")]
    for url in fetched:
        assert url.startswith(("data:", "#", "https://doi.org/")), url
    identifiers = found.values("id")
    assert len(identifiers) == len(set(identifiers))
    for url in fetched:
        assert not url.startswith("#") or url[1:] in identifiers
    levels = [int(name[1]) for name in names if name in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for name, attributes in found.tags:
        if name == "img" or attributes.get("role") == "img":
            assert attributes.get("alt") or attributes.get("aria-label")
    assert {"main", "nav", "header", "footer"} <= set(names)
    return found
