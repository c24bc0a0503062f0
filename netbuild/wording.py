"""How messages show text that somebody else wrote, and which known word a misspelt word resembles.

Names, paths and logs can hold control characters that a terminal would obey. `show` and `one_line`
make a name safe inside a sentence; `printable` is the last defence for whole outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SHOWN = 80  # characters of a name or a path in a message
MOST_COMPARED = 200  # words with which a misspelt word is compared
MOST_LISTED = 12  # words that a hint lists when none is close

# The control characters but tab and newline, and the bytes that are such characters in some
# encodings, as Python has them in a path that is not UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")


def show(text: str, most: int = SHOWN) -> str:
    """As `one_line`, with the middle left out where the text is longer than `most`."""
    line = one_line(text if len(text) <= 2 * most else text[:most] + text[-most:])
    half = most // 2
    return line if len(line) <= most else f"{line[: most - 1 - half]}…{line[-half:]}"


def one_line(text: str) -> str:
    """The text with everything escaped that is not printable: ends of lines, control characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: str) -> str:
    """The text with its control characters written as `\\u001b`; tabs and line ends stay.

    In JSON, whose strings write them so too, that changes no value.
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def either(words: Sequence[str]) -> str:
    """The words as a choice: `a, b or c`."""
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def counted(count: int, noun: str) -> str:
    """A number of things: `1 sample`, `2,000 samples`."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def did_you_mean(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names the word most like `word`, or "" where none is close."""
    best = nearest(word, words, cutoff)
    return f"did you mean `{show(best)}`?" if best else ""


def near(word: str, words: Iterable[object]) -> str:
    """A hint that names the word most like `word`; where none is close, all words if they are few.

    Duplicates count once.
    """
    known = list(dict.fromkeys(map(str, words)))
    if hint := did_you_mean(word, sorted(known) if len(known) <= MOST_COMPARED else known):
        return hint
    if not 0 < len(known) <= MOST_LISTED:
        return ""
    listed = [f"`{show(w)}`" for w in sorted(known)]
    return f"it can only be {listed[0]}" if len(listed) == 1 else f"one of {', '.join(listed)}"


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """The one of `words` that is most like `word`, whatever the case, or "" where none is close.

    `cutoff` is the least similarity, from 0 to 1, as difflib measures it.
    """
    wanted = word[:80].casefold()
    words = list(words)
    if len(words) > MOST_COMPARED:
        words = _alike(wanted, words)
    folded = {w.casefold(): w for w in words}
    if wanted in folded:
        return folded[wanted]
    import difflib

    match = difflib.get_close_matches(wanted, list(folded), 3, cutoff)
    if not match:
        return ""
    # Of equally similar words, the one with the same first letter: `moter` is `motor`, not `other`.
    ratios = {w: difflib.SequenceMatcher(None, w, wanted).ratio() for w in match}
    equal = [w for w in match if ratios[w] == ratios[match[0]]]
    return folded[max(equal, key=lambda w: (w[:1] == wanted[:1], -match.index(w)))]


def _alike(wanted: str, words: list[str]) -> list[str]:
    """Of thousands of words, the few of about the same length, with the same beginning or end."""
    alike = [w for w in words if abs(len(w) - len(wanted)) < 2]
    end, beginning = wanted[1:] or wanted, wanted[:-1] or wanted
    most = [w for w in alike if w.endswith(end) or w.startswith(beginning)]
    same = [w for w in alike if w.casefold() == wanted]
    return same or most[:MOST_COMPARED] or alike[:MOST_COMPARED]
