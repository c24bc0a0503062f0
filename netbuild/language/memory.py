"""Memory from arithmetic: widths that the machine cannot hold are refused before allocation."""

from __future__ import annotations

from collections.abc import Iterator

from netbuild.language.context import Context
from netbuild.language.ctrnn import CTRNN
from netbuild.language.layers import Linear
from netbuild.language.maps import Map
from netbuild.language.masks import RandomMask
from netbuild.language.plan import LayerPlan
from netbuild.language.storage import wants_sparse
from netbuild.system import memory_bytes

# A weight in training, in bytes: itself, its gradient, two moments, the value before the step and
# two bounds as float32; then the masks: a sign and a connection of a byte, plasticity of four.
BYTES_PER_WEIGHT = 7 * 4 + 6
# Where only connections have values: the same, a sign, and their places in the pattern and in its
# transpose.
BYTES_PER_CONNECTION = 7 * 4 + 5 + 5 * 4
BYTES_PER_UNIT = 32  # positions, signs and activity, in a layer that reads it or is it
SHARE = 0.8  # of the machine's memory


def check_memory(context: Context, plans: dict[int, LayerPlan], limit: int | None = None) -> bool:
    """Whether training the network fits into memory; a problem names the largest layers if not."""
    sizes = {
        i: sum(_bytes(*one) for one in _maps(context, i, plan))
        + (plan.reads.size + plan.gives.size) * BYTES_PER_UNIT
        for i, plan in plans.items()
    }
    total = sum(sizes.values())
    most = int(SHARE * memory_bytes()) if limit is None else limit
    if total <= most:
        return True
    largest = sorted(sizes, key=lambda i: sizes[i], reverse=True)[:3]
    listed = ", ".join(f"`{plans[i].name}` {_readable(sizes[i])}" for i in largest)
    what = f"training needs {_readable(total)}, and this machine can give {_readable(most)}"
    context.problem(
        "NB901", ("layers", largest[0]), what, f"the largest layers: {listed}", key=True
    )
    return False


def _maps(context: Context, i: int, plan: LayerPlan) -> Iterator[tuple[Map, int, int]]:
    """The words of each map of a layer, its pairs of units, and how many of them are connected."""
    layer = context.parsed.layers[i]
    if isinstance(layer, (Linear, CTRNN)):
        wired = context.connectomes.get(i)
        inner = layer.recurrent if isinstance(layer, CTRNN) else layer
        reads = plan.gives if isinstance(layer, CTRNN) else plan.reads
        pairs = reads.size * plan.gives.size
        yield inner, pairs, _connections(inner, pairs) if wired is None else len(wired.wiring)
    if isinstance(layer, CTRNN):
        pairs = plan.reads.size * plan.gives.size
        yield layer.input, pairs, _connections(layer.input, pairs)


def _connections(words: Map, pairs: int) -> int:
    """How many connections a map has, as far as its words alone tell."""
    source = words.sparsity_mask
    density = source.density if isinstance(source, RandomMask) else words.density
    return pairs if density is None else int(density * pairs)


def _bytes(words: Map, pairs: int, connections: int) -> int:
    if wants_sparse(words, pairs, connections) and getattr(words, "projections", None) is None:
        return connections * BYTES_PER_CONNECTION
    return pairs * BYTES_PER_WEIGHT


def _readable(size: int) -> str:
    for power, unit in ((18, "EB"), (15, "PB"), (12, "TB"), (9, "GB")):
        if size >= 10**power:
            return f"{size / 10**power:,.1f} {unit}" if size < 10**21 else "more than 1,000 EB"
    return f"{size / 10**6:,.1f} MB"
