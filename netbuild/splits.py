"""Which samples of a task from arrays are trained on, and which are tested; without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netbuild.rounding import round_half_up
from netbuild.streams import seed_of


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """(count,): the whole numbers below `count` in a random order, which `seed` decides.

    It is what `torch.randperm` draws from a CPU generator of this seed: a Fisher-Yates shuffle by
    MT19937. The checks of a spec, which do not load torch, so know which samples are tested.
    """
    twister = np.random.RandomState(seed % 2**32)
    order = list(range(count))
    numbers = twister.randint(0, 2**32, max(count - 1, 0), dtype=np.uint32)  # 32 bits each
    for i, drawn in enumerate(numbers.tolist()):
        j = i + drawn % (count - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


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
