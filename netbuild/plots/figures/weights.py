"""A weight matrix with its units sorted into groups by area and sign, and labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import matrices
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.panels import GREY, LONGER, figure_of, new_panels
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import NetbuildError
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
COLOURS = {1: matrices.EXCITATORY, -1: matrices.INHIBITORY}
LETTERS = {1: "E", -1: "I", 0: ""}
COLUMNS = 4  # of panels
PERCENTILE = 99  # of the weights, at which colours end
LETTER = 5.0  # points: width of a letter of a name
HEIGHT = 10.5  # points: what a name takes across its line
BESIDE, ABOVE = 40.0, 45.0  # points that labels take from the width of a panel, and from its height
STRIP = 0.03  # width of the colour strips, as a part of the axes
LINE = 0.04  # height of a name, as a part of the axes
GAP = 0.06  # between the middles of two names, at the least, as a part of the axes
MOST_LETTERS = 14  # of a group's name
PAD = 11  # points between an axis and the names, where the strips are
LEAD = 10  # points more, where lines lead from the groups to their names
MOST_GROUPS = 100  # of one column
MOST_LINES = 40  # between groups; more would cover the weights


class _Group(NamedTuple):
    """Neighbours of one word (an area, or the value of a column) and one sign."""

    start: int
    stop: int
    word: str
    sign: int


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
    units = _signed(one)
    words = [_words(side, by) for side in units]
    sides = zip(units, words, scores, strict=True)
    post, pre = (_order(side, word, values) for side, word, values in sides)
    weight = one.weight[post][:, pre]
    matrices.matrix(ax, weight, PERCENTILE)
    rows = _groups(words[0][post], units[0].sign[post])
    columns = _groups(words[1][pre], units[1].sign[pre])
    _strips(ax, rows, len(post), _length(ax, columns, vertical=True), vertical=True)
    _strips(ax, columns, len(pre), _length(ax, rows, vertical=False), vertical=False)
    return lambda: _columns(name, weight, one.post.name[post], one.pre.name[pre])


def _signed(one: LabelledMap) -> tuple[Units, Units]:
    """The postsynaptic and the presynaptic units, with the signs that the figure shows.

    Those of presynaptic units are shown where the map holds its weights to them. Where the same
    units are on both sides, both sides show the same.
    """
    pre = one.pre._replace(sign=one.signs)
    return (pre if np.array_equal(one.pre.name, one.post.name) else one.post), pre


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
        except NetbuildError as error:
            errors[name] = error
        else:
            found[name] = one.at(post, pre)
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


def _words(units: Units, by: str | None) -> Array:
    """(unit,): the group of each; no groups where there are too many areas."""
    column = None if by is None else units.column(by)
    if column is None:
        column = units.area
        if len(np.unique(column)) > MOST_GROUPS:
            return np.full(len(column), "")
    return column


def _order(units: Units, words: Array, scores: Scores) -> Array:
    """Positions by group, in the order in which groups come, then sign, then score."""
    _, first, which = np.unique(words, return_index=True, return_inverse=True)
    value: Array = np.zeros(len(words))
    if scores:
        value = np.array([scores.get(name, 0.0) for name in units.name.tolist()])
    return np.asarray(np.lexsort((-value, -units.sign.astype(int), first[which])))


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


def _groups(words: Array, signs: Array) -> list[_Group]:
    """Runs of units of one word and sign, in order; none if all are alike and have neither."""
    change = (words[1:] != words[:-1]) | (signs[1:] != signs[:-1])
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), len(words)]
    found = [_Group(a, b, str(words[a]), int(signs[a])) for a, b in pairwise(edges)]
    return found if len(found) > 1 or found[0][2:] != ("", 0) else []


def _length(ax: Axes, others: list[_Group], *, vertical: bool) -> float:
    """About how many points long an axis is, beside the names of the groups of the other axis."""
    cell = ax.get_position()
    figure = figure_of(ax)
    inches = (
        cell.height * figure.get_figheight() if vertical else cell.width * figure.get_figwidth()
    )
    letters = max((len(_name(group.word)) for group in others), default=0)
    return max(72 * inches - (ABOVE if vertical else BESIDE) - LETTER * letters, 50.0)


def _name(word: str) -> str:
    return name_of(word, MOST_LETTERS)


def _strips(ax: Axes, groups: list[_Group], count: int, length: float, *, vertical: bool) -> None:
    """A strip of colours along an axis, a line between groups, and the groups' names.

    Names that would cover each other move apart, with lines that lead to them. Where there are
    too many for that, the large groups have names, and the axis label counts the others.
    `length` is about how many points long the axis is.
    """
    if not groups:
        return
    _lines(ax, groups, count, vertical=vertical)
    names = _names(groups, count)
    gap = max(GAP, HEIGHT / length)
    shown = names if len(names) <= 1 / gap else _far_apart(names, gap * count)
    middles = [(a + b - 1) / 2 for a, b in shown]
    places = _apart(middles, gap * count, count)
    led = _leaders(ax, middles, places, count, vertical=vertical)
    pad = PAD + LEAD * led
    axis = ax.yaxis if vertical else ax.xaxis
    if len(shown) < len(names):
        without = f"{len(names) - len(shown)} small groups have no name"
        axis.set_label_text(f"{axis.get_label_text()}\n{without}")
    if vertical:
        ax.set_yticks(places, shown.values())
        ax.tick_params("y", length=0, pad=pad, labelsize="small")
        if not shown:
            ax.yaxis.labelpad += PAD
        return
    ax.xaxis.tick_top()
    crowded = any(len(name) * LETTER / length > (b - a) / count for (a, b), name in shown.items())
    ax.set_xticks(places, shown.values())
    ax.tick_params("x", length=0, pad=pad, labelsize="small", rotation=90 if crowded else 0)


def _far_apart(names: dict[tuple[int, int], str], gap: float) -> dict[tuple[int, int], str]:
    """Of names that cover each other those of the largest groups."""
    found: list[tuple[int, int]] = []
    for group in sorted(names, key=lambda group: group[0] - group[1]):
        if all(abs(sum(group) - sum(other)) / 2 >= gap for other in found):
            found.append(group)
    return {group: names[group] for group in sorted(found)}


def _apart(middles: list[float], gap: float, count: int) -> list[float]:
    """Places between 0 and count - 1, a gap apart and as near to the middles as can be.

    That is least squares under an order, of the middles less the gaps before them.
    """
    from scipy.optimize import isotonic_regression

    gaps = gap * np.arange(len(middles))
    free = isotonic_regression(middles - gaps).x if middles else gaps
    highest = max(0.0, count - 1 - gap * (len(middles) - 1))
    places: list[float] = (np.clip(free, 0.0, highest) + gaps).tolist()
    return places


def _leaders(
    ax: Axes, middles: list[float], places: list[float], count: int, *, vertical: bool
) -> bool:
    """Lines from the middles of groups to the places of their names, where these differ."""
    from matplotlib.transforms import ScaledTranslation

    if not any(
        abs(place - at) > GAP * count / 5 for at, place in zip(middles, places, strict=True)
    ):
        return False
    points = (PAD + LEAD - 2) / 72
    inner = ax.get_yaxis_transform() if vertical else ax.get_xaxis_transform()
    away = (-points, 0.0) if vertical else (0.0, points)
    outer = inner + ScaledTranslation(*away, figure_of(ax).dpi_scale_trans)
    for at, place in zip(middles, places, strict=True):
        ax.annotate(
            "",
            xy=(-STRIP - 0.015, at) if vertical else (at, STRIP + 1.015),
            xycoords=inner,
            xytext=(0, place) if vertical else (place, 1),
            textcoords=outer,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": GREY, "shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
        )
    return True


def _lines(ax: Axes, groups: list[_Group], count: int, *, vertical: bool) -> None:
    from matplotlib.patches import Rectangle

    place = ax.get_yaxis_transform() if vertical else ax.get_xaxis_transform()
    line = ax.axhline if vertical else ax.axvline
    words = 1 + sum(one.word != other.word for one, other in pairwise(groups))
    for group, after in zip(groups, [*groups[1:], None], strict=True):
        if group.sign:
            low, length = group.start - 0.5, group.stop - group.start
            at = (-STRIP - 0.01, low) if vertical else (low, 1.01)
            size = (STRIP, length) if vertical else (length, STRIP)
            colour = COLOURS[group.sign]
            ax.add_patch(Rectangle(at, *size, transform=place, clip_on=False, color=colour, lw=0))
        if after is not None:
            same = after.word == group.word  # only the sign differs
            if (len(groups) if same else words) <= MOST_LINES:
                line(group.stop - 0.5, color="#444444", linewidth=0.3 if same else 0.6)


def _names(groups: list[_Group], count: int) -> dict[tuple[int, int], str]:
    """{(start, stop): name} of the groups.

    If not all groups of one word are large enough for a name, they share it.
    """
    found: dict[tuple[int, int], str] = {}
    for word, run in groupby(groups, lambda group: group.word):
        own = list(run)
        large = [group for group in own if (group.stop - group.start) / count > LINE]
        whole = (own[0].start, own[-1].stop)
        if word and len(large) < len(own):
            found[whole] = _name(word)
            continue
        for group in large:
            if name := f"{_name(word)} {LETTERS[group.sign]}".strip():
                found[group.start, group.stop] = name
    return found
