"""Parameters: how a weight or a bias starts, and whether it learns."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from netbuild.files.door import ARRAYS
from netbuild.language.base import Model, NonNegative, OneOf, Positive, key
from netbuild.language.context import Here
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, parameter
from netbuild.wording import either

Rows = Annotated[
    Literal["pre", "post"] | None,
    key(
        ...,
        "what the rows of the matrix are: `pre`, entry [i, j] is the connection from"
        " unit i to unit j, shape (input_dim, output_dim); `post`, torch's (output_dim, input_dim)."
        " Must be written for a square matrix; `pre` for any other",
        "pre",
    ),
]
Learn = Annotated[
    bool, key(..., "whether training changes these values", False, also="learnable trainable")
]
Array = Annotated[
    str | None,
    key(..., "which array of an `.npz` file", "weight"),
]
FileName = Annotated[
    str,
    key(
        ...,
        f"a file, relative to the spec that names it: {either(ARRAYS)}",
        "masks/plastic.csv",
        min_length=1,
        max_length=1024,
    ),
]
Gain = Annotated[Positive, key(..., "factor on the scheme's scale", 1.0)]
Mean = Annotated[float, key(..., "mean of the normal distribution", 0.0)]
Matrix = Annotated[
    list[list[float]],
    key(..., "the rows of a matrix", [[0.1, -0.2], [0.3, 0.0]], min_length=1),
]


class Uniform(Model):
    """U(-1/sqrt(input_dim), 1/sqrt(input_dim)), or U(low, high)."""

    init: Literal["uniform"]
    low: float | None = key(None, "lower end of the range", -0.1)
    high: float | None = key(None, "upper end of the range", 0.1)
    learn: Learn = True


class Normal(Model):
    """N(0, 1) / sqrt(input_dim), or N(mean, std^2)."""

    init: Literal["normal"]
    mean: Mean = 0.0
    std: NonNegative | None = key(None, "standard deviation; 1/sqrt(input_dim) when left out", 0.1)
    learn: Learn = True


class TruncNormal(Model):
    """N(mean, std^2) within [low, high]: 1/sqrt(input_dim) and mean -+ 2 std when left out."""

    init: Literal["trunc_normal"]
    mean: Mean = 0.0
    std: Positive | None = key(None, "standard deviation before truncation", 0.1)
    low: float | None = key(None, "smallest value", -0.2)
    high: float | None = key(None, "largest value", 0.2)
    learn: Learn = True


class Zero(Model):
    """All zero."""

    init: Literal["zero"]
    learn: Learn = True


class Constant(Model):
    """All the same value."""

    init: Literal["constant"]
    value: float = key(..., "the value", 0.1)
    learn: Learn = True


class Xavier(Model):
    """Glorot & Bengio 2010, by `torch.nn.init`."""

    init: Literal["xavier_uniform", "xavier_normal"]
    gain: Gain = 1.0
    learn: Learn = True


class Kaiming(Model):
    """He et al. 2015, by `torch.nn.init`."""

    init: Literal["kaiming_uniform", "kaiming_normal"]
    a: float = key(0.0, "negative slope, for `leaky_relu`", 0.0)
    mode: Literal["fan_in", "fan_out"] = key("fan_in", "which dimension sets the scale", "fan_in")
    nonlinearity: Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid"] = key(
        "leaky_relu", "the activation that follows", "relu"
    )
    learn: Learn = True


class Orthogonal(Model):
    """Saxe et al. 2013: orthonormal rows or columns, times `gain`."""

    init: Literal["orthogonal"]
    gain: Gain = 1.0
    learn: Learn = True


class Identity(Model):
    """The identity matrix times `gain`."""

    init: Literal["identity"]
    gain: Gain = 1.0
    learn: Learn = True


class ConnectomeCounts(Model):
    """The synapse counts of the layer's connectome, under its signs, times `scale`."""

    init: Literal["connectome"]
    scale: Positive = key(1.0, "factor on the counts", 0.01)
    learn: Learn = True


class WeightFile(Model):
    """A matrix from a file."""

    file: FileName
    array: Array = None
    rows: Rows = None
    learn: Learn = True


