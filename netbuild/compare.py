"""What differs between two specs or runs: by meaning, value by value, not by text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbuild.check import Spec

Difference = tuple[str, Any, Any]  # a path, and its value in each; None where it has none


def values_of(spec: Spec) -> dict[str, Any]:
    """Every resolved value of a spec by its path; of a file, what it holds and not its name."""
    values = {path: value for path, value, _ in spec.origins()}
    digests = {where: f"sha256 {record.sha256[:16]}" for where, record in spec.files.items()}
    return values | digests


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The paths whose values differ, those of `one` first, in its order."""
    paths = dict.fromkeys((*one, *other))
    return [
        (path, one.get(path), other.get(path))
        for path in paths
        if path not in one or path not in other or not _same(one[path], other[path])
    ]


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested data by path, e.g. {"packages.torch": "2.13.0"}."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
