"""Memory from arithmetic: widths that the machine cannot hold are refused before allocation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbuild.language.context import Context
from netbuild.language.masks import RandomMask
from netbuild.language.plan import LayerPlan, Site
from netbuild.language.storage import wants_sparse
from netbuild.system import memory_bytes

# A weight in training, in bytes: itself, its gradient, two moments, the value before the step and
# two bounds as float32; then the masks: a sign and a connection of a byte, plasticity of four.
BYTES_PER_WEIGHT = 7 * 4 + 6
# Where only connections have values: the same, a sign, and their places in the pattern and in its
# transpose.
BYTES_PER_CONNECTION = 7 * 4 + 5 + 5 * 4
# A bias, or another value that learns: itself, gradient, two moments, the value before the step.
BYTES_PER_VALUE = 5 * 4
BYTES_PER_UNIT = 32  # positions, signs and activity, in the unit's own layer and in each reader
SHARE = 0.8  # of the machine's memory


def check_memory(
    context: Context, plans: Mapping[int, LayerPlan], limit: int | None = None
) -> bool:
    """Whether training the network fits into memory; a problem names the largest layers if not."""
    sizes = {i: _layer_bytes(context, i, plan) for i, plan in plans.items()}
    total = sum(sizes.values())
    most = int(SHARE * memory_bytes()) if limit is None else limit
    if total <= most:
        return True
    largest = sorted(sizes, key=lambda i: sizes[i], reverse=True)[:3]
    listed = ", ".join(f"`{plans[i].name}` {_readable(sizes[i])}" for i in largest)
    what = f"training needs {_readable(total)}, and this machine can give {_readable(most)}"
    hint = f"the largest layers: {listed}"
    context.at("layers", largest[0]).problem("NB901", what, hint, key=True)
    return False


def _layer_bytes(context: Context, i: int, plan: LayerPlan) -> int:
    """Bytes of a layer: its units, their own values, and its maps before any array is made."""
    layer: Any = context.parsed.layers[i]
    wired: Any = context.connectomes.get(i)
    values: int = layer.values_per_unit * plan.gives.size
    total = (plan.reads.size + plan.gives.size) * BYTES_PER_UNIT
    for key, site in layer.sites(context.at("layers", i), plan).items():
        is_wired = wired is not None and key == layer.wired
        total += _map_bytes(site, len(wired.wiring) if is_wired else _connections(site))
        values += site.output_dim  # biases
    return total + values * BYTES_PER_VALUE


def _connections(site: Site) -> int:
    """How many connections a map has, as far as its section alone says."""
    source = site.section.sparsity_mask
    density = source.density if isinstance(source, RandomMask) else site.section.density
    return site.pairs if density is None else int(density * site.pairs)


def _map_bytes(site: Site, connections: int) -> int:
    whole = getattr(site.section, "projections", None) is not None  # laid together as a matrix
    if not whole and wants_sparse(site.section, site.pairs, connections):
        return connections * BYTES_PER_CONNECTION
    return site.pairs * BYTES_PER_WEIGHT


def _readable(size: int) -> str:
    for power, unit in ((18, "EB"), (15, "PB"), (12, "TB"), (9, "GB")):
        if size >= 10**power:
            return f"{size / 10**power:,.1f} {unit}" if size < 10**21 else "more than 1,000 EB"
    return f"{size / 10**6:,.1f} MB"
