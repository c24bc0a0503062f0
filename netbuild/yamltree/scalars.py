"""Plain scalars by YAML 1.2's core schema, as in editors: `1e-3` is a number, `no` is text."""

from __future__ import annotations

import math
import re

from netbuild.wording import show
from netbuild.yamltree.nodes import Scalar

MAX_DIGITS = 18  # of a whole number: it fits 64 bits
MAX_LENGTH = 64  # of a number with a fraction

# Section 10.3.2.
NULLS = re.compile(r"(~|null|Null|NULL|)$")
BOOLS = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
SPECIAL = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")
PLAIN = frozenset(["", *"~nNtTfF.+-0123456789"])  # what anything but text can begin with


def resolve(text: str) -> Scalar:
    """A plain scalar's value by YAML 1.2's core rules.

    Raises ValueError(what, hint) for `014` and for numbers that 64 bits cannot hold.
    """
    if "\n" in text or text[:1] not in PLAIN:
        return text
    if NULLS.match(text):
        return None
    if BOOLS.match(text):
        return text[0] in "tT"
    if INT.match(text):
        return _whole(text)
    if FLOAT.match(text):
        return _fractional(text)
    if SPECIAL.match(text):
        return float(text.replace(".", "", 1))
    return text


def _whole(text: str) -> int:
    sign, digits = ("-" if text[0] == "-" else ""), text.lstrip("+-")
    if digits.isdecimal() and len(digits) > 1 and digits[0] == "0":
        decimal = digits.lstrip("0") or "0"
        octal = "" if sign or set(digits) & set("89") else f" or 0o{decimal}"
        hint = f"write {sign}{show(decimal, 24)}{show(octal, 24)}; quote it if it is text"
        raise ValueError(f"`{show(text, 24)}` begins with a zero", hint)
    if len(digits) > MAX_DIGITS:
        hint = f"at most {MAX_DIGITS} are possible; quote it if it is text"
        raise ValueError(f"a whole number of {len(digits)} digits", hint)
    return int(text, 0 if digits[:2] in ("0o", "0x") else 10)


def _fractional(text: str) -> float:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a number of {len(text)} characters", "quote it if it is text")
    value = float(text)
    if math.isinf(value):
        what = f"`{show(text, 24)}` is too large for a number of 64 bits"
        raise ValueError(what, "quote it if it is text")
    return value
