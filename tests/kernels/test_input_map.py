"""The input map of a recurrence: computed with it, and before it by torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import FORMULATIONS, InputMap, State, activation, recurrence

TIME, BATCH, UNITS = 4, 3, 5


def leaves(inputs: int, *, learns: bool = True) -> dict[str, Tensor]:
    """Random tensors, in float64: all that a recurrence with an input map reads."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "input": (TIME, BATCH, inputs),
        "weight": (UNITS, inputs),
        "bias": (UNITS,),
        "more": (TIME, BATCH, UNITS),
        "recurrent": (UNITS, UNITS),
        "alpha": (UNITS,),
        "state": (BATCH, UNITS),
    }
    drawn = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) / 2
        for name, shape in shapes.items()
    }
    drawn["alpha"] = drawn["alpha"].sigmoid()
    return {name: each.requires_grad_(learns) for name, each in drawn.items()}


def run(x: dict[str, Tensor], *, together: bool, more: bool = True, **words: Any) -> Tensor:
    """The rates (time, batch, unit)."""
    words = {"formulation": "current", "kernel": "fused"} | words
    drive = x["more"] if more else None
    inputs = InputMap(x["input"], x["weight"], x["bias"])
    if not together:
        product = functional.linear(*inputs)
        drive, inputs = product if drive is None else product + drive, None
    potential = x["state"] if words["formulation"] == "current" else None
    rates, _ = recurrence(
        drive,
        x["recurrent"],
        x["alpha"],
        State(x["state"], potential),
        activation=activation("tanh"),
        inputs=inputs,
        **words,
    )
    return rates


@pytest.mark.parametrize("inputs", [1, 3, 200])
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("kernel", ["compiled", "fused"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_values_and_gradients_are_those_of_torchs_linear(
    formulation: str, kernel: str, more: bool, inputs: int
) -> None:
    x = leaves(inputs)
    read = [each for name, each in x.items() if more or name != "more"]
    words: dict[str, Any] = {"formulation": formulation, "kernel": kernel, "more": more}
    ours, expected = (run(x, together=together, **words) for together in (True, False))
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    both = [torch.autograd.grad((y * weights).sum(), read) for y in (ours, expected)]
    torch.testing.assert_close(*both)


@pytest.mark.parametrize("name", ["input", "weight", "bias", "more", "recurrent", "alpha"])
def test_each_gradient_may_be_the_only_one(name: str) -> None:
    x = leaves(3, learns=False)
    x[name].requires_grad_()
    both = [torch.autograd.grad(run(x, together=each).sum(), x[name]) for each in (True, False)]
    torch.testing.assert_close(*both)


def test_without_gradients_the_bits_are_the_same() -> None:
    x = leaves(3)
    with torch.no_grad():
        without = run(x, together=True)
    assert torch.equal(without, run(x, together=True))
    assert not without.requires_grad


def test_what_is_added_stays_as_it_was() -> None:
    x = leaves(3)
    before = x["more"].detach().clone()
    run(x, together=True)
    assert torch.equal(x["more"], before)


@pytest.mark.parametrize(
    "shapes",
    [
        {"weight": (UNITS, 2)},
        {"bias": (UNITS + 1,)},
        {"bias": ()},
        {"input": (BATCH, 3)},
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    x = leaves(3) | {name: torch.ones(shape).double() for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=r"must be \(time, batch, input\), \(unit, input\) and"):
        run(x, together=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": torch.ones(TIME, BATCH, 3)}, r"input must be torch.float64 on cpu, as the"),
        (
            {"more": torch.ones(TIME, 1, UNITS).double()},
            r"drive must be shaped like the whole drive",
        ),
        (
            {"weight": torch.ones(2, 3).double(), "bias": torch.ones(2).double()},
            r"drive must be \(time >= 1, batch, 5\); got shape \(4, 3, 2\)",
        ),
    ],
)
def test_what_does_not_fit_the_recurrence_is_refused(
    change: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(leaves(3) | change, together=True)


def test_a_recurrence_needs_a_drive() -> None:
    one = torch.ones(1, 1)
    with pytest.raises(ValueError, match="needs a drive, or `inputs`, or both"):
        recurrence(None, one, 0.5, State(one), formulation="rate", activation=activation("relu"))
