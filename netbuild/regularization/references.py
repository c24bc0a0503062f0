"""Reference weights: checked copies of the caller's, or signs drawn after Dale's law."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.regularization.arguments import bounded, refuse_unknown
from netbuild.regularization.parameters import Places
from netbuild.splits import round_half_up
from netbuild.streams import rng_of


def as_references(
    names: Sequence[str],
    params: Sequence[Tensor],
    references: Iterable[Any] | Mapping[str, Any],
    places: Sequence[Places | None] | None = None,
) -> list[Tensor]:
    """Copies of `references`, one per parameter, each with its dtype and device.

    Tensors, arrays and nested lists will do; a mapping is matched by the parameters' names.
    `places` says of each parameter in sparse storage where its entries stand; a reference that is
    a whole matrix is read there.

    Raises:
        TypeError: one tensor or array came where a list of them belongs.
        ValueError: too few, too many, misshapen, or not finite.
    """
    if isinstance(references, (Tensor, np.ndarray)):
        raise TypeError("reference_weights must be a list of arrays, not a single array: [array]")
    if isinstance(references, Mapping):
        missing = [name for name in names if name not in references]
        if missing:
            raise ValueError(f"reference_weights has nothing for {', '.join(missing)}")
        refuse_unknown(references, names, "reference_weights")
        references = [references[name] for name in names]
    references = list(references)
    if len(references) != len(params):
        raise ValueError(
            f"as many references as parameters are needed: {len(params)} parameters, "
            f"{len(references)} reference_weights"
        )
    places = places or [None] * len(params)
    return [_as_reference(*item) for item in zip(names, params, references, places, strict=True)]


def _as_reference(name: str, param: Tensor, reference: Any, where: Places | None) -> Tensor:
    if isinstance(reference, Tensor):
        copy = reference.detach().clone(memory_format=torch.contiguous_format)
    else:
        copy = torch.from_numpy(np.array(reference, dtype=np.float64, order="C"))
    if where is not None and copy.shape == where.shape:
        copy = copy[where.rows.to(copy.device), where.columns.to(copy.device)]
    if copy.shape != param.shape:
        transposed = copy.dim() == 2 and copy.T.shape == param.shape
        raise ValueError(
            f"the reference of {name} has shape {tuple(copy.shape)}, "
            f"its parameter {tuple(param.shape)}{'; it looks transposed' if transposed else ''}"
        )
    if not copy.is_meta and not bool(torch.isfinite(copy).all()):
        raise ValueError(f"the reference of {name} holds NaN or infinity")
    return copy.to(device=param.device, dtype=param.dtype)


def draw_dale_reference(
    shape: Sequence[int],
    inh_ratio: float = 0.5,
    rho: float = 0.99,
    inh_first: bool = True,
    seed: int = 0,
    generator: np.random.Generator | None = None,
    columns: NDArray[np.integer[Any]] | None = None,
) -> Tensor:
    """Signs that obey Dale's law: all opinions about one presynaptic unit's weights are alike.

    Args:
        shape: of the weight, (..., output_dim, input_dim); the last axis is presynaptic (axis 1
            of a torch weight). Any shape will do.
        inh_ratio: the share of inhibitory units in [0, 1], of n units round-half-up(inh_ratio n).
        rho: the share of entries that have an opinion, in [0, 1]; the others, drawn without
            regard to the unit, are 0. Of N entries round-half-up(rho N) have one.
        inh_first: the inhibitory units are the first ones; else they are drawn.
        seed: of the draw; equal seeds give equal references.
        generator: draws in place of one made from `seed`.
        columns: (connection,), the presynaptic unit of each entry of a weight in sparse storage,
            for which alone signs are drawn then; N is their number.

    Returns:
        A tensor of `shape`, or (connection,), on the CPU: +1 excitatory, -1 inhibitory, 0 no
        opinion.

    Raises:
        TypeError: seed is not an integer. ValueError: a share outside [0, 1].

    The words are those of NeuroTorch's `dale_`, which draws magnitudes too, on square matrices.
    """
    inh_ratio, rho = bounded("inh_ratio", inh_ratio), bounded("rho", rho)
    rng = dale_generator(seed) if generator is None else generator
    units = shape[-1] if len(shape) else 1
    inhibitory = np.arange(units) < round_half_up(inh_ratio, units)
    if not inh_first:
        rng.shuffle(inhibitory)
    entries = math.prod(shape) if columns is None else len(columns)
    opinion = np.arange(entries) < round_half_up(rho, entries)
    rng.shuffle(opinion)
    signs = np.where(inhibitory, np.int8(-1), np.int8(1))
    if columns is not None:
        return torch.from_numpy(signs[columns] * opinion).to(torch.get_default_dtype())
    signs = signs * opinion.reshape(*shape[:-1], units)
    return torch.from_numpy(signs).to(torch.get_default_dtype()).reshape(tuple(shape))


def dale_generator(seed: int) -> np.random.Generator:
    """The generator that draws references after `seed`, at its start."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be an integer, not {type(seed).__name__}")
    return rng_of(int(seed), "dale reference")
