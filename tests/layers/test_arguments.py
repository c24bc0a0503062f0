"""Checks of what a caller gives: activations by name, their formulas, and refusals."""

import math
import pickle

import pytest
import torch

from netbuild.kernels import ACTIVATIONS
from netbuild.layers import activation

FORMULAS = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "retanh": lambda x: math.tanh(max(x, 0)),
    "power": lambda x: max(x, 0) ** 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas(name):
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](v) for v in x.tolist()], dtype=torch.float64)
    for given in (name, {"type": name}):
        torch.testing.assert_close(activation(given)(x), expected)


def test_power_takes_n():
    cube = activation({"type": "power", "n": 3})
    assert cube(torch.tensor([-2.0, 2.0])).tolist() == [0, 8]
    assert pickle.loads(pickle.dumps(cube))(torch.tensor(3.0)) == 27


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("rellu", "unknown activation 'rellu'; did you mean 'relu'"),
        ({"type": "powr", "n": 2}, "did you mean 'power'"),
        ({"n": 2}, "unknown activation None"),
        ({"type": "relu", "n": 2}, "unknown key of activation 'relu' 'n'; it takes none"),
        ({"type": "power", "m": 2}, "unknown key of activation 'power' 'm'"),
        ({"type": "power", "n": 0}, "n of activation 'power' must be a number above 0; got 0"),
        ({"type": "power", "n": math.nan}, "must be a number above 0"),
        ({"type": "power", "n": True}, "must be a number above 0; got True"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(ValueError, match=message):
        activation(given)
