"""What differs between two specs or runs: by value, not by text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netbuild.language import Spec

Difference = tuple[str, Any, Any]  # a path, and its value in each; None where it has none
Record = Mapping[str, Any]  # a line of a run's log

CLOCK = ("steps_per_second",)  # the keys of a record that depend on the clock
KINDS = ("train", "evaluation")  # of records, in their order within a step


@dataclass(frozen=True)
class Divergence:
    """The first step that two logs both have and that differs between them."""

    step: int
    kind: str  # "train" or "evaluation"
    differences: list[Difference]
    agreed: int | None  # the last step before that at which the logs agree


def values_of(spec: Spec) -> dict[str, Any]:
    """Every resolved value of a spec by its path; what names a file is one of its inputs."""
    return {path: value for path, value, _ in spec.origins() if path not in spec.files}


def inputs_of(spec: Spec) -> dict[str, Any]:
    """The digest of each file that a spec names, by the path at which the spec names the file."""
    return {where: f"sha256 {record.sha256[:16]}" for where, record in spec.files.items()}


def overrides_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that a run was started with; `about` is its `run.json`."""
    given = {"--set": about.get("overrides"), "--unset": about.get("unset")}
    return {option: value for option, value in given.items() if value}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The paths whose values differ, those of `one` first, in its order."""
    paths = dict.fromkeys((*one, *other))
    return [
        (path, one.get(path), other.get(path))
        for path in paths
        if path not in one or path not in other or not _same(one[path], other[path])
    ]


def first_divergence(one: Iterable[Record], other: Iterable[Record]) -> Divergence | None:
    """Where the logs of two runs differ first; None where all steps that both have are equal.

    Records are paired by step and kind; keys that depend on the clock are not compared.
    """
    lefts, rights = _in_order(one), _in_order(other)
    left, right = next(lefts, None), next(rights, None)
    agreed: int | None = None
    while left is not None and right is not None:
        if _rank(left) < _rank(right):
            left = next(lefts, None)
        elif _rank(right) < _rank(left):
            right = next(rights, None)
        else:
            one_now, other_now = _timeless(left), _timeless(right)
            if one_now != other_now:  # nearly all records of two logs are equal at a glance
                found = differences(flat(one_now), flat(other_now))
                if found:
                    return Divergence(int(left["step"]), str(left["kind"]), found, agreed)
            agreed = int(left["step"])
            left, right = next(lefts, None), next(rights, None)
    return None


def _in_order(records: Iterable[Record]) -> Iterator[Record]:
    return (
        record
        for record in records
        if isinstance(record, Mapping)
        and record.get("kind") in KINDS
        and isinstance(record.get("step"), int)
    )


def _rank(record: Record) -> tuple[int, int]:
    return int(record["step"]), KINDS.index(record["kind"])


def _timeless(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in CLOCK}


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested data by path, e.g. {"packages.torch": "2.13.0"}."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
