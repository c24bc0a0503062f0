"""The compiled recurrence: its bits, odd sizes, its functions, and numbers that are not finite."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import (
    ACTIVATIONS,
    FORMULATIONS,
    SparseWeight,
    State,
    activation,
    compiled,
    pattern,
    recurrence,
)

THREADS = (1, 2, 3, 7)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(
    kernel: str,
    formulation: str,
    name: str,
    drive: Tensor,
    weight: Tensor,
    state: Tensor,
    rate_noise: Tensor | None = None,
    alpha: Any = 0.3,
) -> list[Tensor]:
    """The rates, the last potential, and the gradients of the drive, the weight and the state."""
    leaves = [t.detach().clone().requires_grad_() for t in (drive, weight, state)]
    first = State(leaves[2], leaves[2] if formulation == "current" else None)
    rates, last = recurrence(
        leaves[0],
        leaves[1],
        alpha,
        first,
        formulation=formulation,
        activation=activation(name),
        rate_noise=rate_noise,
        kernel=kernel,
    )
    weights = torch.linspace(-1, 1, rates.numel(), dtype=rates.dtype).view_as(rates)
    (rates * weights).sum().backward()
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    potential = [] if last.potential is None else [last.potential.detach()]
    return [rates.detach(), *potential, *gradients]


def sample(
    time: int, batch: int, units: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time + 10 * batch + 100 * units)
    drive = torch.randn(time, batch, units, generator=generator, dtype=dtype)
    weight = torch.randn(units, units, generator=generator, dtype=dtype) / math.sqrt(units)
    return drive, weight, torch.rand(batch, units, generator=generator, dtype=dtype)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_same_bits_for_any_number_of_threads(threads: None, formulation: str) -> None:
    drive, weight, state = sample(40, 29, 65)  # enough work for seven threads
    found = []
    for count in THREADS:
        torch.set_num_threads(count)
        rates, *others = run("compiled", formulation, "tanh", drive, weight, state)
        found.append([rates, *others[:-2], others[-1]])  # torch computes the weight's gradient
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_bits_of_a_trial_do_not_depend_on_the_trials_beside_it(name: str) -> None:
    drive, weight, state = sample(12, 11, 21)
    whole = run("compiled", "current", name, drive, weight, state)[0]
    for first, last in ((0, 1), (3, 4), (2, 9), (5, 11)):
        part = run("compiled", "current", name, drive[:, first:last], weight, state[first:last])[0]
        assert torch.equal(part, whole[:, first:last])


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 5, 8), (3, 0, 4), (2, 4, 9), (5, 3, 7), (4, 9, 17), (2, 1, 33)]
)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_sizes_that_no_tile_divides(formulation: str, shape: tuple[int, int, int]) -> None:
    drive, weight, state = sample(*shape, dtype=torch.float64)
    noise = drive.flip(0) * 0.1
    both = [
        run(kernel, formulation, "softplus", drive, weight, state, noise)
        for kernel in ("compiled", "fused")
    ]
    for ours, expected in zip(*both, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_numbers_that_are_not_finite_flow_as_in_the_plain_loop(
    formulation: str, name: str, value: float
) -> None:
    """The value is in the drive of one trial; the others stay finite."""
    drive, weight, state = sample(6, 5, 10)
    drive[2, 3, 4] = value
    ours = run("compiled", formulation, name, drive, weight, state)
    expected = plain_rates(formulation, name, drive, weight, state)
    assert torch.equal(ours[0].isnan(), expected.isnan())
    assert torch.equal(ours[0].isposinf(), expected.isposinf())
    assert torch.equal(ours[0].isneginf(), expected.isneginf())
    finite = expected.isfinite()
    torch.testing.assert_close(ours[0][finite], expected[finite], rtol=1e-4, atol=1e-5)
    clean = [0, 1, 2, 4]
    assert ours[0][:, clean].isfinite().all()


def plain_rates(formulation: str, name: str, drive: Tensor, weight: Tensor, r: Tensor) -> Tensor:
    f, v, a, rates = activation(name).function, r, 0.3, []
    for d in drive:
        x = r @ weight.mT + d
        if formulation == "current":
            v = (1 - a) * v + a * x
            r = f(v)
        elif formulation == "rate":
            r = (1 - a) * r + a * f(x)
        else:
            r = f((1 - a) * r + a * x)
        rates.append(r)
    return torch.stack(rates)


# The functions, against float64. The errors are those that docs/python.md states.

BOUNDS = {"tanh": (4e-7, 0.0), "sigmoid": (0.0, 2e-7), "softplus": (5e-7, 0.0)}
EXACT = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


def values_of(name: str, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """f(x) as the compiled loops compute it."""
    drive = torch.from_numpy(x).view(1, 1, -1)
    units = drive.shape[-1]
    zero = torch.zeros(1, units, dtype=drive.dtype)
    rates, _ = recurrence(
        drive,
        zero.new_zeros(units, units),
        1.0,
        State(zero, zero),
        formulation="current",
        activation=activation(name),
        kernel="compiled",
    )
    return rates.view(-1).numpy()


@pytest.mark.parametrize("name", EXACT)
def test_the_error_of_functions_in_float32(name: str) -> None:
    relative, absolute = BOUNDS[name]
    for low, high in ((-100, 100), (-10, 10), (-1, 1), (-1e-3, 1e-3), (-1e-20, 1e-20)):
        x = np.linspace(low, high, 1499, dtype=np.float32)
        expected = EXACT[name](x.astype(np.float64))
        found = values_of(name, x)
        small = np.abs(expected) < 1e-35  # where float32 has fewer digits
        error = np.abs(found - expected)[~small]
        assert (error <= relative * np.abs(expected[~small]) + absolute).all(), error.max()
        assert (found[small] < 2e-35).all()


@pytest.mark.parametrize("name", EXACT)
def test_functions_in_float64_are_those_of_the_library(name: str) -> None:
    x = np.linspace(-50, 50, 1001)
    np.testing.assert_allclose(values_of(name, x), EXACT[name](x), rtol=1e-14, atol=1e-300)


def test_functions_of_the_ends_of_the_range() -> None:
    x = np.array([-np.inf, np.inf, -3e38, 3e38, 0.0, np.nan], np.float32)
    with np.errstate(over="ignore"):
        for name in EXACT:
            expected = functional_of(name, torch.from_numpy(x)).numpy()
            np.testing.assert_allclose(values_of(name, x), expected, rtol=1e-6, atol=1e-37)


def functional_of(name: str, x: Tensor) -> Tensor:
    return {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": functional.softplus}[name](x)


# Where the loops cannot run


def test_weights_that_compiled_loops_do_not_multiply_with() -> None:
    weight = torch.ones(1, 1)
    assert compiled.runs(weight)
    assert compiled.why_not(weight) == ""
    sparse = SparseWeight(torch.ones(1), pattern(torch.tensor([0, 1]), torch.tensor([0]), 1))
    for other, why in (
        (sparse, "the weight is stored sparse"),
        (weight.half(), "the weight is torch.float16"),
        (weight.to("meta"), "the weight is on meta"),
    ):
        assert not compiled.runs(other)
        assert compiled.why_not(other) == why


def test_the_compiled_kernel_says_why_it_cannot_run() -> None:
    drive, weight, state = sample(2, 3, 4)
    with pytest.raises(ValueError, match=r"cannot run: the weight is torch\.bfloat16"):
        run("compiled", "rate", "relu", drive.bfloat16(), weight.bfloat16(), state.bfloat16())
    one = [t.unsqueeze(-3) for t in (drive, weight, state)]
    with pytest.raises(ValueError, match="cannot run: there are ensemble axes"):
        run("compiled", "rate", "relu", *one)


WITHOUT = {
    "numba cannot be imported": "sys.modules['numba'] = None",
    "numba cannot compile the recurrence": (
        "import numba.core.caching; numba.core.caching.CacheImpl._locator_classes = []"
    ),
}


@pytest.mark.parametrize("message", WITHOUT)
def test_a_machine_without_compiled_loops_says_so_once_and_runs_the_fused_kernel(
    message: str,
) -> None:
    """numba is missing; or no folder for its cache can be written."""
    code = f"""
import sys
{WITHOUT[message]}
import torch
from netbuild.layers import CTRNNLayer
layer = CTRNNLayer(2, 3, alpha=0.5, seed=1)
for _ in range(2):
    rates = layer(torch.ones(1, 2, 2))
fused = CTRNNLayer(2, 3, alpha=0.5, seed=1, kernel="fused")
assert layer.kernel_in_use() == "fused"
assert torch.equal(rates, fused(torch.ones(1, 2, 2)))
print(layer.why_not_compiled())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(message)
    (line,) = done.stderr.splitlines()
    assert line == f"{done.stdout.strip()}: the fused kernel computes the recurrence, more slowly"