class WeightValues(Model):
    """A matrix written into the spec."""

    values: Matrix
    rows: Rows = None
    learn: Learn = True


class BiasFile(Model):
    """A vector from a file: one value a unit."""

    file: FileName
    array: Array = None
    learn: Learn = True


class BiasValues(Model):
    """A vector written into the spec: one value a unit."""

    values: list[float] = key(..., "one value a unit", [0.0, 0.1], min_length=1)
    learn: Learn = True


Weight = Annotated[
    Uniform
    | Normal
    | TruncNormal
    | Zero
    | Constant
    | Xavier
    | Kaiming
    | Orthogonal
    | Identity
    | ConnectomeCounts
    | WeightFile
    | WeightValues,
    OneOf("init"),
    Shorthand(
        parameter,
        {"type": "string", "description": "an init's bare name, or a file's"},
        {"type": "number", "description": "all the same value"},
        ROWS | {"description": "the rows of a matrix"},
    ),
]
Bias = Annotated[
    Uniform | Normal | TruncNormal | Zero | Constant | BiasFile | BiasValues,
    OneOf("init"),
    Shorthand(
        parameter,
        {"type": "string", "description": "an init's bare name, or a file's"},
        {"type": "number", "description": "all the same value"},
        NUMBERS | {"description": "one value a unit"},
    ),
]


# What is known of an init's values before they are drawn


def check_numbers(here: Here, source: Model, input_dim: int) -> None:
    """Check the arguments of an init, each by itself and together."""
    if not here.numbers_fit(source):
        return
    low, high = getattr(source, "low", None), getattr(source, "high", None)
    if low is None and high is None:
        return
    if low is None or high is None:
        missing = "low" if low is None else "high"
        here.problem("NB308", "`low` and `high` go together", f"write `{missing}` too")
    elif low >= high:
        what = f"`low`, {low:g}, is not below `high`, {high:g}"
        here["low"].problem("NB104", what)
    elif isinstance(source, TruncNormal):
        std = source.std if source.std is not None else 1 / math.sqrt(input_dim)
        if not low - 2 * std <= source.mean <= high + 2 * std:
            what = f"the mean, {source.mean:g}, is far outside of {low:g} to {high:g}"
            hint = f"at most 2 standard deviations, here {2 * std:g}, from the range"
            here.problem("NB308", what, hint)


def sure_value(source: Model) -> float | None:
    """The one value that an init gives to all weights; None where they differ, or are drawn."""
    if isinstance(source, Zero):
        return 0.0
    if isinstance(source, Constant):
        return source.value
    return source.mean if isinstance(source, Normal) and source.std == 0 else None


def chance_above_zero(source: Model, inputs: int) -> float:
    """The probability that a weight of a drawing init is above 0."""
    if isinstance(source, Uniform) and source.low is not None and source.high is not None:
        return min(max(source.high / (source.high - source.low), 0.0), 1.0)
    if not isinstance(source, (Normal, TruncNormal)):
        return 0.5  # all others are symmetric
    std = 1 / math.sqrt(inputs) if source.std is None else source.std
    if isinstance(source, Normal):
        return _below(source.mean / std)
    low = source.mean - 2 * std if source.low is None else source.low
    high = source.mean + 2 * std if source.high is None else source.high
    if low >= 0 or high <= 0:
        return float(low >= 0)
    ends = [_below((end - source.mean) / std) for end in (low, 0.0, high)]
    return (ends[2] - ends[1]) / (ends[2] - ends[0])


def mean_magnitude(source: Weight, inputs: int) -> float:
    """E|w| of an init, where it is simple; else 0."""
    if isinstance(source, Uniform) and source.low is None:
        return 0.5 / math.sqrt(inputs)
    if isinstance(source, Normal) and source.mean == 0:
        std = 1 / math.sqrt(inputs) if source.std is None else source.std
        return std * math.sqrt(2 / math.pi)
    return 0.0


def _below(value: float) -> float:
    """The distribution function of N(0, 1)."""
    return math.erfc(-value / math.sqrt(2)) / 2
