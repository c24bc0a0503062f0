"""Where a map starts: its masks, scales and initial values, each a pure function of its arguments.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic). "As it is stored" means (O, I), or
(connection,) in sparse storage. The functions raise the errors of `LinearLayer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netbuild.layers.arguments import array, flag, one_of, shaped, value_and_learn
from netbuild.layers.bounds import bounds_of, effective, scaled
from netbuild.layers.initial import StartError, as_parameter, draw
from netbuild.layers.spectrum import scaled_to
from netbuild.layers.storage import Dense, Storage
from netbuild.streams import seed_of
from netbuild.wiring import PerConnection

DALE = ("project", "abs", "none")
DALE_INITS = ("abs", "clamp")
EI_BALANCES = ("none", "row", "global", "nn4n")


def stored_weight(storage: Storage, given: Any) -> Tensor:
    """A caller's weight as it is stored, in the default dtype; StartError if it overflows there."""
    if isinstance(given, PerConnection):
        return as_parameter("weight", storage.of_connections("weight", given))
    sizes = {"output_dim": storage.output_dim, "input_dim": storage.input_dim}
    return as_parameter("weight", storage.of_matrix(shaped("weight", given, **sizes)))


def stored_bias(output_dim: int, given: Any) -> Tensor:
    """A caller's bias in the default dtype; StartError if it overflows there."""
    return as_parameter("bias", shaped("bias", given, output_dim=output_dim))


# Masks and scales


def sign_of(given: Any, storage: Storage) -> Tensor | None:
    """The sign of each weight, as it is stored, int8: 1 excitatory, -1 inhibitory, 0 free."""
    sign = _mask("ei_mask", given, storage)
    return None if sign is None else sign.sign().to(torch.int8)


def plasticity_of(given: Any, storage: Storage) -> Tensor | None:
    """The fraction of each update that is made, as it is stored, in the default dtype."""
    plasticity = _mask("plasticity_mask", given, storage)
    if plasticity is None:
        return None
    outside = plasticity[(plasticity < 0) | (plasticity > 1)]
    if len(outside):
        raise ValueError(f"plasticity_mask must lie in [0, 1]; it holds {outside[0]:g}")
    return plasticity.to(torch.get_default_dtype())


def groups_of(given: Any, storage: Storage) -> Tensor | None:
    """The group of each weight, as it is stored, int32."""
    groups = _mask("scale_groups", given, storage)
    if groups is None:
        return None
    if bool((groups != groups.round()).any()) or (groups.numel() and groups.min() < 0):
        raise ValueError("scale_groups must hold whole numbers from 0")
    return groups.to(torch.int32)


def _mask(what: str, given: Any, storage: Storage) -> Tensor | None:
    """A mask (I, O), (I,) or per connection, as it is stored, in float64."""
    if given is None:
        return None
    if isinstance(given, PerConnection):
        return storage.of_connections(what, given)
    values = array(what, given)
    if what == "ei_mask" and values.ndim == 1:  # a sign for each presynaptic unit
        return storage.of_inputs(shaped(what, values, input_dim=storage.input_dim))
    sizes = {"input_dim": storage.input_dim, "output_dim": storage.output_dim}
    return storage.of_matrix(shaped(what, values, **sizes).T)


def scale_of(given: Any, groups: Tensor | None) -> tuple[Tensor | None, bool]:
    """The scales (G,), one for each group (more will do), and whether they learn."""
    if groups is None:
        if given is not None:
            raise ValueError("scale needs scale_groups")
        return None, False
    count = int(groups.max()) + 1 if groups.numel() else 1
    given, learn = value_and_learn("scale", given, learn=True)
    values = array("scale", 1.0 if given is None else given)
    if values.ndim and (values.ndim > 1 or len(values) < count):
        raise ValueError(f"scale is {tuple(values.shape)}; expected a number or ({count},)")
    if not bool((values >= 0).all()):
        raise ValueError(f"scale must not be below 0; got {values.min():g}")
    values = values.expand(count).clone() if not values.ndim else values
    return values.to(torch.get_default_dtype()), learn


# Initial values


class Initial(NamedTuple):
    """A caller's choice for a parameter: an init with its arguments, or values."""

    scheme: str | None
    arguments: Mapping[str, Any]
    value: Any
    learn: bool


def initial_of(what: str, given: Any) -> Initial:
    """The choice that an init's name, a mapping or an array means."""
    if given is None:
        raise TypeError(f"{what} must be an init's name, a mapping or an array; got None")
    if isinstance(given, str):
        return Initial(given, {}, None, True)
    if not isinstance(given, Mapping) or ("value" in given and "init" not in given):
        return Initial(None, {}, *value_and_learn(what, given, learn=True))
    words = dict(given)
    learn = flag(f"{what}.learn", words.pop("learn", True))
    if "init" not in words:
        raise ValueError(f"{what} needs `init` or `value`; got {', '.join(map(repr, given))}")
    scheme = words.pop("init")
    if not isinstance(scheme, str):
        raise TypeError(f"{what}.init must be the name of a scheme; got {scheme!r}")
    return Initial(scheme, words, None, learn)


