"""Parameters: how a weight or a bias starts, and whether it learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, NonNegative, Positive, tag, told_by
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, parameter

Rows = Annotated[
    Literal["pre", "post"] | None,
    Field(
        description="what the rows of the matrix are: `pre`, entry [i, j] is the connection from"
        " unit i to unit j, shape (input_dim, output_dim); `post`, torch's (output_dim, input_dim)."
        " Must be written for a square matrix; `pre` for any other",
        examples=["pre"],
    ),
]
Learn = Annotated[
    bool, Field(description="whether training changes these values", examples=[False])
]
Array = Annotated[
    str | None,
    Field(description="which array of an `.npz` file", examples=["weight"]),
]
FileName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        description="a file, relative to the spec that names it: .npy, .npz, .csv, .tsv or .txt",
        examples=["masks/plastic.csv"],
    ),
]
Gain = Annotated[Positive, Field(description="factor on the scheme's scale", examples=[1.0])]
Mean = Annotated[float, Field(description="mean of the normal distribution", examples=[0.0])]
Matrix = Annotated[
    list[list[float]],
    Field(min_length=1, description="the rows of a matrix", examples=[[[0.1, -0.2], [0.3, 0.0]]]),
]


class Uniform(Model):
    """U(-1/sqrt(input_dim), 1/sqrt(input_dim)), or U(low, high)."""

    init: Literal["uniform"]
    low: float | None = Field(None, description="lower end of the range", examples=[-0.1])
    high: float | None = Field(None, description="upper end of the range", examples=[0.1])
    learn: Learn = True


class Normal(Model):
    """N(0, 1) / sqrt(input_dim), or N(mean, std^2)."""

    init: Literal["normal"]
    mean: Mean = 0.0
    std: NonNegative | None = Field(
        None, description="standard deviation; 1/sqrt(input_dim) when left out", examples=[0.1]
    )
    learn: Learn = True


class TruncNormal(Model):
    """N(mean, std^2) within [low, high]: 1/sqrt(input_dim) and mean -+ 2 std when left out."""

    init: Literal["trunc_normal"]
    mean: Mean = 0.0
    std: Positive | None = Field(
        None, description="standard deviation before truncation", examples=[0.1]
    )
    low: float | None = Field(None, description="smallest value", examples=[-0.2])
    high: float | None = Field(None, description="largest value", examples=[0.2])
    learn: Learn = True


class Zero(Model):
    """All zero."""

    init: Literal["zero"]
    learn: Learn = True


class Constant(Model):
    """All the same value."""

    init: Literal["constant"]
    value: float = Field(description="the value", examples=[0.1])
    learn: Learn = True


class Xavier(Model):
    """Glorot & Bengio 2010, by `torch.nn.init`."""

    init: Literal["xavier_uniform", "xavier_normal"]
    gain: Gain = 1.0
    learn: Learn = True


class Kaiming(Model):
    """He et al. 2015, by `torch.nn.init`."""

    init: Literal["kaiming_uniform", "kaiming_normal"]
    a: float = Field(0.0, description="negative slope, for `leaky_relu`", examples=[0.0])
    mode: Literal["fan_in", "fan_out"] = Field(
        "fan_in", description="which dimension sets the scale", examples=["fan_in"]
    )
    nonlinearity: Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid"] = Field(
        "leaky_relu", description="the activation that follows", examples=["relu"]
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
    scale: Positive = Field(1.0, description="factor on the counts", examples=[0.01])
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

    values: list[float] = Field(min_length=1, description="one value a unit", examples=[[0.0, 0.1]])
    learn: Learn = True


Weight = Annotated[
    Annotated[Uniform, tag(Uniform)]
    | Annotated[Normal, tag(Normal)]
    | Annotated[TruncNormal, tag(TruncNormal)]
    | Annotated[Zero, tag(Zero)]
    | Annotated[Constant, tag(Constant)]
    | Annotated[Xavier, tag(Xavier)]
    | Annotated[Kaiming, tag(Kaiming)]
    | Annotated[Orthogonal, tag(Orthogonal)]
    | Annotated[Identity, tag(Identity)]
    | Annotated[ConnectomeCounts, tag(ConnectomeCounts)]
    | Annotated[WeightFile, tag(WeightFile)]
    | Annotated[WeightValues, tag(WeightValues)],
    told_by(
        "init",
        *(Uniform, Normal, TruncNormal, Zero, Constant, Xavier, Kaiming, Orthogonal, Identity),
        *(ConnectomeCounts, WeightFile, WeightValues),
    ),
    Shorthand(
        parameter,
        {"type": "string", "description": "an init's bare name, or a file's"},
        {"type": "number", "description": "all the same value"},
        ROWS | {"description": "the rows of a matrix"},
    ),
]
Bias = Annotated[
    Annotated[Uniform, tag(Uniform)]
    | Annotated[Normal, tag(Normal)]
    | Annotated[TruncNormal, tag(TruncNormal)]
    | Annotated[Zero, tag(Zero)]
    | Annotated[Constant, tag(Constant)]
    | Annotated[BiasFile, tag(BiasFile)]
    | Annotated[BiasValues, tag(BiasValues)],
    told_by("init", Uniform, Normal, TruncNormal, Zero, Constant, BiasFile, BiasValues),
    Shorthand(
        parameter,
        {"type": "string", "description": "an init's bare name, or a file's"},
        {"type": "number", "description": "all the same value"},
        NUMBERS | {"description": "one value a unit"},
    ),
]
