"""The diagram of a network: its layers with their populations, and the pathways between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from netbuild.language.plan import LayerPlan, MapPlan
from netbuild.language.units import Units
from netbuild.report.cells import Picture
from netbuild.report.model import Model
from netbuild.wording import counted, one_line, show

WIDTH, LEFT, RIGHT = 440, 34, 426  # pixels: of the whole, and the sides of a layer's box
GAP = 46  # between two boxes
TITLE, GROUP, ARCS, PAD = 40, 28, 40, 10  # heights inside a box
MOST_GROUPS = 6  # that a box shows; of more, only their number
MOST_LAYERS = 30
SIGN = {1: "excitatory", -1: "inhibitory", 0: "free", None: "unsigned"}
LETTER = {1: "E", -1: "I", 0: "0", None: ""}
CLASS = {1: "exc", -1: "inh", 0: "any", None: "any"}
Key = tuple[str, int | None]  # area, and sign; None where it is not known


class Box(NamedTuple):
    """A layer, or the input, in the diagram."""

    name: str
    words: str
    units: Units
    groups: list[Key]
    sizes: list[int]
    top: int
    recurrent: MapPlan | None

    @property
    def shows_groups(self) -> bool:
        """Whether its groups have boxes of their own."""
        alone = len(self.groups) == 1 and self.groups[0] == ("", None)
        return len(self.groups) <= MOST_GROUPS and not (alone and self.recurrent is None)

    @property
    def height(self) -> int:
        """Its height."""
        inside = GROUP + PAD if self.shows_groups else 0
        arcs = 2 * ARCS - PAD if self.shows_groups and self.recurrent is not None else 0
        return TITLE + inside + arcs

    @property
    def row(self) -> int:
        """The y at which its groups begin."""
        return self.top + TITLE + (ARCS - PAD if self.recurrent is not None else 0)

    def place(self, number: int) -> tuple[float, float]:
        """The middle and the width of a group."""
        room = (RIGHT - LEFT - 24) / len(self.groups)
        return LEFT + 12 + room * (number + 0.5), min(room - 14, 96.0)


def diagram(model: Model) -> Picture:
    """The network from its input, at the top, to its last layer."""
    boxes = list(_boxes(model))
    left_out = len(model.layers) + 1 - len(boxes)
    found = {box.name: box for box in boxes}
    parts = [_DEFS]
    said: list[str] = []
    for layer, plan in zip(model.layers, model.plans, strict=True):
        if layer.name not in found:
            continue
        box, source = found[layer.name], found.get(plan.reads.layer)
        if source is not None:
            parts += _edge(source, box, plan, is_next=boxes.index(source) + 1 == boxes.index(box))
        said.append(_sentence(plan, box))
    for box in boxes:
        parts += _drawn(box)
    height = boxes[-1].top + boxes[-1].height + 8
    if left_out > 0:
        parts.append(_text(LEFT, height + 8, f"and {counted(left_out, 'layer')} more", "small"))
        height += 20
    svg = (
        f'<svg class="diagram" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{{alt}}">{"".join(parts)}</svg>'
    )
    alt = " ".join(said) or "One layer."
    return Picture("Layers and pathways", alt, svg.replace("{alt}", str(escape(alt))), width=WIDTH)


_DEFS = "<defs>" + "".join(
    f'<marker id="arrow-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
    f' markerHeight="7" orient="auto"><path class="head {kind}" d="M0 0 L8 4 L0 8 z"/></marker>'
    for kind in ("exc", "inh", "any")
) + "</defs>"  # fmt: skip


def _boxes(model: Model) -> Iterator[Box]:
    first = model.plans[0].reads
    words = [(first, "input", None)]
    words += [
        (plan.gives, each.elements, plan.maps.get("recurrent"))
        for plan, each in zip(model.plans, model.neurons, strict=True)
    ][:MOST_LAYERS]  # type: ignore[arg-type]
    top = 4
    for units, elements, recurrent in words:
        whole = units if units.whole else model.spec.plan.layers[units.layer].gives
        keys, ids = groups_of(whole)
        sizes = np.bincount(ids, minlength=len(keys)).tolist()
        more = "" if recurrent is None else _recurrent_words(recurrent)
        said = f"{counted(whole.size, 'unit')}, {elements}{more}"
        box = Box(units.layer, said, whole, keys, sizes, top, recurrent)
        yield box
        top += box.height + GAP


def _recurrent_words(plan: MapPlan) -> str:
    return f"; {plan.connections.count:,} recurrent connections"


def groups_of(units: Units) -> tuple[list[Key], NDArray[np.intp]]:
    """The areas and signs of units as groups, and the number of the group of each unit, (unit,)."""
    keys: dict[Key, int] = {}
    runs = [
        keys.setdefault((area, int(sign) if signed else None), len(keys))
        for area, sign, signed in units.runs[["area", "sign", "signed"]].tolist()
    ]
    return list(keys), np.repeat(np.array(runs, np.intp), units.lengths)


def connections_between(plan: MapPlan) -> dict[tuple[Key, Key], int]:
    """How many connections a map has from each group of its sources to each group it reaches."""
    pre, pre_ids = groups_of(plan.reads)
    post, post_ids = groups_of(plan.gives)
    if plan.connections.is_full:
        sizes = [
            np.bincount(ids, minlength=len(k)) for k, ids in ((pre, pre_ids), (post, post_ids))
        ]
        counts = np.outer(*sizes)
    else:
        graph = plan.connections.graph()
        flat = pre_ids[graph.sources] * len(post) + post_ids[graph.targets]
        counts = np.bincount(flat, minlength=len(pre) * len(post)).reshape(len(pre), len(post))
    return {
        (one, other): int(counts[i, j])
        for i, one in enumerate(pre)
        for j, other in enumerate(post)
        if counts[i, j]
    }


# Drawing


def _drawn(box: Box) -> Iterator[str]:
    wide = RIGHT - LEFT
    yield (
        f'<rect class="box" x="{LEFT}" y="{box.top}" width="{wide}" height="{box.height}" rx="8"/>'
    )
    yield _text(LEFT + 12, box.top + 17, show(box.name, 40), "name")
    yield _text(LEFT + 12, box.top + 32, show(box.words, 72), "small")
    if not box.shows_groups:
        return
    for number, (area, sign) in enumerate(box.groups):
        middle, width = box.place(number)
        kind, label = CLASS[sign], " ".join(x for x in (show(area, 10), LETTER[sign]) if x)
        yield (
            f'<rect class="group {kind}" x="{middle - width / 2:.1f}" y="{box.row}"'
            f' width="{width:.1f}" height="{GROUP}" rx="5"/>'
        )
        words = f"{label} {box.sizes[number]:,}".strip()
        yield _text(middle, box.row + 18, words, "count", anchor="middle")
    if box.recurrent is not None:
        yield from _arcs(box, box.recurrent)


def _arcs(box: Box, plan: MapPlan) -> Iterator[str]:
    """The recurrent connections: forwards above the groups, backwards below them."""
    signed = plan.signs is not None
    for (one, other), count in connections_between(plan).items():
        a, b = box.groups.index(one), box.groups.index(other)
        kind = CLASS[one[1]] if signed else "any"
        start, end = box.place(a)[0], box.place(b)[0]
        above = a <= b
        edge = box.row if above else box.row + GROUP
        if a == b:
            start, end, rise = start - 10, end + 10, 22
        else:
            shift = 16 if above else -16
            start, end, rise = start + shift, end - shift, min(16 + 8 * abs(a - b), 34)
        far = edge - rise if above else edge + rise
        title = f"{_label(one)} to {_label(other)}: {counted(count, 'connection')}"
        yield _path(f"M{start:.1f} {edge} C{start:.1f} {far} {end:.1f} {far} {end:.1f} {edge}",
                    kind, title)  # fmt: skip


def _edge(source: Box, target: Box, plan: LayerPlan, *, is_next: bool) -> Iterator[str]:
    """What a layer reads: lines from the groups that it reads, or one line along the left."""
    own = next((each for name, each in plan.maps.items() if name != "recurrent"), None)
    words = "passed on" if own is None else _words(own)
    middle = (LEFT + RIGHT) / 2
    if not is_next:
        from_, to = source.top + source.height / 2, target.top + target.height / 2
        line = f"M{LEFT} {from_:.1f} C8 {from_:.1f} 8 {to:.1f} {LEFT - 1} {to:.1f}"
        yield _path(line, "any", f"{source.name} to {target.name}: {words}")
        return
    keys = groups_of(plan.reads)[0]
    top, bottom = source.top + source.height, target.top
    some = [key for key in keys if key in source.groups]
    starts: list[tuple[float, Key]] = [(middle, ("", None))]
    if source.shows_groups and len(some) < len(source.groups):
        starts = [(source.place(source.groups.index(key))[0], key) for key in some]
    for x, key in starts:
        bend = (top + bottom) / 2
        line = f"M{x:.1f} {top} C{x:.1f} {bend} {middle} {bend} {middle} {bottom - 1}"
        held = own is not None and own.signs is not None
        kind = CLASS[key[1]] if held else "any"
        yield _path(line, kind, f"{source.name} to {target.name}: {words}")
    yield _text(middle + 12, bottom - 8, words, "small")


def _words(plan: MapPlan) -> str:
    density = plan.connections.density
    share = "all to all" if density == 1 else f"{100 * density:.3g} % of pairs"
    return f"{counted(plan.connections.count, 'connection')}, {share}"


def _path(line: str, kind: str, title: str) -> str:
    return (
        f'<path class="arc {kind}" d="{line}" marker-end="url(#arrow-{kind})">'
        f"<title>{escape(one_line(title))}</title></path>"
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">'
        f"{escape(one_line(words))}</text>"
    )


# Words


def _label(key: Key) -> str:
    return " ".join(word for word in (show(key[0], 20), SIGN[key[1]]) if word)


def _sentence(plan: LayerPlan, box: Box) -> str:
    """What a layer reads and what is within it, for readers who do not see the diagram."""
    said = f"{show(box.name)}: {counted(box.units.size, 'unit')}, reads {show(plan.reads.layer)}"
    own: Any = next((each for name, each in plan.maps.items() if name != "recurrent"), None)
    said += f" ({_words(own)})" if own is not None else ""
    if box.recurrent is not None and len(box.groups) <= MOST_GROUPS:
        pairs = connections_between(box.recurrent).items()
        listed = (f"{_label(one)} to {_label(other)} {count:,}" for (one, other), count in pairs)
        said += f"; recurrent connections: {', '.join(listed)}"
    return one_line(said) + "."
