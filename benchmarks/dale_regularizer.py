"""DaleLawL2, forward and backward, against the trace of a matrix product (NeuroTorch's formula).

`ours` has one sign per presynaptic unit, which is Dale's law; `each` has a separate sign
for each weight. The peer takes the same time for both.

    python -m benchmarks.dale_regularizer
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import alternate
from netbuild.regularization import DaleLawL2
from netbuild.system import keep_freed_memory

SIZES = (512, 724, 1024, 1448, 2048)
ALPHA = 0.8
THREADS = 2


def main() -> None:
    torch.set_num_threads(THREADS)
    keep_freed_memory()  # as the commands do: fresh memory costs as much as the arithmetic
    print(f"DaleLawL2, n x n, forward + backward, float32, {THREADS} threads")
    print("floor: its three kernels alone, into memory that is there; each: a sign for each weight")
    columns = ("ours", "each", "floor", "peer")
    print(f"{'n':>6}{''.join(f'{name:>6} (ms)' for name in columns)} {'peer / ours':>12}")
    ours = []
    for size in SIZES:
        seconds = alternate(candidates(size))
        ours.append(seconds["ours"])
        times = "".join(f" {1e3 * seconds[name]:10.3f}" for name in columns)
        print(f"{size:6}{times} {seconds['peer'] / seconds['ours']:11.0f}x")
    print(f"log-log slope of ours over {SIZES[0]}..{SIZES[-1]}: {slope(SIZES, ours):.2f}")


def candidates(size: int) -> dict[str, Callable[[], None]]:
    """One training step on an n x n weight: ours, ours with any signs, the floor, the peer's."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(size, size, generator=generator, requires_grad=True)
    by_unit = torch.where(torch.arange(size) < 0.8 * size, 1.0, -1.0).expand(size, size)
    by_weight = torch.randn(size, size, generator=generator).sign()
    ours = DaleLawL2([weight], ALPHA, reference_weights=[by_unit])
    each = DaleLawL2([weight], ALPHA, reference_weights=[by_weight])
    signs = ours.reference(0)

    def peer() -> Tensor:
        return torch.trace(weight.T @ (ALPHA * weight - (1 - ALPHA) * signs))

    row, ones, gradient = signs[0].clone(), torch.ones(size), torch.empty(size, size)
    values = weight.detach()

    def floor() -> None:
        torch.dot(values.flatten(), values.flatten())
        torch.mv(values, row)
        torch.addr(values, ones, row, beta=2 * ALPHA, alpha=ALPHA - 1, out=gradient)

    def forward_and_backward(loss: Callable[[], Tensor]) -> None:
        weight.grad = None
        loss().backward()  # type: ignore[no-untyped-call]

    return {
        "ours": lambda: forward_and_backward(ours),
        "each": lambda: forward_and_backward(each),
        "floor": floor,
        "peer": lambda: forward_and_backward(peer),
    }


def slope(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """The exponent k of the power law seconds ~ size^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


if __name__ == "__main__":
    main()
