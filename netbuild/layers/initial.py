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


def _uniform(
    w: Tensor, fan_in: int, g: Random, low: float | None = None, high: float | None = None
) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    low, high = -bound if low is None else low, bound if high is None else high
    _in_order(low, high)
    return init.uniform_(w, low, high, g)


def _normal(
    w: Tensor, fan_in: int, g: Random, mean: float = 0.0, std: float | None = None
) -> Tensor:
    std = 1 / math.sqrt(fan_in) if std is None else std
    if not std >= 0:
        raise ValueError(f"std must not be negative; got {std!r}")
    return init.normal_(w, mean, std, g)


def _trunc_normal(
    w: Tensor,
    fan_in: int,
    g: Random,
    mean: float,
    std: float | None,
    low: float | None,
    high: float | None,
) -> Tensor:
    std = 1 / math.sqrt(fan_in) if std is None else std
    if not std > 0:
        raise ValueError(f"std must be above 0; got {std!r}")
    low, high = mean - 2 * std if low is None else low, mean + 2 * std if high is None else high
    _in_order(low, high)
    return init.trunc_normal_(w, mean, std, low, high, g)


def _in_order(low: float, high: float) -> None:
    if not low <= high:
        raise ValueError(f"low must not be above high; got {low!r} and {high!r}")


def _orthogonal(w: Tensor, fan_in: int, g: Random, gain: float) -> Tensor:
    # The sums of a QR decomposition depend on the number of threads, so that even in float64,
    # rounded, the bits would differ now and then. With one thread they never do.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return init.orthogonal_(w, gain, g)
    finally:
        torch.set_num_threads(threads)


class Scheme(NamedTuple):
    """How initial values are drawn."""

    fill: Callable[..., Tensor]
    """(values, fan_in, generator, **arguments): fills the values and returns them."""

    defaults: Mapping[str, Any]
    """The arguments, and their values where a caller gives none; None follows from `fan_in`."""


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
    # Glorot and Bengio 2010: std = gain sqrt(2 / (fan_in + fan_out))
    "xavier_uniform": Scheme(lambda w, _, g, gain: init.xavier_uniform_(w, gain, g), {"gain": 1.0}),
    "xavier_normal": Scheme(lambda w, _, g, gain: init.xavier_normal_(w, gain, g), {"gain": 1.0}),
    # He et al. 2015: std = gain(nonlinearity, a) / sqrt(fan)
    "kaiming_uniform": Scheme(
        lambda w, _, g, **he: init.kaiming_uniform_(w, **he, generator=g), KAIMING
    ),
    "kaiming_normal": Scheme(
        lambda w, _, g, **he: init.kaiming_normal_(w, **he, generator=g), KAIMING
    ),
    # Saxe, McClelland and Ganguli 2013: a (semi-)orthogonal matrix times gain
    "orthogonal": Scheme(_orthogonal, {"gain": 1.0}),
    # gain on the diagonal, also of a matrix that is not square
    "identity": Scheme(lambda w, _, g, gain: init.eye_(w).mul_(gain), {"gain": 1.0}),
}
FOR_A_BIAS = ("uniform", "normal", "trunc_normal", "zero", "constant")  # the rest need a matrix


def arguments_of(scheme: str) -> tuple[str, ...]:
    """The names of the arguments that a scheme takes, e.g. ("mean", "std") for `normal`."""
    return tuple(SCHEMES[scheme].defaults)


def draw(
    scheme: str, shape: Shape, fan_in: int, generator: Random = None, **arguments: Any
) -> Tensor:
    """Values of `shape` from the scheme of that name.

    Raises ValueError for an unknown scheme or argument, naming the nearest right one, and for a
    scheme that needs a matrix when `shape` has one axis; TypeError for an argument of another
    type than the scheme's; StartError where the values leave the default precision.
    """
    known = SCHEMES if len(shape) > 1 else FOR_A_BIAS
    if scheme not in known:
        if scheme in SCHEMES:
            raise ValueError(f"init {scheme!r} needs a matrix; a bias takes {', '.join(known)}")
        raise unknown("init", scheme, known)
    _check_arguments(scheme, arguments)
    fill, defaults = SCHEMES[scheme]
    values = torch.empty(shape, device="cpu")
    return _finite(scheme, lambda: fill(values, fan_in, generator, **{**defaults, **arguments}))


def draw_connections(
    scheme: str, sources: Tensor, targets: Tensor, shape: Shape, generator: Random, **arguments: Any
) -> Tensor:
    """Values (connection,) for those entries alone of a matrix that are connections.

    Each value has the distribution that `draw` gives it in the whole matrix, with the fans of the
    matrix, whatever its wiring is. The numbers differ, since none is drawn for absent entries.

    Args:
        sources, targets: (connection,), columns and rows.
        shape: (output_dim, input_dim).

    Raises ValueError and TypeError as `draw` does, and ValueError for `orthogonal`, which needs
    the whole matrix.
    """
    if scheme not in SCHEMES:
        raise unknown("init", scheme, SCHEMES)
    _check_arguments(scheme, arguments)
    return _finite(
        scheme, lambda: _connections(scheme, sources, targets, shape, generator, **arguments)
    )


def _connections(
    scheme: str, sources: Tensor, targets: Tensor, shape: Shape, generator: Random, **arguments: Any
) -> Tensor:
    (fan_out, fan_in), (fill, defaults) = shape, SCHEMES[scheme]
    given = {**defaults, **arguments}
    values = torch.empty(len(sources), device="cpu")
    if scheme == "orthogonal":
        raise ValueError("init 'orthogonal' needs a whole matrix, which sparse storage never makes")
    if scheme == "identity":
        return (sources == targets).to(values.dtype).mul_(given["gain"])
    if scheme.startswith("xavier"):
        std = given["gain"] * math.sqrt(2 / (fan_in + fan_out))
    elif scheme.startswith("kaiming"):
        gain = init.calculate_gain(given["nonlinearity"], given["a"])
        std = gain / math.sqrt(fan_in if given["mode"] == "fan_in" else fan_out)
    else:
        return fill(values, fan_in, generator, **given)
    if scheme.endswith("normal"):
        return _normal(values, fan_in, generator, std=std)
    bound = math.sqrt(3) * std
    return _uniform(values, fan_in, generator, -bound, bound)


def as_parameter(what: str, numbers: Tensor) -> Tensor:
    """Finite numbers in torch's default dtype; StartError if one overflows there."""
    values = numbers.to(torch.get_default_dtype())
    if not all_finite(values):
        raise StartError(f"{what} holds numbers too large for {values.dtype}")
    return values + 0.0  # -0.0 becomes 0.0: a masked zero has one pattern of bits


def _finite(scheme: str, drawn: Callable[[], Tensor]) -> Tensor:
    """The values of a scheme; StartError where they leave torch's default dtype."""
    try:
        values = drawn()
    except (OverflowError, RuntimeError) as error:  # torch refuses such a range or scale
        raise StartError(f"init {scheme!r} cannot be drawn: {error}") from None
    if not all_finite(values):
        raise StartError(f"init {scheme!r} gives numbers too large for {values.dtype}")
    return values


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
