"""Freed memory is kept, where the C library is glibc."""

from __future__ import annotations

import platform
import subprocess
import sys

SAYS = "from netbuild.cli.memory import keep_freed_memory; print(keep_freed_memory())"


def test_glibc_takes_the_thresholds_and_others_are_left_alone() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SAYS], capture_output=True, text=True, check=True
    )
    glibc = sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"
    assert result.stdout.strip() == str(glibc)
