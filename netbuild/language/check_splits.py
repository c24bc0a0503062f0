"""Which samples weights were trained on, so that nothing is ever scored on them as a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.language.context import Context
from netbuild.language.task import Arrays
from netbuild.rounding import round_half_up
from netbuild.yamltree.nodes import Location

HEX_DIGITS = 64  # of a SHA-256
BLOCK = 1 << 20  # values that are converted at once


@dataclass(frozen=True)
class Split:
    """The samples of a data set that are trained on; the rest is the test set.

    They are the first `trained` of a permutation of all `samples`, which `seed` draws. `file` is
    the SHA-256 of the file that holds the inputs, and `data` that of their values: as many samples
    of the same file, or with the same values, are the same samples.
    """

    file: str
    data: str
    samples: int
    trained: int
    seed: int

    def leaks_into(self, later: Split) -> bool:
        """Whether samples that this split trains on belong to the test set of a later one.

        A later split that trains on all samples has no test set of its own.
        """
        same = self.file == later.file or self.data == later.data
        if not same or self.samples != later.samples or later.trained == later.samples:
            return False
        return self.seed != later.seed or self.trained > later.trained

    @property
    def words(self) -> str:
        """The split as a spec says it."""
        return f"split: {{train: {self.trained / self.samples!r}, seed: {self.seed}}}"

    def to_data(self) -> dict[str, Any]:
        """The split as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Split:
        """The inverse of `to_data`; raises KeyError, TypeError or ValueError for other data."""
        split = cls(**{field.name: data[field.name] for field in fields(cls)})
        counts = split.samples, split.trained, split.seed
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("a number of samples, or a seed, is not a count")
        for found in (split.file, split.data):
            if not isinstance(found, str) or len(found) != HEX_DIGITS:
                raise ValueError("a data set without a digest")
        if not 0 < split.trained <= split.samples:
            raise ValueError("a split of no data set")
        return split


def digest_of(array: NDArray[Any]) -> str:
    """The SHA-256 of an array's shape and of its values in float32, in blocks."""
    found = hashlib.sha256(str(array.shape).encode())
    flat = array.reshape(-1)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite in it
        for start in range(0, flat.size, BLOCK):
            found.update(flat[start : start + BLOCK].astype("<f4").tobytes())
    return found.hexdigest()


def split_of(context: Context, samples: int, data: str) -> Split | None:
    """How the arrays of a task are split; None for a task of another type.

    `data` is the digest of its inputs.
    """
    task = context.parsed.task
    if not isinstance(task, Arrays):
        return None
    where = "task.inputs.file" if task.inputs.file is not None else "task.file"
    seed = context.parsed.seed if task.split.seed is None else task.split.seed
    trained = round_half_up(task.split.train, samples)
    return Split(context.files[where].sha256, data, samples, trained, seed)


def refuse_leaks(
    context: Context, location: Location, who: str, earlier: Iterable[Split], now: Split | None
) -> None:
    """Note a problem where a split tests on samples that `who` has trained on."""
    for split in earlier:
        if now is not None and split.leaks_into(now):
            what = f"{who} trained on samples of the same file that are test samples here"
            context.problem("NB311", location, what, f"write `task: {{{split.words}}}`")
            return
