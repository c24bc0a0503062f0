"""The continuous-time recurrent layer: its units, their time constants, noise and areas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, Name, NonNegative, Size, tag, told_by
from netbuild.language.connectome import ConnectomeKey
from netbuild.language.maps import InputMap, RecurrentMap
from netbuild.language.shorthand import NUMBERS, Shorthand, number, per_unit
from netbuild.language.units import RELU, Activation, Excitatory, From, InputDim
from netbuild.language.weights import Array, FileName

AREA = r"^[A-Za-z][A-Za-z0-9_]*$"  # the name of an area

LearnToo = Annotated[
    bool, Field(description="whether training changes these values", examples=[True])
]


class Same(Model):
    """The same value for every unit."""

    value: float = Field(description="the value", examples=[100])
    learn: LearnToo = False


class PerUnit(Model):
    """A value for each unit, written into the spec."""

    values: list[float] = Field(min_length=1, description="one value a unit", examples=[[20, 100]])
    learn: LearnToo = False


class PerUnitFile(Model):
    """A value for each unit, from a file."""

    file: FileName
    array: Array = None
    learn: LearnToo = False


class ZeroState(Model):
    """v = 0 and r = 0 before the first step."""

    init: Literal["zero"]


_NUMBER = {"type": "number", "description": "the same for every unit"}
_NUMBERS = NUMBERS | {"description": "one value a unit"}
_FILE = {"type": "string", "pattern": "[./]", "description": "a file with one value a unit"}

UnitValues = Annotated[
    Annotated[Same, tag(Same)]
    | Annotated[PerUnit, tag(PerUnit)]
    | Annotated[PerUnitFile, tag(PerUnitFile)],
    told_by("init", Same, PerUnit, PerUnitFile),
    Shorthand(per_unit, _NUMBER, _NUMBERS, _FILE),
]
InitialState = Annotated[
    Annotated[ZeroState, tag(ZeroState)]
    | Annotated[Same, tag(Same)]
    | Annotated[PerUnit, tag(PerUnit)]
    | Annotated[PerUnitFile, tag(PerUnitFile)],
    told_by("init", ZeroState, Same, PerUnit, PerUnitFile),
    Shorthand(per_unit, {"enum": ["zero"]}, _NUMBER, _NUMBERS, _FILE),
]
Tau = Annotated[
    UnitValues | None,
    Field(description="time constant, in ms; alpha = dt / tau, in (0, 1]", examples=[100]),
]
Alpha = Annotated[
    UnitValues | None,
    Field(description="the leak of one step, dt / tau, in (0, 1]", examples=[0.2]),
]


class Noise(Model):
    """Gaussian noise, drawn anew at each step of each trial in training; none in evaluation."""

    sigma: NonNegative = Field(description="its strength", examples=[0.15])
    scaling: Literal["euler_maruyama", "nn4n", "none"] = Field(
        "euler_maruyama",
        description="what is added to alpha (W_rec r + W_in u): sqrt(2 alpha) sigma N(0, 1)"
        " (`euler_maruyama`: the stationary spread does not depend on dt), alpha sigma N(0, 1)"
        " (`nn4n`), or sigma N(0, 1) (`none`)",
        examples=["euler_maruyama"],
    )


class RateNoise(Model):
    """Gaussian noise on the rates, sigma N(0, 1), in training; none in evaluation."""

    sigma: NonNegative = Field(description="its standard deviation", examples=[0.05])


class Area(Model):
    """One area of a layer: units that stand together."""

    size: Size = Field(description="units of this area", examples=[60])
    excitatory: Excitatory = None
    tau: Annotated[
        UnitValues | None,
        Field(
            description="time constant, in ms; the layer's when left out. All areas learn theirs,"
            " or none does",
            examples=[20],
        ),
    ] = None
    alpha: Alpha = None


class CTRNN(Model):
    """Leaky rate units in continuous time, by Euler's method; alpha = dt / tau.

    With x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in a step is, in the formulation
    `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t]);
    `rate`: r[t] = (1 - alpha) r[t-1] + alpha f(x[t]);
    `update`: r[t] = f((1 - alpha) r[t-1] + alpha x[t]).
    """

    type: Literal["ctrnn"]
    name: Name
    from_: From = Field(None, alias="from")
    input_dim: InputDim = None
    size: Size | None = Field(
        None,
        description="units of this layer; `areas` or a `connectome` say it where there are some",
        examples=[50],
    )
    connectome: ConnectomeKey = None
    excitatory: Excitatory = None
    areas: dict[str, Area] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="the areas of which the layer consists, by name, in order",
        examples=[{"V1": {"size": 60, "excitatory": 0.8}, "PFC": {"size": 40}}],
        json_schema_extra={"propertyNames": {"pattern": AREA, "maxLength": 64}},
    )
    formulation: Literal["current", "rate", "update"] = Field(
        "current",
        description="the equation of a step, where x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in."
        " `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t]). `rate`:"
        " r[t] = (1 - alpha) r[t-1] + alpha f(x[t]). `update`:"
        " r[t] = f((1 - alpha) r[t-1] + alpha x[t])",
        examples=["current"],
    )
    activation: Activation = Field(RELU, description="f", examples=["tanh"])
    tau: Tau = None
    alpha: Alpha = None
    initial_state: InitialState = Field(
        ZeroState.model_construct(init="zero"),
        description="before the first step: v = r = 0 (`zero`), or values of v, where r = f(v);"
        " in the formulations `rate` and `update` values of r",
        examples=["zero"],
    )
    noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = Field(
        None, description="noise on the pre-activation", examples=[0.15]
    )
    rate_noise: Annotated[RateNoise | None, Shorthand(number("sigma"), {"type": "number"})] = Field(
        None,
        description="noise on the rates, which are read and fed back with it",
        examples=[0.05],
    )
    input_noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = Field(
        None,
        description="noise on what the layer reads, scaled as `noise` would be: sqrt(2 / alpha)"
        " sigma N(0, 1) (`euler_maruyama`), or sigma N(0, 1)",
        examples=[0.01],
    )
    input: InputMap = Field(
        InputMap.model_construct(),
        description="the map from what the layer reads",
        examples=[{"weight": "normal"}],
    )
    recurrent: RecurrentMap = Field(
        RecurrentMap.model_construct(),
        description="the map from the layer to itself",
        examples=[{"weight": "normal", "self_connections": False}],
    )
    kernel: Literal["fused", "reference"] = Field(
        "fused",
        description="how the recurrence is computed: `fused`, all steps in one hand-written forward"
        " and backward pass, or `reference`, a plain loop, slower by much",
        examples=["fused"],
    )