def draw_bias(initial: Initial, storage: Storage, seed: int | None) -> Tensor:
    """The initial bias (O,)."""
    if initial.scheme is None:
        return stored_bias(storage.output_dim, initial.value)
    shape, generator = (storage.output_dim,), _generator(seed, "bias")
    return draw(initial.scheme, shape, storage.input_dim, generator, **initial.arguments)


def draw_weight(
    initial: Initial,
    storage: Storage,
    sign: Tensor | None,
    scale: Tensor | None,
    groups: Tensor | None,
    *,
    dale: str,
    dale_init: str,
    ei_balance: str,
    spectral_radius: float | None,
    seed: int | None,
) -> Tensor:
    """The initial weight, as it is stored.

    It is drawn, or taken from the caller; then signs, wiring, the balance of excitation and
    inhibition, and the spectral radius shape it, in this order.
    """
    one_of("dale_init", dale_init, DALE_INITS)
    one_of("ei_balance", ei_balance, EI_BALANCES)
    drawn = initial.scheme is not None
    if initial.scheme is None:
        weight = stored_weight(storage, initial.value)
    else:
        weight = storage.draw(initial.scheme, _generator(seed, "weight"), initial.arguments)
    if dale == "none":
        sign = None
    if dale == "abs" and drawn and sign is not None and sign.any():
        _refuse_zeros(dale_init, initial.learn, weight)
    if sign is not None and drawn and dale_init == "abs":
        weight = effective(weight, sign, None)
    elif sign is not None and (drawn or dale == "project"):
        bounds = bounds_of(sign, None, None, weight.dtype)
        weight = torch.clamp(weight, bounds.lower, bounds.upper)
    if isinstance(storage, Dense) and storage.connected is not None:
        weight = weight.where(storage.connected, 0.0)

    def used(weight: Tensor) -> Tensor:
        """The weight that the forward pass will use."""
        return scaled(effective(weight, sign if dale == "abs" else None, None), scale, groups)

    if sign is not None and ei_balance != "none":
        weight = weight * balance_factors(used(weight), sign, ei_balance, storage)
    weight = weight + 0.0  # -0.0 becomes 0.0
    if spectral_radius is not None:
        weight = scaled_to(weight, storage.matrix(used(weight)), spectral_radius)
    return weight


def _generator(seed: int | None, stream: str) -> torch.Generator | None:
    """The generator of one of a map's streams; None, for torch's own, without a seed."""
    return None if seed is None else torch.Generator().manual_seed(seed_of(seed, stream))


def _refuse_zeros(dale_init: str, learn: bool, weight: Tensor) -> None:
    """|w| has no gradient at 0, so a raw weight that is drawn there never leaves it."""
    why = "|w| has no gradient at 0, so these weights would never learn"
    if dale_init == "clamp":
        raise StartError(
            f"dale='abs' with dale_init='clamp' sets weights of the wrong sign to 0: {why}; "
            "use dale_init='abs' or dale='project'"
        )
    if learn and not weight.any():
        raise StartError(
            f"dale='abs' with a weight that starts at 0 everywhere: {why}; "
            "use another init or dale='project'"
        )


def balance_factors(weight: Tensor, sign: Tensor, kind: str, storage: Storage) -> Tensor:
    """Factors for a weight matrix, with which its excitatory and inhibitory sums cancel.

    The side with the larger sum is scaled down to the other: for each postsynaptic unit alone
    (`row`) or over the whole matrix (`global`). Where one of the two sums is zero there is
    nothing to balance, and the factor is 1; but `nn4n` divides the whole matrix by ten, free
    weights with it, as nn4n's LinearLayer does. Free weights (sign 0) are otherwise left alone.

    Args:
        weight: effective weights that obey their signs, as they are stored.
        sign: 1 excitatory, -1 inhibitory, 0 free; as the weight.
        kind: `none`, `row`, `global` or `nn4n`.
        storage: of the weight.

    Returns:
        Factors in (0, 1], of the weight's shape and dtype.
    """
    if kind == "none":
        return torch.ones_like(weight)
    numbers, by_row = weight.double(), kind == "row"
    excitation = storage.sums(numbers.where(sign > 0, 0.0), by_row)
    inhibition = -storage.sums(numbers.where(sign < 0, 0.0), by_row)
    smaller = torch.minimum(excitation, inhibition)
    factors = torch.where(sign > 0, smaller / excitation, smaller / inhibition)
    factors = torch.where((sign != 0) & (smaller > 0), factors, 1.0)
    if kind == "nn4n":
        factors = torch.where(smaller > 0, factors, 0.1)
    return factors.to(weight.dtype)
