"""Training loops of one's own: drawn optimizers and layers, and what is done between the steps."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from faults.lab import Counts, Lab, cores

WHOLE = 2000


def _case(number: int) -> list[str]:
    import loops
    import torch

    torch.set_num_threads(1)
    try:
        return [f"loop {number}: {fault}" for fault in loops.run(number)]
    except Exception as error:  # a case that cannot even be judged
        return [f"loop {number}: cannot be judged: {type(error).__name__}: {error}"]


def every_step(lab: Lab, cases: int | None = None) -> Counts:
    """Constraints are judged by the masks alone after every step of drawn loops."""
    counts = Counts("R27", "drawn optimizers and loops in Python, judged after every step")
    began = time.monotonic()
    numbers = range(WHOLE if cases is None else cases)
    # Processes, since torch's hooks on gradients share the interpreter's lock.
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        for faults in pool.map(_case, numbers, chunksize=50):
            counts.failures += faults[:1]
    counts.cases = len(numbers)
    counts.seconds = time.monotonic() - began
    return counts
