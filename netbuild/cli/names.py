"""Names of the files that a command writes where it is not told a name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MOST = 100  # characters of a name
PLAIN = re.compile(r"(?:[A-Za-z0-9_.,&+=]|-(?![a-z]+=))*")  # what stands in a name as it is


def file_name(kind: str, options: Iterable[tuple[str, str]]) -> str:
    """A name, without an ending, for what was made with these options, as (option, value).

    It is `weights` or `rates-condition=coh-units=V1`. Other options have another name: where a
    value is too long, or has characters that are not plain, eight characters of a digest of all
    options follow. The same options always have the same name.
    """
    given = list(options)
    whole = "-".join([kind, *(f"{option}={value}" for option, value in given)])
    if len(whole) <= MOST and all(PLAIN.fullmatch(value) for _, value in given):
        return whole
    readable = re.sub(r"[^A-Za-z0-9_.,&+=-]+", "_", whole)[: MOST - 9]
    digest = hashlib.sha256(repr((kind, given)).encode("utf-8", "backslashreplace")).hexdigest()
    return f"{readable}-{digest[:8]}"
