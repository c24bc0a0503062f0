"""How text that somebody else wrote is shown: names, paths, logs, messages of libraries."""

from __future__ import annotations

import re

# The control characters but tab and newline, and the bytes that are such characters in some
# encodings, as Python has them in a path that is not UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")


def one_line(text: str) -> str:
    """As `printable`, with tabs and the ends of lines written so too."""
    return printable(re.sub("[\t\n]", lambda found: f"\\u{ord(found[0]):04x}", text))


def printable(text: str) -> str:
    """The text with its control characters written as `\\u001b`, so that no terminal obeys them.

    In JSON, whose strings write them so too, that changes no value.
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
