"""Masks that are drawn: exact numbers of connections, every mask with those numbers equally likely.

All are functions of a generator that the caller seeds. Masks are (input_dim, output_dim), entry
[i, j] being the connection i -> j. A map without self-connections is square, and its diagonal
empty. Raises ValueError where more connections are wanted than are possible.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from netbuild.splits import round_half_up
from netbuild.wiring import Wiring, from_matrix, from_pairs

Mask = npt.NDArray[np.bool_]


def random_mask(
    input_dim: int,
    output_dim: int,
    density: float,
    rng: np.random.Generator,
    self_connections: bool = True,
) -> Mask:
    """Exactly `round_half_up(density, possible)` connections, uniformly among the possible ones."""
    columns = output_dim if self_connections else output_dim - 1
    possible = input_dim * columns
    wanted = round_half_up(density, possible)
    few = min(wanted, possible - wanted)  # the rarer of connections and gaps is what is drawn
    chosen = rng.choice(possible, few, replace=False, shuffle=False)
    flat = np.full(possible, few != wanted)
    flat[chosen] = few == wanted
    if self_connections:
        return flat.reshape(input_dim, output_dim)
    mask = np.zeros((input_dim, input_dim), dtype=np.bool_)
    # Behind the first entry, each n off-diagonal entries are followed by one of the diagonal.
    mask.reshape(-1)[1:].reshape(columns, input_dim + 1)[:, :input_dim] = flat.reshape(
        columns, input_dim
    )
    return mask


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
    columns = output_dim if self_connections else output_dim - 1
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
    """Exactly `connections` presynaptic partners for every postsynaptic unit, drawn uniformly."""
    partners = input_dim if self_connections else input_dim - 1
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
        mask[rng.choice(np.flatnonzero(column), connections, replace=False), unit] = True
    return mask
