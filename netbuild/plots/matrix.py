"""A weight matrix with its units sorted by area and sign, and labelled."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.layers import plots
from netbuild.plots.drawing import Drawing, Table, figure_of, new_figure, stacked, unusable
from netbuild.training import Run
from netbuild.training.maps import LabelledMap
from netbuild.training.selectivity import selectivity
from netbuild.training.units import Units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
COLOURS = {1: plots.EXCITATORY, -1: plots.INHIBITORY}
LETTERS = {1: "E", -1: "I", 0: ""}
COLUMNS = 4  # of panels
PERCENTILE = 99  # of the weights, at which colours end
LETTER = 0.035  # width of a letter, as a part of the axes
STRIP = 0.03  # width of the colour strips, as a part of the axes


def weights(
    source: Run | LabelledMap | Mapping[str, LabelledMap],
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    sort: str | None = None,
    trials: int = 500,
) -> Drawing:
    """The effective weights of a map: rows are postsynaptic, columns presynaptic units.

    Units stand by area and sign, with strips that say so (red excitatory, blue inhibitory) and
    lines between the groups. Colours are symmetric around 0, up to the 99th percentile of the
    weights that are not 0. Of more than 2,000 units, of a sparse map 800, the means of neighbours
    are drawn.

    Args:
        source: a run, its maps (`run.maps()`), or one of them.
        ax: one Axes, for one map; without it each map has its own.
        layer: which map, e.g. `hidden.recurrent`; with `ax` the first recurrent one when left out.
        sort: `selectivity` sorts recurrent units within their groups by d' between the two right
            choices, in the stimulus; it needs a run.
        trials: of the run, from which the selectivity is taken.

    Returns the figure and a row a weight: map, post, pre, weight, in the order of the figure (of
    means, with the names of the first units). Raises NetbuildError (exit 2) for a map that is not
    there.
    """
    maps = _chosen(source, layer, one=ax is not None)
    found: dict[str, float] = {}
    if sort == "selectivity":
        if not isinstance(source, Run):
            raise unusable("only the units of a run have a selectivity")
        found = _selectivities(source, trials)
    elif sort is not None:
        raise unusable(f"units are not sorted by `{sort}`", "`selectivity`")
    if ax is None:
        columns = min(COLUMNS, len(maps))
        rows = -(-len(maps) // columns)
        figure = new_figure(4.0 * columns, 3.4 * rows)
        places = [figure.add_subplot(rows, columns, i + 1) for i in range(len(maps))]
    else:
        places = [ax]
    panels = zip(places, maps.items(), strict=True)
    parts = [_panel(place, name, one, found) for place, (name, one) in panels]
    return Drawing(figure_of(places[0]), stacked(parts))


def _panel(ax: Axes, name: str, one: LabelledMap, selectivities: Mapping[str, float]) -> Table:
    post, pre = (_order(units, selectivities) for units in (one.post, one.pre))
    weight = one.weight[post][:, pre]
    plots.matrix(ax, weight, PERCENTILE)
    drawn = plots.binned(weight)
    rows, columns = (
        names[np.cumsum(lengths := plots.bin_lengths(len(names), bins)) - lengths]
        for names, bins in zip((one.post.name[post], one.pre.name[pre]), drawn.shape, strict=True)
    )
    _strips(ax, one.post.at(post), one.pre.at(pre))
    ax.set_title(name, fontsize="medium")
    return {
        "map": np.full(drawn.size, name),
        "post": np.repeat(rows, len(columns)),
        "pre": np.tile(columns, len(rows)),
        "weight": drawn.ravel(),
    }


def _chosen(
    source: Run | LabelledMap | Mapping[str, LabelledMap], layer: str | None, *, one: bool
) -> Mapping[str, LabelledMap]:
    """The maps that are drawn: the one that is named, or all, or of these the first recurrent."""
    if isinstance(source, LabelledMap):
        return {layer or "": source}
    maps = source.maps() if isinstance(source, Run) else source
    if layer is None and not one:
        return maps
    recurrent = [name for name in maps if name.endswith(".recurrent")]
    name = layer or (recurrent or list(maps))[0]
    name = f"{name}.recurrent" if name not in maps and f"{name}.recurrent" in maps else name
    if name not in maps:
        raise unusable(f"there is no map `{name}`", f"there are {', '.join(maps)}")
    return {name: maps[name]}


def _order(units: Units, selectivities: Mapping[str, float]) -> Array:
    """Positions by area, in the order in which areas come, then sign, then selectivity."""
    areas = {area: i for i, area in enumerate(dict.fromkeys(units.area.tolist()))}
    area = np.array([areas[a] for a in units.area.tolist()])
    value = np.array([selectivities.get(name, 0.0) for name in units.name.tolist()])
    return np.asarray(np.lexsort((np.arange(len(value)), -value, -units.sign.astype(int), area)))


def _selectivities(run: Run, trials: int) -> dict[str, float]:
    """d' of the units of every recurrent layer, by their names."""
    activity = run.activity(trials)
    found: dict[str, float] = {}
    for name, plan in run.spec.plan.layers.items():
        if "recurrent" in plan.maps:
            values = selectivity(activity, name)
            found |= dict(zip(activity.units[name].name.tolist(), values.tolist(), strict=True))
    if not found:
        raise unusable("no layer of this run is recurrent")
    return found


