"""Which samples of a task from arrays are trained on, and which are tested; without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netbuild.rounding import round_half_up
from netbuild.streams import seed_of


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


def split_of(count: int, train: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of the samples that are trained on, and of those that are tested.

    `train` is the fraction trained on; with 1 the same samples are both. Raises ValueError where
    none is left to train on.
    """
    first = round_half_up(train, count)
    if not 0 < first <= count:
        raise ValueError(f"{first} of {count} samples to train on (train={train})")
    order = permutation(count, seed_of(seed, "split"))
    return order[:first], order[first:] if first < count else order[:first]
