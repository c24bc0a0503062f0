"""Masks that are drawn: exact numbers of connections, every mask with those numbers equally likely.

All are functions of a generator that the caller seeds. Masks are (input_dim, output_dim), entry
[i, j] being the connection i -> j. Wrong arguments raise ValueError.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from netbuild.splits import round_half_up
from netbuild.wiring import Wiring, from_matrix, from_pairs

Mask = npt.NDArray[np.bool_]


def unit_signs(size: int, excitatory: float) -> npt.NDArray[np.int8]:
    """Shape (size,): the first `round_half_up(excitatory, size)` units +1, the others -1."""
    signs = np.full(positive("size", size), -1, dtype=np.int8)
    signs[: round_half_up(excitatory, size)] = 1
    return signs


def random_mask(
    input_dim: int,
    output_dim: int,
    density: float,
    rng: np.random.Generator,
    self_connections: bool = True,
) -> Mask:
    """Exactly `round_half_up(density, possible)` connections, uniformly among the possible ones.

    Without self-connections (square maps only) the diagonal is not possible, and empty.
    """
    columns = targets_per_row(input_dim, output_dim, self_connections)
    possible = input_dim * columns
    wanted = round_half_up(density, possible)
    few = min(wanted, possible - wanted)  # the rarer of connections and gaps is what is drawn
    chosen = rng.choice(possible, few, replace=False, shuffle=False)
    flat = np.full(possible, few != wanted)
    flat[chosen] = few == wanted
    mask = flat.reshape(input_dim, columns)
    return mask if self_connections else with_empty_diagonal(mask)


def random_wiring(
    input_dim: int,
    output_dim: int,
    density: float,
    rng: np.random.Generator,
    self_connections: bool = True,
) -> Wiring:
    """The connections of `random_mask`, of the same generator, as pairs.

    Where more than half of the possible ones are there, the matrix is made after all.
    """
    columns = targets_per_row(input_dim, output_dim, self_connections)
    possible = input_dim * columns
    wanted = round_half_up(density, possible)
    if wanted > possible - wanted:
        return from_matrix(random_mask(input_dim, output_dim, density, rng, self_connections))
    chosen = rng.choice(possible, wanted, replace=False, shuffle=False)
    pre, post = np.divmod(chosen, columns)
    if not self_connections:
        post += post >= pre
    return from_pairs(input_dim, output_dim, pre, post)[0]


def fixed_indegree(
    input_dim: int,
    output_dim: int,
    connections: int,
    rng: np.random.Generator,
    self_connections: bool = True,
) -> Mask:
    """Exactly `connections` presynaptic partners for every postsynaptic unit, drawn uniformly.

    Without self-connections (square maps only) no unit is its own partner.
    """
    targets_per_row(input_dim, output_dim, self_connections)
    partners = input_dim if self_connections else input_dim - 1
    if not 0 <= connections <= partners:
        raise ValueError(f"connections is from 0 to {partners}, got {connections}")
    mask = np.zeros((input_dim, output_dim), dtype=np.bool_)
    for unit in range(output_dim):
        chosen = rng.choice(partners, connections, replace=False, shuffle=False)
        mask[chosen if self_connections else chosen + (chosen >= unit), unit] = True
    return mask


def random_among(allowed: Mask, density: float, rng: np.random.Generator) -> Mask:
    """Exactly `round_half_up(density, allowed pairs)` connections, uniformly among the allowed."""
    places = np.flatnonzero(allowed)
    mask = np.zeros(allowed.shape, dtype=np.bool_)
    mask.reshape(-1)[rng.choice(places, round_half_up(density, len(places)), replace=False)] = True
    return mask


def indegree_among(allowed: Mask, connections: int, rng: np.random.Generator) -> Mask:
    """Exactly `connections` presynaptic partners for every unit, uniformly among the allowed."""
    mask = np.zeros(allowed.shape, dtype=np.bool_)
    for unit, column in enumerate(allowed.T):
        partners = np.flatnonzero(column)
        if not 0 <= connections <= len(partners):
            raise ValueError(f"connections is from 0 to {len(partners)}, got {connections}")
        mask[rng.choice(partners, connections, replace=False), unit] = True
    return mask


def with_empty_diagonal(off_diagonal: Mask) -> Mask:
    """(n, n) from (n, n - 1): row i without its entry i, so that a gap opens on the diagonal."""
    n = len(off_diagonal)
    mask = np.zeros((n, n), dtype=np.bool_)
    # Behind the first entry, each n off-diagonal entries are followed by one of the diagonal.
    mask.reshape(-1)[1:].reshape(n - 1, n + 1)[:, :n] = off_diagonal.reshape(n - 1, n)
    return mask


def targets_per_row(input_dim: int, output_dim: int, self_connections: bool) -> int:
    """How many postsynaptic units one presynaptic unit may reach."""
    positive("input_dim", input_dim)
    positive("output_dim", output_dim)
    if self_connections:
        return output_dim
    if input_dim != output_dim:
        raise ValueError(
            f"self_connections=False needs a square map, got (input_dim={input_dim}, "
            f"output_dim={output_dim})"
        )
    return output_dim - 1


def positive(name: str, value: int) -> int:
    """`value`, which counts units and is at least 1."""
    if value < 1:
        raise ValueError(f"{name} is at least 1, got {value}")
    return value
