"""The equations in reports are those that the layers compute."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from formulas_of_reports import function_of

from netbuild.kernels.activations import ACTIVATIONS
from netbuild.kernels.activations import activation as function
from netbuild.language import load
from netbuild.language.layers import Layer
from netbuild.layers.ctrnn import SCALINGS, CTRNNLayer, Noise, State
from netbuild.report import neurons
from netbuild.report.cells import Cell, Code, Math
from netbuild.report.neurons import NEURONS

SYMBOLS = {r"v_{t-1}": "v", r"r_{t-1}": "r", "x_t": "x", "v_t": "now", r"\alpha": "alpha"}


def words(cell: Cell) -> str:
    """A cell as text."""
    if isinstance(cell, list):
        return "\n".join(map(words, cell))
    return "".join(cell) if isinstance(cell, tuple) else str(cell)


def rows_of(**keys: Any) -> dict[str, Cell]:
    """What is said of a recurrent layer with these keys."""
    layer = {"name": "hidden", "type": "ctrnn", "size": 6, "input_dim": 3, "tau": 50} | keys
    spec = load({"netbuild": 1, "dt": 10, "layers": [layer]})
    found = neurons.neurons(spec.model.layers[0], spec.plan.layers["hidden"], spec.model.dt)
    return dict(found.rows)


def test_every_type_of_layer_has_its_rows() -> None:
    assert set(NEURONS) == set(get_args(get_args(Layer)[0]))
    assert set(neurons._ACTIVATIONS) == set(ACTIVATIONS)
    assert set(neurons._SCALINGS) == set(SCALINGS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    v = torch.linspace(-3, 3, 31, dtype=torch.float64)
    formula = function_of(neurons._ACTIVATIONS[name].replace("{n}", "3"), v="v")
    torch.testing.assert_close(formula(v=v), function(name, 3)(v))


@pytest.mark.parametrize("formulation", ["current", "rate", "update"])
def test_a_step_of_the_layer_is_the_equation(formulation: str) -> None:
    torch.manual_seed(0)
    layer = CTRNNLayer(3, 6, alpha=0.2, formulation=formulation, activation="tanh").double()
    u, v, r = (torch.randn(size, dtype=torch.float64) for size in (3, 6, 6))
    potential = v if formulation == "current" else None
    found = layer.step(u, State(r, potential), layer.parameters_of_step())
    p = layer.parameters_of_step()
    x = p.recurrent_weight @ r + p.input_weight @ u + p.bias  # type: ignore[operator]
    dynamics = rows_of(formulation=formulation, activation="tanh")["Dynamics of a step"]
    *steps, total = words(dynamics).split("\n")
    assert total == (
        r"x_t = W^{\mathrm{rec}} r_{t-1} + b^{\mathrm{rec}} + W^{\mathrm{in}} u_t + b^{\mathrm{in}}"
    )
    values = {"alpha": 0.2, "v": v, "r": r, "x": x, "f": torch.tanh}
    for step in steps:
        values["now"] = function_of(step, **{k.replace("\\", "__"): n for k, n in SYMBOLS.items()})(
            **values
        )
    torch.testing.assert_close(found.rate, values["now"])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_strength_of_noise(scaling: str) -> None:
    strength = function_of(neurons._SCALINGS[scaling], __alpha="alpha", __sigma="sigma")
    found = strength(alpha=0.2, sigma=0.15)
    assert math.isclose(found, Noise(0.15, scaling).factor(0.2))  # type: ignore[arg-type]


def test_noise_on_inputs_is_as_strong_as_the_layer_makes_it() -> None:
    """As `CTRNNLayer._draw_noise`: only `euler_maruyama` follows alpha."""
    assert neurons._INPUT_SCALINGS == neurons._SCALINGS | {"none": r"\sigma"}


def test_rows_of_a_recurrent_layer() -> None:
    rows = rows_of(
        noise={"sigma": 0.1}, rate_noise=0.2, input_noise=0.3, recurrent={"bias": None},
        initial_state=0.5,
    )  # fmt: skip
    assert words(rows["Leak of a step"]) == r"\alpha = \frac{\mathrm{dt}}{\tau} = 0.2; not learnt"
    assert words(rows["Time constant"]) == r"\tau = 50 ms"
    dynamics = words(rows["Dynamics of a step"]).split("\n")
    assert dynamics[1] == "r_t = f(v_t) + m_t"
    assert dynamics[2] == (
        r"x_t = W^{\mathrm{rec}} r_{t-1} + W^{\mathrm{in}} (u_t + k_t) + b^{\mathrm{in}} + n_t"
    )
    assert len(rows["Noise"]) == 4
    assert words(rows["Initial state"]) == r"v_0 = 0.5, \quad r_0 = f(v_0); not learnt"
    learnt = rows_of(tau=None, alpha={"values": [0.1] * 5 + [0.4], "learn": True})
    said = words(learnt["Leak of a step"])
    assert said == r"\alpha = 0.1 \dots 0.4 (6 values); learnt from there, held within [0.0001, 1]"


def test_names_are_code_and_never_formulas() -> None:
    for cell in rows_of(noise=0.1).values():
        lines = cell if isinstance(cell, list) else [cell]
        for line in lines:
            for piece in line if isinstance(line, tuple) else (line,):
                assert not (isinstance(piece, Math) and "hidden" in piece)
    assert rows_of()["Reads"][-1] == Code("input")
