"""Fractions of counts, and which samples of a data set are trained on, chosen on and tested.

Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netbuild.streams import seed_of

HEX_DIGITS = 64  # of a SHA-256
BLOCK = 1 << 20  # values that are converted at once
Selection = Literal["validation", "training", "test"]  # what choices are made on, best first
TrialSet = Literal["validation", "test"]  # trials that are scored


def round_half_up(fraction: float, n: int) -> int:
    """`fraction` (0 to 1) of `n`, rounded to the nearest whole number, halves up.

    The fraction is the decimal that it prints as, not the binary float: 0.29 of 100 is 29, and 0.7
    of 5 is 4.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction is from 0 to 1, got {fraction}")
    if n < 0:
        raise ValueError(f"n is at least 0, got {n}")
    return math.floor(Fraction(str(fraction)) * n + Fraction(1, 2))


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """(count,): the whole numbers below `count` in a random order, which `seed` decides.

    It is what `torch.randperm` draws from a CPU generator of this seed, a Fisher-Yates shuffle by
    MT19937, but without torch, which the checks of a spec do not load.

    The shuffle swaps the items at i and at `partner[i]` >= i, for one i after the other. Then i
    is never touched again, so item i of the result is what lies at `partner[i]` before the swap.
    That place was last filled by the nearest earlier step with the same partner, which put there
    what it found at its own place; so the chains of such steps are followed, all at once.
    """
    own = np.arange(count)
    twister = np.random.RandomState(seed % 2**32)
    numbers = twister.randint(0, 2**32, max(count - 1, 0), dtype=np.uint32)  # 32 bits each
    partner = own.copy()
    partner[:-1] += numbers % (count - own[:-1])
    step = np.sort(partner * count + own) % max(count, 1)  # by partner, then by step
    again = partner[step[1:]] == partner[step[:-1]]
    before = np.full(count, -1)  # the nearest earlier step with the same partner
    before[step[1:][again]] = step[:-1][again]
    found = own.copy()  # what each step finds at its own place
    swaps = partner > own
    found[partner[swaps]] = own[swaps]  # the last step that filled the place, ...
    while not np.array_equal(further := found[found], found):
        found = further  # ... and what that step found at its own
    return np.where(before < 0, partner, found[before])


class Parts(NamedTuple):
    """The positions of samples: those trained on, those that choices are made on, those tested."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]  # may be empty
    test: NDArray[np.int64]  # the same as `train` where all samples are trained on


def counts_of(count: int, train: float, validation: float = 0.0) -> tuple[int, int, int]:
    """How many of `count` samples are for training, for validation, and for testing.

    The numbers are below 1 where a part gets no sample.
    """
    trained, validated = round_half_up(train, count), round_half_up(validation, count)
    return trained, validated, count - trained - validated


def split_of(count: int, train: float, seed: int, validation: float = 0.0) -> Parts:
    """The positions of the samples of each part.

    `train` and `validation` are fractions of the samples, and the rest is the test set; with
    `train` 1 all samples are both trained on and tested. Raises ValueError where no sample is left
    to train on, or, with a validation part, to validate or to test.
    """
    trained, validated, tested = counts_of(count, train, validation)
    if not 0 < trained <= count:
        raise ValueError(f"{trained} of {count} samples to train on (train={train})")
    if validation and (validated < 1 or tested < 1):
        what = f"{validated} of {count} samples for validation and {max(tested, 0)} to test"
        raise ValueError(f"{what} (train={train}, validation={validation})")
    order = permutation(count, seed_of(seed, "split"))
    first, rest = order[:trained], order[trained:]
    return Parts(first, rest[:validated], rest[validated:] if len(rest) else first)


@dataclass(frozen=True)
class SampleSplit:
    """The samples of a data set that are trained on and chosen on; the rest is the test set.

    They are the first `trained` of a permutation of all `samples`, which `seed` draws, and the next
    `validated` ones. `file` is the SHA-256 of the file that holds the inputs, and `data` that of
    their values: as many samples of the same file, or with the same values, are the same samples.
    """

    file: str
    data: str
    samples: int
    trained: int
    seed: int
    validated: int = 0

    @property
    def selects_on(self) -> Selection:
        """The samples that a choice during the training is made on."""
        if self.trained == self.samples:
            return "training"
        return "validation" if self.validated else "test"

    def leaks_into(self, later: SampleSplit) -> bool:
        """Whether a later split scores samples that this one has seen.

        Samples that this split trains on must not be among the later validation or test samples,
        and its validation samples not among the later test samples. A later split that trains on
        all samples has neither.
        """
        same = self.file == later.file or self.data == later.data
        if not same or self.samples != later.samples or later.trained == later.samples:
            return False
        chosen = self.trained + self.validated > later.trained + later.validated
        return self.seed != later.seed or self.trained > later.trained or chosen

    @property
    def words(self) -> str:
        """The split as a spec writes it."""
        train, validation = self.trained / self.samples, self.validated / self.samples
        more = f"validation: {validation!r}, " if self.validated else ""
        return f"split: {{train: {train!r}, {more}seed: {self.seed}}}"

    def to_data(self) -> dict[str, Any]:
        """The split as plain JSON data; a split without validation samples does not mention them.

        So it has the bytes that it had before there were any.
        """
        data = asdict(self)
        return data if self.validated else {k: v for k, v in data.items() if k != "validated"}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SampleSplit:
        """The inverse of `to_data`; raises KeyError, TypeError or ValueError for other data."""
        given = {"validated": 0, **data}
        split = cls(**{field.name: given[field.name] for field in fields(cls)})
        counts = split.samples, split.trained, split.validated, split.seed
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("numbers of samples and seeds are whole numbers from 0")
        for found in (split.file, split.data):
            if not isinstance(found, str) or len(found) != HEX_DIGITS:
                raise ValueError(f"the digest of a data set has {HEX_DIGITS} characters")
        if not 0 < split.trained <= split.trained + split.validated <= split.samples:
            raise ValueError(
                "a split trains on at least one sample, and has no more than there are"
            )
        return split


def digest_of(array: NDArray[Any]) -> str:
    """The SHA-256 of an array's shape and of its values in float32, in blocks."""
    found = hashlib.sha256(str(array.shape).encode())
    flat = array.reshape(-1)
    with np.errstate(over="ignore"):  # values that float32 cannot hold become infinite
        for start in range(0, flat.size, BLOCK):
            found.update(flat[start : start + BLOCK].astype("<f4").tobytes())
    return found.hexdigest()
