"""The continuous-time recurrent layer: its units, their time constants, noise and areas."""

from __future__ import annotations

from typing import Annotated, Literal

from netbuild.language.base import Model, NonNegative, OneOf, Size, key
from netbuild.language.maps import InputMap, RecurrentMap
from netbuild.language.shorthand import NUMBERS, Shorthand, number, per_unit
from netbuild.language.units import RELU, Activation, Excitatory, LayerOfUnits
from netbuild.language.weights import Array, FileName

AREA = r"^[A-Za-z][A-Za-z0-9_]*$"  # the name of an area

LearnToo = Annotated[bool, key(..., "whether training changes these values", True)]


class Same(Model):
    """The same value for every unit."""

    value: float = key(..., "the value", 100)
    learn: LearnToo = False


class PerUnit(Model):
    """A value for each unit, written into the spec."""

    values: list[float] = key(..., "one value a unit", [20, 100], min_length=1)
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
    Same | PerUnit | PerUnitFile,
    OneOf("init"),
    Shorthand(per_unit, _NUMBER, _NUMBERS, _FILE),
]
InitialState = Annotated[
    ZeroState | Same | PerUnit | PerUnitFile,
    OneOf("init"),
    Shorthand(per_unit, {"enum": ["zero"]}, _NUMBER, _NUMBERS, _FILE),
]
Alpha = Annotated[
    UnitValues | None,
    key(..., "the leak of one step, dt / tau, in (0, 1]", 0.2),
]


class Noise(Model):
    """Gaussian noise, drawn anew at each step of each trial in training; none in evaluation."""

    sigma: NonNegative = key(..., "its strength", 0.15, also="std strength")
    scaling: Literal["euler_maruyama", "nn4n", "none"] = key(
        "euler_maruyama",
        "what is added to alpha (W_rec r + W_in u): sqrt(2 alpha) sigma N(0, 1)"
        " (`euler_maruyama`: the stationary spread does not depend on dt), alpha sigma N(0, 1)"
        " (`nn4n`), or sigma N(0, 1) (`none`)",
        "euler_maruyama",
    )


class RateNoise(Model):
    """Gaussian noise on the rates, sigma N(0, 1), in training; none in evaluation."""

    sigma: NonNegative = key(..., "its standard deviation", 0.05)


class Area(Model):
    """One area of a layer: units that stand together."""

    size: Size = key(..., "units of this area", 60)
    excitatory: Excitatory = None
    tau: UnitValues | None = key(
        None,
        "time constant, in ms; the layer's when left out. All areas learn theirs, or none does",
        20,
    )
    alpha: Alpha = None


class CTRNN(LayerOfUnits):
    """Leaky rate units in continuous time, by Euler's method; alpha = dt / tau.

    With x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in a step is, in the formulation
    `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t]);
    `rate`: r[t] = (1 - alpha) r[t-1] + alpha f(x[t]);
    `update`: r[t] = f((1 - alpha) r[t-1] + alpha x[t]).
    """

    type: Literal["ctrnn"]
    size: Size | None = key(
        None,
        "units of this layer; `areas` or a `connectome` say it where there are some",
        50,
        also="dim hidden_dim hidden_size n_units neurons num_neurons num_units output_dim units",
    )
    areas: dict[str, Area] | None = key(
        None,
        "the areas of which the layer consists, by name, in order",
        {"V1": {"size": 60, "excitatory": 0.8}, "PFC": {"size": 40}},
        min_length=1,
        max_length=1000,
        json_schema_extra={"propertyNames": {"pattern": AREA, "maxLength": 64}},
    )
    formulation: Literal["current", "rate", "update"] = key(
        "current",
        "the equation of a step, where x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in."
        " `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t]). `rate`:"
        " r[t] = (1 - alpha) r[t-1] + alpha f(x[t]). `update`:"
        " r[t] = f((1 - alpha) r[t-1] + alpha x[t])",
        "current",
    )
    activation: Activation = key(RELU, "f", "tanh", also="nonlinearity")
    tau: UnitValues | None = key(None, "time constant, in ms; alpha = dt / tau, in (0, 1]", 100)
    alpha: Alpha = None
    initial_state: InitialState = key(
        ZeroState.model_construct(init="zero"),
        "before the first step: v = r = 0 (`zero`), or values of v, where r = f(v);"
        " in the formulations `rate` and `update` values of r",
        "zero",
        also="h0 hidden_init init_state x0",
    )
    noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None,
        "noise on the pre-activation",
        0.15,
        also="noise_std preact_noise recurrent_noise sigma_rec",
    )
    rate_noise: Annotated[RateNoise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None, "noise on the rates, which are read and fed back with it", 0.05, also="postact_noise"
    )
    input_noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None,
        "noise on what the layer reads, scaled as `noise` would be: sqrt(2 / alpha)"
        " sigma N(0, 1) (`euler_maruyama`), or sigma N(0, 1)",
        0.01,
        also="sigma_in",
    )
    input: InputMap = key(
        InputMap.model_construct(), "the map from what the layer reads", {"weight": "normal"}
    )
    recurrent: RecurrentMap = key(
        RecurrentMap.model_construct(),
        "the map from the layer to itself",
        {"weight": "normal", "self_connections": False},
    )
    kernel: Literal["fused", "reference"] = key(
        "fused",
        "how the recurrence is computed: `fused`, all steps in one hand-written forward"
        " and backward pass, or `reference`, a plain loop, slower by much",
        "fused",
    )
