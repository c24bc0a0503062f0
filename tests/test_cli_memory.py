"""Freed memory is kept, where the C library is glibc."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A tensor's pages, freed and taken again: none is faulted in anew.
FAULTS = """\
import resource, torch
from netbuild.cli.memory import keep_freed_memory
assert keep_freed_memory()
for _ in range(3):
    torch.ones(4, 1 << 20)  # 16 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(4, 1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_pages_are_used_again() -> None:
    result = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 4096  # of 40,960 that ten fresh tensors take
