"""Initial values: a table of schemes by name, and how one is drawn.

Values are drawn on the CPU, in torch's default dtype. `fan_in` is `input_dim`, whatever the masks
are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import init

from netbuild.layers.arguments import all_finite, one_of, unknown

Shape = tuple[int, ...]
Random = Generator | None  # None is torch's global generator


class StartError(ValueError):
    """Initial values from which a layer cannot start: too large for their precision, say.

    `map` names the map of a layer that the error is about, where the layer has several.
    """

    map: str = ""

    def __str__(self) -> str:
        what = super().__str__()
        return f"{self.map}: {what}" if self.map else what


class Fans(NamedTuple):
    """How many units a map connects; a bias has no `output`."""

    input: int
    output: int | None

    def xavier(self, gain: float) -> float:
        """The standard deviation of Glorot and Bengio 2010."""
        assert self.output is not None
        return gain * math.sqrt(2 / (self.input + self.output))

    def kaiming(self, a: float, mode: str, nonlinearity: Any) -> float:
        """The standard deviation of He et al. 2015."""
        assert self.output is not None
        fan = self.input if mode == "fan_in" else self.output
        return init.calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _uniform(w: Tensor, fans: Fans, g: Random, low: float | None, high: float | None) -> Tensor:
    bound = 1 / math.sqrt(fans.input)
    low, high = -bound if low is None else low, bound if high is None else high
    _in_order(low, high)
    return init.uniform_(w, low, high, g)


def _uniform_of(w: Tensor, std: float, g: Random) -> Tensor:
    """Uniform values around 0 with this standard deviation."""
    bound = math.sqrt(3) * std
    return init.uniform_(w, -bound, bound, g)


def _normal(w: Tensor, fans: Fans, g: Random, mean: float, std: float | None) -> Tensor:
    std = 1 / math.sqrt(fans.input) if std is None else std
    if not std >= 0:
        raise ValueError(f"std must not be negative; got {std!r}")
    return init.normal_(w, mean, std, g)


def _trunc_normal(
    w: Tensor,
    fans: Fans,
    g: Random,
    mean: float,
    std: float | None,
    low: float | None,
    high: float | None,
) -> Tensor:
    std = 1 / math.sqrt(fans.input) if std is None else std
    if not std > 0:
        raise ValueError(f"std must be above 0; got {std!r}")
    low, high = mean - 2 * std if low is None else low, mean + 2 * std if high is None else high
    _in_order(low, high)
    return init.trunc_normal_(w, mean, std, low, high, g)


def _in_order(low: float, high: float) -> None:
    if not low <= high:
        raise ValueError(f"low must not be above high; got {low!r} and {high!r}")


def _orthogonal(w: Tensor, _: Fans, g: Random, gain: float) -> Tensor:
    if w.ndim == 1:
        raise ValueError("init 'orthogonal' needs a whole matrix, which sparse storage never makes")
    # The sums of a QR decomposition depend on the number of threads, so that even in float64,
    # rounded, the bits would differ now and then. With one thread they never do.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return init.orthogonal_(w, gain, g)
    finally:
        torch.set_num_threads(threads)


def _identity(w: Tensor, _: Fans, g: Random, gain: float) -> Tensor:
    return (init.eye_(w) if w.ndim > 1 else init.ones_(w)).mul_(gain)


class Scheme(NamedTuple):
    """How initial values are drawn."""

    fill: Callable[..., Tensor]
    """(values, fans, generator, **arguments): fills the values and returns them."""

    defaults: Mapping[str, Any]
    """The arguments, and their values where a caller gives none; None follows from the fans."""


GAIN = {"gain": 1.0}
KAIMING = {"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
SCHEMES: Mapping[str, Scheme] = {
    # U(low, high), by default U(-1/sqrt(fan_in), 1/sqrt(fan_in))
    "uniform": Scheme(_uniform, {"low": None, "high": None}),
    # N(mean, std^2), by default with std 1/sqrt(fan_in)
    "normal": Scheme(_normal, {"mean": 0.0, "std": None}),
    # the same within [low, high], by default mean - 2 std and mean + 2 std
    "trunc_normal": Scheme(_trunc_normal, {"mean": 0.0, "std": None, "low": None, "high": None}),
    "zero": Scheme(lambda w, _, g: init.zeros_(w), {}),
    "constant": Scheme(lambda w, _, g, value: init.constant_(w, value), {"value": None}),
    "xavier_uniform": Scheme(lambda w, fans, g, **a: _uniform_of(w, fans.xavier(**a), g), GAIN),
    "xavier_normal": Scheme(lambda w, fans, g, **a: _normal(w, fans, g, 0, fans.xavier(**a)), GAIN),
    "kaiming_uniform": Scheme(
        lambda w, fans, g, **a: _uniform_of(w, fans.kaiming(**a), g), KAIMING
    ),
    "kaiming_normal": Scheme(
        lambda w, fans, g, **a: _normal(w, fans, g, 0, fans.kaiming(**a)), KAIMING
    ),
    # Saxe, McClelland and Ganguli 2013: a (semi-)orthogonal matrix times gain
    "orthogonal": Scheme(_orthogonal, GAIN),
    # gain on the diagonal, also of a matrix that is not square
    "identity": Scheme(_identity, GAIN),
}
FOR_A_BIAS = ("uniform", "normal", "trunc_normal", "zero", "constant")  # the rest need a matrix


def arguments_of(scheme: str) -> tuple[str, ...]:
    """The names of the arguments that a scheme takes, e.g. ("mean", "std") for `normal`."""
    return tuple(SCHEMES[scheme].defaults)


def draw(
    scheme: str,
    shape: Shape,
    fan_in: int,
    generator: Random = None,
    fan_out: int | None = None,
    **arguments: Any,
) -> Tensor:
    """Values from the scheme of that name: a matrix, a bias, or values for single connections.

    Each connection's value has the distribution that it has in the whole matrix, with the fans of
    the matrix, whatever its wiring is. The numbers differ, since none is drawn for absent entries.

    Args:
        shape: (output_dim, input_dim), (output_dim,) or (connection,).
        fan_in: the number of presynaptic units.
        fan_out: the number of postsynaptic units; only needed for (connection,).

    Raises ValueError for an unknown scheme or argument, naming the nearest right one, and for a
    scheme that needs a matrix when there is none; TypeError for an argument of another type than
    the scheme's; StartError where the values leave the default precision.
    """
    fan_out = shape[0] if len(shape) > 1 else fan_out
    known = FOR_A_BIAS if fan_out is None else SCHEMES
    if scheme not in known:
        if scheme in SCHEMES:
            raise ValueError(f"init {scheme!r} needs a matrix; a bias takes {', '.join(known)}")
        raise unknown("init", scheme, known)
    _check_arguments(scheme, arguments)
    fill, defaults = SCHEMES[scheme]
    values, fans = torch.empty(shape, device="cpu"), Fans(fan_in, fan_out)
    try:
        values = fill(values, fans, generator, **{**defaults, **arguments})
    except (OverflowError, RuntimeError) as error:  # torch refuses such a range or scale
        raise StartError(f"init {scheme!r} cannot be drawn: {error}") from None
    if not all_finite(values):
        raise StartError(f"init {scheme!r} gives numbers too large for {values.dtype}")
    return values


def as_parameter(what: str, numbers: Tensor) -> Tensor:
    """Finite numbers in torch's default dtype; StartError if one overflows there."""
    values = numbers.to(torch.get_default_dtype())
    if not all_finite(values):
        raise StartError(f"{what} holds numbers too large for {values.dtype}")
    return values + 0.0  # -0.0 becomes 0.0: a masked zero has one pattern of bits


def _check_arguments(scheme: str, arguments: Mapping[str, Any]) -> None:
    names = arguments_of(scheme)
    for name, value in arguments.items():
        if name not in names:
            raise unknown(f"argument of init {scheme!r}", name, names)
        _check_argument(scheme, name, value)
    if scheme == "constant" and "value" not in arguments:
        raise ValueError("init 'constant' needs a value")


def _check_argument(scheme: str, name: str, value: Any) -> None:
    """Numbers are finite and words are torch's; nothing else is an argument."""
    if name == "mode":
        one_of(name, value, ("fan_in", "fan_out"))
    elif name == "nonlinearity":
        one_of(name, value, ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "selu"))
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} of init {scheme!r} must be a number; got {value!r}")
    elif not math.isfinite(value):
        raise ValueError(f"{name} of init {scheme!r} must be finite; got {value!r}")
