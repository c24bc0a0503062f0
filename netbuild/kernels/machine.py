"""What all machine code of numba shares: whether it runs on this machine, and threads to run it on.

numba is imported, and compiles a function or loads it from its cache, when the function is first
needed. A compilation, which takes some seconds, is told on the logger of this module as
information, and a machine on which functions cannot run as a warning.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

LOG = logging.getLogger(__name__)
PATIENCE = 0.7  # seconds, within which functions are loaded where numba's cache has them


def failure(what: str, run: Callable[[], object]) -> str:
    """Why machine code cannot run here, after a first `run` of it; empty where it can.

    `what` it computes is told where it must be compiled.
    """
    words = f"compiling {what}, once for this machine"
    told = threading.Timer(PATIENCE, LOG.info, [words])
    told.daemon = True
    told.start()
    try:
        run()
    except ImportError as error:
        return f"numba cannot be imported ({_first_line(error)})"
    except Exception as error:  # of numba, LLVM or the disk of its cache
        return f"numba cannot compile {what} ({_first_line(error)})"
    finally:
        told.cancel()
    return ""


def tell(failure: str, instead: str) -> None:
    """Warn that machine code cannot run, and of what runs in its place."""
    LOG.warning("%s: %s", failure, instead)


def in_parts(run: Callable[[int, int], object], bounds: Sequence[int]) -> None:
    """Call run(low, high) for all neighbours in `bounds`, each on a thread."""
    first, *others = pairwise(bounds)
    waiting = [_pool(os.getpid()).submit(run, *each) for each in others]
    run(*first)
    for each in waiting:
        each.result()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked process has none of its parent's."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "machine-code")
