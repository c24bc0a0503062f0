"""Reference weights: checked copies of the caller's, or signs drawn after Dale's law.

A reference has the shape of its parameter, (output_dim, input_dim) on a torch weight: axis 1 is
presynaptic. For a weight in sparse storage only the references of its connections are kept. The
caller gives these, (connection,), or the whole matrix, whose entries elsewhere are dropped: they
would only add a constant to a term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netbuild.regularization.arguments import DRAW_OPTIONS, bounded, refuse_unknown
from netbuild.regularization.targets import Places, Targets
from netbuild.splits import round_half_up
from netbuild.streams import rng_of

References: TypeAlias = Iterable[Any] | Mapping[str, Any]


def given_references(targets: Targets, references: References) -> list[Tensor]:
    """Copies of the caller's references, one per parameter, each with its dtype and device.

    Each may be a tensor, an array or nested lists; a mapping is matched by the parameters' names.

    Raises:
        TypeError: one tensor or array came where a list of them belongs.
        ValueError: too few, too many, misshapen, or not finite.
    """
    if isinstance(references, (Tensor, np.ndarray)):
        raise TypeError("reference_weights must be a list of arrays, not a single array: [array]")
    names, params = targets.names, targets.read()
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
    places = map(targets.places, range(len(params)))
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


def reference_signs(
    targets: Targets, given: References | None, options: Mapping[str, Any], owner: str
) -> list[Tensor]:
    """The signs of the given references, or drawn signs in the parameters' shapes.

    All are drawn from one stream, so that equal shapes do not get equal references. Raises
    ValueError for options that `owner` does not know, and TypeError for options beside references.
    """
    refuse_unknown(options, DRAW_OPTIONS, owner)
    if given is not None:
        if options:
            named = ", ".join(options)
            raise TypeError(f"{named}: for drawn references only, but reference_weights are given")
        return [torch.sign(reference) for reference in given_references(targets, given)]
    generator = dale_generator(options.get("seed", 0))
    signs = []
    for index, param in enumerate(targets.read()):
        where = targets.places(index)
        shape = param.shape if where is None else where.shape
        columns = None if where is None else where.columns.cpu().numpy()
        drawn = draw_dale_reference(shape, **options, generator=generator, columns=columns)
        signs.append(drawn.to(param))
    return signs


def draw_dale_reference(
    shape: Sequence[int],
    inh_ratio: float = 0.5,
    rho: float = 0.99,
    inh_first: bool = True,
    seed: int = 0,
    generator: np.random.Generator | None = None,
    columns: NDArray[np.integer[Any]] | None = None,
) -> Tensor:
    """Signs that obey Dale's law: all signs of one presynaptic unit's weights are alike.

    Args:
        shape: of the weight, (..., output_dim, input_dim); the last axis is presynaptic (axis 1
            of a torch weight), or any other shape.
        inh_ratio: the share of inhibitory units in [0, 1], of n units round-half-up(inh_ratio n).
        rho: the share of entries that have a sign, in [0, 1]; the others, drawn without
            regard to the unit, are 0. Of N entries round-half-up(rho N) have a sign.
        inh_first: the inhibitory units are the first ones; else they are drawn.
        seed: of the draw; equal seeds give equal references.
        generator: used in place of a generator made from `seed`.
        columns: (connection,), the presynaptic unit of each entry of a weight in sparse storage.
            Signs are then drawn for these entries only, and N is their number.

    Returns:
        A tensor of `shape`, or (connection,), on the CPU: +1 excitatory, -1 inhibitory, 0 no
        reference sign.

    Raises:
        TypeError: seed is not an integer. ValueError: a share outside [0, 1].

    The arguments are those of NeuroTorch's `dale_`, which draws magnitudes too, on square matrices.
    """
    inh_ratio, rho = bounded("inh_ratio", inh_ratio), bounded("rho", rho)
    rng = dale_generator(seed) if generator is None else generator
    units = shape[-1] if len(shape) else 1
    inhibitory = np.arange(units) < round_half_up(inh_ratio, units)
    if not inh_first:
        rng.shuffle(inhibitory)
    entries = math.prod(shape) if columns is None else len(columns)
    has_sign = np.arange(entries) < round_half_up(rho, entries)
    rng.shuffle(has_sign)
    signs = np.where(inhibitory, np.int8(-1), np.int8(1))
    if columns is not None:
        return torch.from_numpy(signs[columns] * has_sign).to(torch.get_default_dtype())
    signs = signs * has_sign.reshape(*shape[:-1], units)
    return torch.from_numpy(signs).to(torch.get_default_dtype()).reshape(tuple(shape))


def dale_generator(seed: int) -> np.random.Generator:
    """The generator that draws references after `seed`, at its start."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be an integer, not {type(seed).__name__}")
    return rng_of(int(seed), "dale reference")
