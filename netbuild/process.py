"""The state of a process that trains: threads and determinism, for the command line and workers."""

from __future__ import annotations

import os


def prepare(threads: int) -> None:
    """Set the threads of torch, and deterministic algorithms; loads torch."""
    # Before the first CUDA call; without it cuBLAS is not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(threads)
    # As `use_deterministic_algorithms(True)`, which also imports torch's compiler, for seconds.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
