"""Fixed points: trajectories in the plane of the first two principal components, and the points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.analysis.study import Study
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.panels import PALETTE, figure_of, new_panels
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.tasks import right_choices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

WIDTH, HEIGHT, LEGEND = 80 / 25.4, 66 / 25.4, 10 / 25.4  # inches, of one panel; below them all
COLUMNS = 4
TRIALS = 40  # drawn in a panel
SIZE = 8  # of text, points
REACH = 0.08  # of an unstable direction to each side, of the axes
ANSWERS = (*PALETTE, "#F0E442")  # with Okabe and Ito's yellow; more answers are along one scale
INK, SLOW = "#000000", "#555555"
UNSTABLE, SLOWLY = "unstable direction", "slow point"
MARKERS: dict[str, dict[str, Any]] = {
    "stable": {"marker": "o", "markerfacecolor": INK},
    "saddle": {"marker": "o", "markerfacecolor": "white"},
    "unstable": {"marker": "^", "markerfacecolor": "white"},
    "marginal": {"marker": "D", "markerfacecolor": "#BBBBBB"},
    "undecided": {"marker": "s", "markerfacecolor": "#BBBBBB"},
}


@own_look
def fixed_points(source: Study) -> Drawing:
    """One panel for each condition: its trials, its points, and where states move away.

    Filled points are stable, open ones saddles; a line through a point is an unstable direction
    as it is seen in the plane, always of one length. Slow points are small and grey.

    Args:
        source: what `netbuild.analysis.study` returns.

    Returns the figure and a row a point: condition, fixed, stability, pc1, pc2.
    """
    study = source
    count = len(study.labels)
    panels = new_panels(count, COLUMNS, WIDTH, HEIGHT, LEGEND, sharex=True, sharey=True)
    colours = _colours(study)
    for place, ax in enumerate(panels):
        _trials(ax, study, place, colours)
        if count > 1:
            ax.set_title(name_of(study.labels[place], 80), fontsize=SIZE)
    columns = min(COLUMNS, count)
    for place, ax in enumerate(panels):  # directions are as long as the range of all trials says
        _points(ax, study, place)
        _labels(ax, study, left=place % columns == 0, low=place + columns >= count)
    figure = figure_of(panels[0])
    if len(colours) > len(ANSWERS):
        bar = figure.colorbar(_mappable([*colours]), ax=panels)
        bar.set_label("right answer", fontsize=SIZE)
        bar.ax.tick_params(labelsize=SIZE - 1, length=2.5)
    _legend(figure, panels)
    return Drawing(figure, Table([lambda: _columns(study)]))


def _columns(study: Study) -> Columns:
    points = study.points
    x, y = _plane(study, points.states)
    return {
        "condition": np.array(study.labels)[points.condition.numpy()],
        "fixed": points.fixed.numpy(),
        "stability": np.array(points.stability, np.str_),
        "pc1": x,
        "pc2": y,
    }


def _plane(study: Study, states: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """States (S, N) in the plane; of a single unit the second coordinate is 0."""
    flat = study.plane.project(states.detach()).numpy()
    return flat[:, 0], flat[:, 1] if flat.shape[1] > 1 else np.zeros(len(flat))


def _trials(ax: Axes, study: Study, place: int, colours: dict[float, Any]) -> None:
    """Trajectories of some trials of a condition, from their first step on, by right answer."""
    given = (study.which == -1).all()  # inputs that were given, not read off trials: all are shown
    own = np.arange(len(study.which)) if given else np.flatnonzero(study.which == place)
    answers = _answers(study)
    for trial in own[:TRIALS]:
        states = study.trajectories.states[trial].cpu()[torch.from_numpy(study.within[trial])]
        answer = float(answers[trial])
        few = answer in colours and len(colours) <= len(ANSWERS)
        look: dict[str, Any] = {"alpha": 0.4, "linewidth": 0.6, "zorder": 1}
        look["label"] = f"answer {answer:g}" if few else "trials"
        ax.plot(*_plane(study, states), color=colours.get(answer, "#999999"), **look)


def _answers(study: Study) -> NDArray[np.float64]:
    """(trial,): the right answers; NaN where there is none."""
    given = (study.trials or {}).get("answer")
    return np.full(len(study.within), np.nan) if given is None else right_choices(given)


def _colours(study: Study) -> dict[float, Any]:
    """The colour of each answer, by number; of more than seven, along one scale."""
    known = np.unique(_answers(study))
    found: list[float] = known[~np.isnan(known)].tolist()
    many = len(found) > len(ANSWERS)
    colours = map(tuple, _mappable(found).to_rgba(np.array(found))) if many else ANSWERS
    return dict(zip(found, colours, strict=False))


def _mappable(answers: list[float]) -> ScalarMappable:
    """Numbers as colours, dark to bright."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(min(answers), max(answers)), "viridis")


def _points(ax: Axes, study: Study, place: int) -> None:
    points, axis = study.points, study.plane
    own = torch.nonzero(points.condition == place).squeeze(-1).tolist()
    ranges = np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())
    for i in reversed(own):  # the first ones come on top
        x, y = _plane(study, points.states[i : i + 1])
        if not points.fixed[i]:
            slow: dict[str, Any] = {"color": SLOW, "markersize": 3, "zorder": 2}
            ax.plot(x, y, ".", **slow, markeredgewidth=0, label=SLOWLY)
            continue
        for direction in points.directions(i):
            seen = np.zeros(2)
            seen[: len(axis.components)] = (axis.components @ direction).numpy()
            seen *= REACH / (np.hypot(*(seen / ranges)) or 1)
            ends = ([x[0] - seen[0], x[0] + seen[0]], [y[0] - seen[1], y[0] + seen[1]])
            ax.plot(*ends, color=INK, linewidth=1, zorder=3, label=UNSTABLE)
        word = points.stability[i]
        edge: dict[str, Any] = {"markeredgecolor": INK, "markeredgewidth": 1, "markersize": 5}
        ax.plot(x, y, linestyle="none", zorder=4, label=word, **edge, **MARKERS[word])


def _labels(ax: Axes, study: Study, *, left: bool, low: bool) -> None:
    what = "v" if study.formulation == "current" else "rates"
    shares = study.plane.explained.tolist()
    for number, set_label, shown in ((0, ax.set_xlabel, low), (1, ax.set_ylabel, left)):
        if shown and number < len(shares):
            words = f"PC {number + 1} of {what} ({100 * shares[number]:.0f} %)"
            set_label(words, fontsize=SIZE)
    ax.tick_params(labelsize=SIZE - 1, length=2.5, labelbottom=low)
    ax.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend for all panels, below them."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    answers = sorted((n for n in found if n.startswith("answer ")), key=lambda n: float(n[7:]))
    names = [*answers, *(n for n in ("trials", *MARKERS, UNSTABLE, SLOWLY) if n in found)]
    legend = figure.legend(
        [found[name] for name in names],
        names,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=SIZE - 1,
        handlelength=1.4,
        columnspacing=1.2,
    )
    for line in legend.get_lines():
        line.set_alpha(1)
        if line.get_linestyle() != "None":
            line.set_linewidth(1.2)
