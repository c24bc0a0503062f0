"""Neuron models: the equations and the values of each type of layer, as rows of a table.

`layers/ctrnn.py` computes these equations, and `docs/spec.md` has them in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from netbuild.language.base import Model
from netbuild.language.ctrnn import CTRNN, Noise, RateNoise, ZeroState
from netbuild.language.layer import Named, Power
from netbuild.language.layers import Dropout, Linear
from netbuild.language.plan import LayerPlan
from netbuild.report.cells import Cell, Code, Line, Math, file_of, number, tex_number
from netbuild.report.references import SONG, WILSON_COWAN, YANG


class Neurons(NamedTuple):
    """What a report says of the units of a layer."""

    elements: str  # what the units are, in few words
    rows: list[tuple[str, Cell]]
    cites: tuple[str, ...] = ()


# Activations


_ACTIVATIONS = {
    "linear": r"f(v) = v",
    "relu": r"f(v) = \max(v, 0)",
    "tanh": r"f(v) = \tanh(v)",
    "sigmoid": r"f(v) = \frac{1}{1 + \exp(-v)}",
    "softplus": r"f(v) = \ln(1 + \exp(v))",
    "retanh": r"f(v) = \tanh(\max(v, 0))",
    "power": r"f(v) = \max(v, 0)^{n}",
}


def activation(words: Named | Power) -> Cell:
    """The activation function of a layer."""
    formula = Math(_ACTIVATIONS[words.type])
    exponent = getattr(words, "n", None)
    if exponent is None:
        return (formula,)
    return (formula, ", ", Math(f"n = {tex_number(exponent)}"))


# Linear layers and dropout


def _linear(layer: Linear, plan: LayerPlan, dt: float | None) -> Neurons:
    bias = "" if layer.bias is None else " + b"
    rows: list[tuple[str, Cell]] = [
        ("Type", "memoryless units: a weighted sum and an activation"),
        ("Dynamics", (Math(rf"y_t = f(W x_t{bias})"),)),
        ("Activation", activation(layer.activation)),
        ("Reads", (Math("x"), ": ", Code(plan.reads.layer))),
    ]
    return Neurons(f"{layer.activation.type} units", rows)


def _dropout(layer: Dropout, plan: LayerPlan, dt: float | None) -> Neurons:
    p = tex_number(layer.p)
    drawn = Math(
        rf"y_{{i,t}} = \frac{{m_{{i,t}} x_{{i,t}}}}{{1 - p}}, \quad"
        rf" m_{{i,t}} \sim \text{{Bernoulli}}(1 - p), \quad p = {p}"
    )
    rows: list[tuple[str, Cell]] = [
        ("Type", "dropout: passes on the values that it reads"),
        ("In training", (drawn,)),
        ("In evaluation", (Math("y_t = x_t"),)),
        ("Reads", (Math("x"), ": ", Code(plan.reads.layer))),
    ]
    return Neurons("dropout of the units read", rows)


# Recurrent layers

# Each formulation: the equation in continuous time, those of a step (with the places of the noise
# on rates), what the initial values are of, and who wrote it so.
_FORMULATIONS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "current": (
        r"\tau \frac{\mathrm{d}v}{\mathrm{d}t} = -v + x, \quad r = f(v)",
        (r"v_t = (1 - \alpha) v_{t-1} + \alpha x_t", r"r_t = f(v_t){noise}"),
        "v",
        SONG,
    ),
    "rate": (
        r"\tau \frac{\mathrm{d}r}{\mathrm{d}t} = -r + f(x)",
        (r"r_t = (1 - \alpha) r_{t-1} + \alpha f(x_t){noise}",),
        "r",
        WILSON_COWAN,
    ),
    "update": (
        "",
        (r"r_t = f((1 - \alpha) r_{t-1} + \alpha x_t){noise}",),
        "r",
        YANG,
    ),
}
_SCALINGS = {  # the noise of a step, a part of x, whose effect alpha scales
    "euler_maruyama": r"\sqrt{\frac{2}{\alpha}} \sigma",
    "nn4n": r"\sigma",
    "none": r"\frac{\sigma}{\alpha}",
}
_INPUT_SCALINGS = _SCALINGS | {"none": r"\sigma"}


def _ctrnn(layer: CTRNN, plan: LayerPlan, dt: float | None) -> Neurons:
    continuous, steps, state, source = _FORMULATIONS[layer.formulation]
    extra = r" + m_t" if layer.rate_noise is not None and layer.rate_noise.sigma else ""
    dynamics: list[Line] = [(Math(step.replace("{noise}", extra)),) for step in steps]
    dynamics.append((Math(_total_input(layer)),))
    rows: list[tuple[str, Cell]] = [
        ("Type", ("leaky rate units, formulation ", Code(layer.formulation))),
        ("Continuous time", (Math(continuous),) if continuous else ""),
        ("Dynamics of a step", dynamics),
        ("Integration", _integration(dt)),
        ("Activation", activation(layer.activation)),
        ("Time constant", _time_constants(layer, dt)),
        ("Leak of a step", _leak(layer, plan)),
        ("Initial state", _initial_state(layer, state)),
        ("Noise", _noise(layer)),
        ("Reads", (Math("u"), ": ", Code(plan.reads.layer))),
    ]
    return Neurons(f"leaky rate units ({layer.activation.type})", rows, (source,))


def _total_input(layer: CTRNN) -> str:
    recurrent, given = layer.recurrent, layer.input
    parts = [r"W^{\mathrm{rec}} r_{t-1}"]
    parts += [] if recurrent.bias is None else [r"b^{\mathrm{rec}}"]
    has_noise = layer.input_noise is not None and layer.input_noise.sigma
    parts += [r"W^{\mathrm{in}} " + ("(u_t + k_t)" if has_noise else "u_t")]
    parts += [] if given.bias is None else [r"b^{\mathrm{in}}"]
    parts += ["n_t"] if layer.noise is not None and layer.noise.sigma else []
    return "x_t = " + " + ".join(parts)


def _integration(dt: float | None) -> Cell:
    if dt is None:
        return "Euler's method; time in steps"
    return ("Euler's method, ", Math(rf"\mathrm{{dt}} = {tex_number(dt)}"), " ms")


def _time_constants(layer: CTRNN, dt: float | None) -> Cell:
    own = _values(layer.tau, "ms")
    lines: list[Line] = [(Math(r"\tau = "), own)] if own else []
    for name, area in (layer.areas or {}).items():
        if found := _values(area.tau, "ms"):
            lines.append((Code(name), ": ", Math(r"\tau = "), found))
    return lines


def _leak(layer: CTRNN, plan: LayerPlan) -> Cell:
    given: Mapping[str, Any] | None = plan.arguments.get("alpha")
    if given is None:
        return ""
    values = np.asarray(given["value"], float)
    low, high = float(values.min()), float(values.max())
    is_tau = layer.tau is not None or any(a.tau is not None for a in (layer.areas or {}).values())
    name = r"\alpha = \frac{\mathrm{dt}}{\tau}" if is_tau else r"\alpha"
    if low == high:
        said: Line = (Math(f"{name} = {tex_number(low)}"),)
    else:
        ends = f"{tex_number(low)} \\dots {tex_number(high)}"
        said = (Math(f"{name} = {ends}"), f" ({values.size} values)")
    learnt = "learnt from there, held within [0.0001, 1]" if given.get("learn") else "not learnt"
    return (*said, f"; {learnt}")


def _initial_state(layer: CTRNN, state: str) -> Cell:
    start = layer.initial_state
    if isinstance(start, ZeroState):
        return (Math("v_0 = r_0 = 0" if state == "v" else "r_0 = 0"),)
    learnt = "learnt" if start.learn else "not learnt"
    after = r", \quad r_0 = f(v_0)" if state == "v" else ""
    return (Math(f"{state}_0 = "), _values(start, ""), Math(after), f"; {learnt}")


def _values(source: Model | None, unit: str) -> str:
    """The value of all units, or where the value of each unit comes from."""
    if source is None:
        return ""
    after = f" {unit}" if unit else ""
    if (value := getattr(source, "value", None)) is not None:
        return f"{number(value)}{after}"
    if (values := getattr(source, "values", None)) is not None:
        return f"{number(min(values))} to {number(max(values))}{after} ({len(values)} values)"
    return f"a value for each unit from {file_of(source.file)}"  # type: ignore[attr-defined]


def _noise(layer: CTRNN) -> Cell:
    lines: list[Line] = []
    for name, noise, scalings in (
        ("n_t", layer.noise, _SCALINGS),
        ("k_t", layer.input_noise, _INPUT_SCALINGS),
    ):
        if noise is not None and noise.sigma:
            lines.append(_gaussian(name, noise, scalings[noise.scaling]))
    if layer.rate_noise is not None and layer.rate_noise.sigma:
        lines.append(_gaussian("m_t", layer.rate_noise, r"\sigma"))
    if not lines:
        return "none"
    return [*lines, "new for each unit, step and trial"]


def _gaussian(name: str, noise: Noise | RateNoise, strength: str) -> Line:
    drawn = rf"{name} = {strength} \xi_t, \quad \xi_t \sim \mathcal{{N}}(0, 1), \quad"
    return (Math(rf"{drawn} \sigma = {tex_number(noise.sigma)}"),)


NEURONS: dict[type[Model], Callable[[Any, LayerPlan, float | None], Neurons]] = {
    Linear: _linear,
    CTRNN: _ctrnn,
    Dropout: _dropout,
}
"""The neuron model of every type of layer."""


def neurons(layer: Any, plan: LayerPlan, dt: float | None) -> Neurons:
    """What a report says of the units of a layer; `dt` is a time step, in ms."""
    return NEURONS[type(layer)](layer, plan, dt)
