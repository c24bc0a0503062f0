"""Initial values: the schemes by name, as pure functions.

Every scheme is a function of (shape, fan_in, generator) and its own keyword arguments; it draws
on the CPU, in torch's default dtype. `fan_in` is `input_dim`, whatever the masks are.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from netbuild.layers.arguments import all_finite, one_of, unknown

Shape = tuple[int, ...]
Random = Generator | None  # None is torch's global generator


def uniform(
    shape: Shape,
    fan_in: int,
    generator: Random,
    *,
    low: float | None = None,
    high: float | None = None,
) -> Tensor:
    """U(low, high); the bounds left out are -1/sqrt(fan_in) and 1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    low = -bound if low is None else low
    high = bound if high is None else high
    _in_order("low", low, "high", high)
    return nn.init.uniform_(_empty(shape), low, high, generator=generator)


def normal(
    shape: Shape,
    fan_in: int,
    generator: Random,
    *,
    mean: float = 0.0,
    std: float | None = None,
) -> Tensor:
    """N(mean, std²); the std left out is 1/sqrt(fan_in)."""
    std = 1 / math.sqrt(fan_in) if std is None else std
    _not_negative("std", std)
    return nn.init.normal_(_empty(shape), mean, std, generator=generator)


def trunc_normal(
    shape: Shape,
    fan_in: int,
    generator: Random,
    *,
    mean: float = 0.0,
    std: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Tensor:
    """N(mean, std²) within [low, high]; left out: 1/sqrt(fan_in), and mean ± 2 std."""
    std = 1 / math.sqrt(fan_in) if std is None else std
    if not std > 0:
        raise ValueError(f"std must be above 0; got {std!r}")
    low = mean - 2 * std if low is None else low
    high = mean + 2 * std if high is None else high
    _in_order("low", low, "high", high)
    return nn.init.trunc_normal_(_empty(shape), mean, std, low, high, generator=generator)


def zero(shape: Shape, fan_in: int, generator: Random) -> Tensor:
    """0 everywhere."""
    return torch.zeros(shape, device="cpu")


def constant(shape: Shape, fan_in: int, generator: Random, *, value: float) -> Tensor:
    """`value` everywhere."""
    return nn.init.constant_(_empty(shape), value)


def xavier_uniform(shape: Shape, fan_in: int, generator: Random, *, gain: float = 1.0) -> Tensor:
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return nn.init.xavier_uniform_(_empty(shape), gain, generator)


def xavier_normal(shape: Shape, fan_in: int, generator: Random, *, gain: float = 1.0) -> Tensor:
    """N(0, std²), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return nn.init.xavier_normal_(_empty(shape), gain, generator)


def kaiming_uniform(
    shape: Shape,
    fan_in: int,
    generator: Random,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """U(-b, b), b = gain sqrt(3 / fan), of He et al. 2015, by `torch.nn.init`."""
    return nn.init.kaiming_uniform_(_empty(shape), a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def kaiming_normal(
    shape: Shape,
    fan_in: int,
    generator: Random,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """N(0, std²), std = gain / sqrt(fan), of He et al. 2015, by `torch.nn.init`."""
    return nn.init.kaiming_normal_(_empty(shape), a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def orthogonal(shape: Shape, fan_in: int, generator: Random, *, gain: float = 1.0) -> Tensor:
    """A (semi-)orthogonal matrix times `gain` (Saxe, McClelland and Ganguli 2013).

    The same bits for any number of threads.
    """
    # It comes of a QR decomposition, whose sums LAPACK orders by the number of threads. In
    # float64, rounded, the bits would differ rarely, but they would: one thread is sure.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return nn.init.orthogonal_(_empty(shape), gain, generator)
    finally:
        torch.set_num_threads(threads)


def identity(shape: Shape, fan_in: int, generator: Random, *, gain: float = 1.0) -> Tensor:
    """`gain` on the diagonal and 0 off it, also of a matrix that is not square."""
    return nn.init.eye_(_empty(shape)).mul_(gain)


class StartError(ValueError):
    """Initial values from which a layer cannot start: too large for their precision, say.

    `map` names the map of a layer that the error is about, where the layer has several.
    """

    map: str = ""

    def __str__(self) -> str:
        what = super().__str__()
        return f"{self.map}: {what}" if self.map else what


SCHEMES: Mapping[str, Callable[..., Tensor]] = {
    "uniform": uniform,
    "normal": normal,
    "trunc_normal": trunc_normal,
    "zero": zero,
    "constant": constant,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "kaiming_uniform": kaiming_uniform,
    "kaiming_normal": kaiming_normal,
    "orthogonal": orthogonal,
    "identity": identity,
}
FOR_A_BIAS = ("uniform", "normal", "trunc_normal", "zero", "constant")  # the rest need a matrix


def arguments_of(scheme: str) -> tuple[str, ...]:
    """The names of the arguments that a scheme takes, e.g. ("mean", "std") for `normal`."""
    parameters = inspect.signature(SCHEMES[scheme]).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


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
    return _finite(scheme, lambda: SCHEMES[scheme](shape, fan_in, generator, **arguments))


def draw_connections(
    scheme: str, sources: Tensor, targets: Tensor, shape: Shape, generator: Random, **arguments: Any
) -> Tensor:
    """Values (connection,) for those entries alone of a matrix that are connections.

    The distribution of each value is that of `draw` for the whole matrix: the fans are the
    matrix's, whatever its wiring is. The numbers are others, since none is drawn for entries that
    are not there.

    Args:
        sources, targets: (connection,), columns and rows.
        shape: (output_dim, input_dim).

    Raises ValueError and TypeError as `draw` does, and ValueError for `orthogonal`, which is of
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
    count, (fan_out, fan_in) = (len(sources),), shape
    if scheme == "orthogonal":
        raise ValueError("init 'orthogonal' is of a whole matrix; sparse storage has none")
    if scheme == "identity":
        diagonal = (sources == targets).to(torch.get_default_dtype())
        return diagonal.mul_(arguments.get("gain", 1.0))
    if scheme.startswith("xavier"):
        std = arguments.get("gain", 1.0) * math.sqrt(2 / (fan_in + fan_out))
    elif scheme.startswith("kaiming"):
        fan = fan_in if arguments.get("mode", "fan_in") == "fan_in" else fan_out
        kind = arguments.get("nonlinearity", "leaky_relu")
        std = nn.init.calculate_gain(kind, arguments.get("a", 0.0)) / math.sqrt(fan)
    else:
        return SCHEMES[scheme](count, fan_in, generator, **arguments)
    if scheme.endswith("normal"):
        return normal(count, fan_in, generator, std=std)
    bound = math.sqrt(3) * std
    return uniform(count, fan_in, generator, low=-bound, high=bound)


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


def _empty(shape: Shape) -> Tensor:
    return torch.empty(shape, device="cpu")


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


def _in_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if not low <= high:
        raise ValueError(f"{low_name} must not be above {high_name}; got {low!r} and {high!r}")


def _not_negative(what: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{what} must not be negative; got {value!r}")