def _groups(units: Units) -> list[tuple[int, int, str, int]]:
    """Runs of units of one area and sign: (start, stop, area, sign); none if all are alike."""
    keys = list(zip(units.area.tolist(), units.sign.tolist(), strict=True))
    edges = [0, *(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]), len(keys)]
    found = [(a, b, *keys[a]) for a, b in pairwise(edges)]
    return found if len(found) > 1 or keys[0] != ("", 0) else []


def _strips(ax: Axes, post: Units, pre: Units) -> None:
    """A strip of colours along each axis, a line between groups, and the groups' names."""
    rows, columns = _groups(post), _groups(pre)
    _lines(ax, rows, len(post.name), vertical=True)
    _lines(ax, columns, len(pre.name), vertical=False)
    if rows:
        names = _names(rows, len(post.name))
        ax.set_yticks([(a + b - 1) / 2 for a, b in names], names.values())
        ax.tick_params("y", length=0, pad=11, labelsize="small")
    if columns:
        names = _names(columns, len(pre.name))
        ax.xaxis.tick_top()
        crowded = any(
            len(name) * LETTER > (b - a) / len(pre.name) for (a, b), name in names.items()
        )
        ax.set_xticks([(a + b - 1) / 2 for a, b in names], names.values())
        ax.tick_params("x", length=0, pad=8, labelsize="small", rotation=90 if crowded else 0)


def _lines(
    ax: Axes, groups: list[tuple[int, int, str, int]], count: int, *, vertical: bool
) -> None:
    from matplotlib.patches import Rectangle

    place = ax.get_yaxis_transform() if vertical else ax.get_xaxis_transform()
    for start, stop, _, sign in groups:
        if sign:
            low, length = start - 0.5, stop - start
            at = (-STRIP - 0.01, low) if vertical else (low, 1.01)
            size = (STRIP, length) if vertical else (length, STRIP)
            ax.add_patch(
                Rectangle(at, *size, transform=place, clip_on=False, color=COLOURS[sign], lw=0)
            )
        if stop < count:
            line = ax.axhline if vertical else ax.axvline
            line(stop - 0.5, color="#444444", linewidth=0.6)


def _names(groups: list[tuple[int, int, str, int]], count: int) -> dict[tuple[int, int], str]:
    """{(start, stop): name} of the groups that are large enough for one."""
    return {
        (start, stop): name
        for start, stop, area, sign in groups
        if (name := f"{area} {LETTERS[sign]}".strip()) and (stop - start) / count > 0.04
    }
