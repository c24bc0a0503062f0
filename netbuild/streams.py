"""Random streams: every draw comes from a seed that is a hash of names and a step.

Nothing random is ever carried from one draw to the next, so nothing needs saving to resume, and
an extra evaluation or `inspect` cannot shift the training that follows.
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(seed: int, *names: str | int) -> int:
    """The seed in [0, 2**63) of the stream that `names` spell, e.g. `("order", epoch)`.

    It is the first 63 bits of sha256("seed/name/name..."), the same on every machine.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_of(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator at the start of the stream that `names` spell."""
    return np.random.default_rng(seed_of(seed, *names))
