"""The log of a run as rows of numbers: what it has of one step is one row, and is sent at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netbuild.folders import entered
from netbuild.rundir import METRICS
from netbuild.tracking.trackers import Row

BLOCK = 1 << 20  # bytes that are read at once
LONGEST = 1 << 24  # bytes of a line


class Log:
    """Reads the log of a run while it grows.

    A step is complete as soon as the log has a line of a later one. Its training values and its
    evaluation therefore never come apart, even if the training is killed between them.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / METRICS
        self._read = 0  # bytes, which end with a line
        self._last: Row | None = None  # of the step that may not be complete

    def rows(self) -> Iterator[list[Row]]:
        """The rows that are complete, since the last call; raises OSError and ValueError."""
        while lines := self._lines():
            found = []
            for line in lines:
                record = json.loads(line)
                step, values = int(record["step"]), dict(values_of(record))
                if self._last is not None and self._last.step == step:
                    self._last = Row(step, {**self._last.values, **values})
                    continue
                if self._last is not None:
                    found.append(self._last)
                self._last = Row(step, values)
            yield found

    def last(self) -> Row | None:
        """The row of the last step, once no line of it can follow."""
        return self._last

    def _lines(self) -> list[bytes]:
        """The next whole lines."""
        with entered(self._path.parent) as folder:
            descriptor = folder.open(self._path.name)
        with os.fdopen(descriptor, "rb") as stream:
            stream.seek(self._read)
            block = stream.read(BLOCK)
            while block and b"\n" not in block and len(block) < LONGEST:
                more = stream.read(BLOCK)
                if not more:
                    return []
                block += more
        whole = block[: block.rfind(b"\n") + 1]
        if not whole and len(block) >= LONGEST:
            raise ValueError(f"a line of more than {LONGEST:,} bytes in {METRICS}")
        self._read += len(whole)
        return whole.splitlines()


def values_of(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line, by name; a number that is not finite is null there, and left out."""
    group = record.get("on", "test") if record["kind"] == "evaluation" else record["kind"]
    yield from numbers(str(group), {k: v for k, v in record.items() if k != "step"})


def numbers(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers in nested data, by the path to them: `train/regularizers/rates/raw`."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from numbers(f"{name}/{key}", each)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value
