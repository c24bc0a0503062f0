"""A weight matrix with its units sorted into groups by area and sign, and labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import matrices
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.panels import LONGER, figure_of, new_panels
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import NetbuildError
from netbuild.plots.strips import Group, groups_of, show_groups
from netbuild.results.activity import selectivity
from netbuild.results.maps import LabelledMap
from netbuild.results.results import Results, results_of
from netbuild.results.run import Run
from netbuild.results.units import Units, no_column, unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
Maps: TypeAlias = Mapping[str, LabelledMap]
Scores: TypeAlias = Mapping[str, float]  # of units, by their names
COLUMNS = 4  # of panels
PERCENTILE = 99  # of the weights, at which colours end
MOST_GROUPS = 100  # of one column


@own_look
def weights(
    source: Results | Run | LabelledMap | Maps,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    by: str | None = None,
    sort: str | None = None,
    trials: int = 500,
) -> Drawing:
    """The effective weights of a map: rows are postsynaptic, columns presynaptic units.

    Units stand by area and sign, with strips that say so (red excitatory, blue inhibitory) and
    lines between the groups. Colours are symmetric around 0, up to the 99th percentile of the
    weights that are not 0. Of more than 2,000 units, of a sparse map 800, the means of neighbours
    are drawn.

    Args:
        source: a run, its results, its maps (`run.maps()`), or one of them.
        ax: one Axes, for one map; without it each map has its own.
        layer: which map, e.g. `hidden.recurrent`; with `ax` the first recurrent one when left out.
        from_, to: a selection of presynaptic and of postsynaptic units, e.g. `kind=sensory`, as
            `Units.where` reads it; all when left out. Of several maps those that have such units
            are drawn.
        by: a column of the node table whose values group the units in place of areas; units that
            no node table names stand by area.
        sort: `selectivity` sorts recurrent units within their groups by d' between the two right
            choices, in the stimulus; it needs a run.
        trials: of the run, from which the selectivity is taken.

    Returns the figure and a row a weight: map, post, pre, weight, in the order of the figure (of
    means, with the names of the first units). Raises NetbuildError (exit 2) for a map, units or a
    column that is not there, and for a column of more than 100 values.
    """
    results = results_of(source)
    maps = _restricted(_chosen(results.maps, layer, one=ax is not None), from_, to)
    if by is not None:
        _check_column(maps, by)
    scores = {} if sort is None else _scores(results, sort, trials)
    places = new_panels(len(maps), COLUMNS, 4.0, 3.4) if ax is None else [ax]
    ends = [f"{w} {name_of(which, LONGER)}" for w, which in (("from", from_), ("to", to)) if which]
    parts = []
    for place, (name, one) in zip(places, maps.items(), strict=True):
        parts.append(_panel(place, name, one, by, _sides(results, name, scores)))
        title = f"{name_of(name, LONGER)}\n{' '.join(ends)}".strip()
        place.set_title(title, fontsize="medium")
    return Drawing(figure_of(places[0]), Table(parts))


def _panel(
    ax: Axes, name: str, one: LabelledMap, by: str | None, scores: tuple[Scores, Scores]
) -> Callable[[], Columns]:
    """Draw a map; its numbers are made when the table is read.

    The signs of presynaptic units are shown where the map holds its weights to them. Where the
    same units are on both sides, both sides show the same.
    """
    columns = one.pre._replace(sign=one.signs)
    rows = columns if np.array_equal(one.pre.name, one.post.name) else one.post
    post, row_groups = _order(rows, by, scores[0])
    pre, column_groups = _order(columns, by, scores[1])
    weight = one.weight[post][:, pre]
    matrices.matrix(ax, weight, PERCENTILE)
    show_groups(ax, row_groups, column_groups, weight.shape)
    return lambda: _columns(name, weight, one.post.name[post], one.pre.name[pre])


def _columns(name: str, weight: Any, post: Array, pre: Array) -> Columns:
    drawn = matrices.binned(weight)
    rows, columns = (
        names[np.cumsum(lengths := matrices.bin_lengths(len(names), bins)) - lengths]
        for names, bins in zip((post, pre), drawn.shape, strict=True)
    )
    return {
        "map": np.full(drawn.size, name),
        "post": np.repeat(rows, len(columns)),
        "pre": np.tile(columns, len(rows)),
        "weight": drawn.ravel(),
    }


def _chosen(maps: Maps, layer: str | None, *, one: bool) -> Maps:
    """The maps that are drawn: that of the layer, or all, or of these the first recurrent one."""
    if [*maps] == [""]:  # a map that was given alone
        return {layer or "": maps[""]}
    if layer is None and not one:
        return maps
    name = layer or _foremost(maps)
    name = f"{name}.recurrent" if name not in maps and f"{name}.recurrent" in maps else name
    if name not in maps:
        raise unusable(f"there is no map `{name}`", f"there are {', '.join(maps)}")
    return {name: maps[name]}


def _foremost(maps: Maps) -> str:
    return next((name for name in maps if name.endswith(".recurrent")), next(iter(maps)))


def _restricted(maps: Maps, from_: str | None, to: str | None) -> Maps:
    """The selected rows and columns of each map, without the maps that have none."""
    if from_ is None and to is None:
        return maps
    found: dict[str, LabelledMap] = {}
    errors: dict[str, NetbuildError] = {}
    for name, one in maps.items():
        try:
            pre, post = _positions(one.pre, from_), _positions(one.post, to)
            found[name] = one.at(post, pre)
        except NetbuildError as error:
            errors[name] = error
    if not found:
        raise errors[_foremost(maps)]
    return found


def _positions(units: Units, selection: str | None) -> Array:
    if selection is None:
        return np.arange(len(units.name))
    return np.flatnonzero(units.where(selection))


def _check_column(maps: Maps, by: str) -> None:
    """Raise NetbuildError where no units have the column, or it has too many values."""
    sides = [units for one in maps.values() for units in (one.pre, one.post)]
    columns = [column for units in sides if (column := units.column(by)) is not None]
    if not columns:
        raise no_column(by, dict.fromkeys(name for units in sides for name in units.columns))
    most = max(len(np.unique(column)) for column in columns)
    if most > MOST_GROUPS:
        raise unusable(f"`{by}` has {most:,} values; at most {MOST_GROUPS} groups are drawn")


def _order(units: Units, by: str | None, scores: Scores) -> tuple[Array, list[Group]]:
    """Positions by group, in the order in which groups come, then sign, then score; the groups.

    Units without the column `by` stand by area, and too many areas make no groups.
    """
    words = None if by is None else units.column(by)
    if words is None:
        few = len(np.unique(units.area)) <= MOST_GROUPS
        words = units.area if few else np.full(len(units.area), "")
    _, first, which = np.unique(words, return_index=True, return_inverse=True)
    value = np.array([scores.get(name, 0.0) for name in units.name.tolist()])
    order = np.lexsort((-value, -units.sign.astype(int), first[which]))
    return order, groups_of(words[order], units.sign[order])


def _scores(results: Results, sort: str, trials: int) -> dict[str, Scores]:
    """d' of the units of every recurrent layer, by their names."""
    if sort != "selectivity":
        raise unusable(f"units are not sorted by `{sort}`", "`selectivity`")
    if results.run is None or results.spec is None:
        raise unusable("only the units of a run have a selectivity")
    activity = results.activity(trials)
    found: dict[str, Scores] = {}
    for name, plan in results.spec.plan.layers.items():
        if "recurrent" in plan.maps:
            values = selectivity(activity, name).tolist()
            found[name] = dict(zip(activity.units[name].name.tolist(), values, strict=True))
    if not found:
        raise unusable("no layer of this run is recurrent")
    return found


def _sides(results: Results, name: str, scores: Mapping[str, Scores]) -> tuple[Scores, Scores]:
    """The scores of the postsynaptic and of the presynaptic units of a map."""
    layer, _, which = name.partition(".")
    if not scores or results.spec is None:
        return {}, {}
    before = layer if which == "recurrent" else results.spec.plan.layers[layer].reads.layer
    return scores.get(layer, {}), scores.get(before, {})
