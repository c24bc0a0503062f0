"""How the process that trains treats memory that it frees: it keeps it for the next step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_BLOCK = 32 << 20  # bytes; glibc takes no larger threshold
_KEPT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to 32 MiB; whether it does (other systems: False).

    Each step of a training frees tensors of some megabytes and asks for them again. Given back to
    the system they return as fresh pages, one fault for every 4 KiB, which costs a recurrent
    network of 256 units about a tenth of its time.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    kept = mallopt(_TRIM_THRESHOLD, _KEPT)
    return bool(kept and mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK))
