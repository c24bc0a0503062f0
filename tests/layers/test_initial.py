"""The init schemes against torch's own, and their refusals."""

import inspect
import math

import pytest
import torch
from torch import nn

from netbuild.layers.initial import FOR_A_BIAS, SCHEMES, StartError, arguments_of, draw


def generator():
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize(
    ("scheme", "arguments", "theirs"),
    [
        ("xavier_uniform", {"gain": 2.0}, lambda w, g: nn.init.xavier_uniform_(w, 2.0, g)),
        ("xavier_normal", {}, lambda w, g: nn.init.xavier_normal_(w, 1.0, g)),
        (
            "kaiming_uniform",
            {"a": math.sqrt(5)},
            lambda w, g: nn.init.kaiming_uniform_(w, math.sqrt(5), generator=g),
        ),
        (
            "kaiming_normal",
            {"mode": "fan_out", "nonlinearity": "relu"},
            lambda w, g: nn.init.kaiming_normal_(w, 0, "fan_out", "relu", g),
        ),
        ("orthogonal", {"gain": 3.0}, lambda w, g: nn.init.orthogonal_(w, 3.0, g)),
        ("identity", {"gain": 2.0}, lambda w, g: 2 * nn.init.eye_(w)),
        ("constant", {"value": 2}, lambda w, g: nn.init.constant_(w, 2)),
        ("uniform", {}, lambda w, g: nn.init.uniform_(w, -(4**-0.5), 4**-0.5, g)),
        ("normal", {"mean": 1.0, "std": 2.0}, lambda w, g: nn.init.normal_(w, 1.0, 2.0, g)),
        ("normal", {}, lambda w, g: nn.init.normal_(w, 0.0, 0.5, g)),
        ("trunc_normal", {}, lambda w, g: nn.init.trunc_normal_(w, 0.0, 0.5, -1.0, 1.0, g)),
        ("zero", {}, lambda w, g: nn.init.zeros_(w)),
    ],
)
def test_schemes_are_torchs(scheme, arguments, theirs):
    ours = draw(scheme, (6, 4), 4, generator(), **arguments)
    assert torch.equal(ours, theirs(torch.empty(6, 4), generator()))
    assert not ours.requires_grad


def test_the_number_of_threads_does_not_matter():
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            schemes = ("uniform", "normal", "trunc_normal", "orthogonal")
            found.append([draw(scheme, (256, 256), 256, generator()) for scheme in schemes])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, *found))


def test_bounds_of_uniform_and_trunc_normal():
    values = draw("uniform", (1000,), 4, generator(), low=2.0, high=3.0)
    assert 2 <= values.min() < 2.01 < 2.99 < values.max() <= 3
    values = draw("trunc_normal", (1000,), 4, generator(), std=1.0, low=-0.1, high=0.2)
    assert -0.1 <= values.min() < values.max() <= 0.2


@pytest.mark.parametrize("scheme", FOR_A_BIAS)
def test_schemes_of_a_bias(scheme):
    arguments = {"value": 1.0} if scheme == "constant" else {}
    assert draw(scheme, (7,), 4, generator(), **arguments).shape == (7,)


def test_every_scheme_takes_the_same_three_things_and_words_of_its_own():
    for name, function in SCHEMES.items():
        assert function.__name__ == name
        assert list(inspect.signature(function).parameters)[:3] == ["shape", "fan_in", "generator"]
    assert arguments_of("normal") == ("mean", "std")


@pytest.mark.parametrize(
    ("scheme", "arguments", "message"),
    [
        ("orthogonale", {}, "did you mean 'orthogonal'"),
        ("normal", {"stdd": 1}, "did you mean 'std'"),
        ("zero", {"value": 1}, "it takes none"),
        ("normal", {"std": -1}, "std must not be negative; got -1"),
        ("normal", {"std": math.nan}, "std of init 'normal' must be finite"),
        ("uniform", {"low": 1, "high": 0}, "low must not be above high"),
        ("uniform", {"low": 9}, "low must not be above high"),
        ("trunc_normal", {"std": 0}, "std must be above 0"),
        ("kaiming_normal", {"mode": "fan_inn"}, "did you mean 'fan_in'"),
        ("kaiming_normal", {"nonlinearity": "rellu"}, "did you mean 'relu'"),
        ("constant", {}, "needs a value"),
    ],
)
def test_refusals(scheme, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(scheme, (3, 4), 4, **arguments)


def test_an_argument_of_another_type():
    with pytest.raises(TypeError, match=r"std of init 'normal' must be a number; got '0\.1'"):
        draw("normal", (3, 4), 4, std="0.1")
    with pytest.raises(TypeError, match="must be a number; got True"):
        draw("normal", (3, 4), 4, std=True)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("constant", {"value": 1e39}),
        ("normal", {"mean": 1e39}),
        ("normal", {"std": 1e39}),
        ("uniform", {"low": -3e38, "high": 3e38}),
        ("uniform", {"low": 0.0, "high": 1e39}),
        ("xavier_uniform", {"gain": 1e39}),
        ("xavier_normal", {"gain": 1e39}),
        ("identity", {"gain": 1e39}),
        ("trunc_normal", {"mean": 1e39, "std": 1.0}),
    ],
)
def test_what_leaves_the_default_precision_is_refused(scheme, words):
    with pytest.raises(StartError, match=f"init '{scheme}'"):
        draw(scheme, (20, 20), 20, torch.Generator().manual_seed(0), **words)
