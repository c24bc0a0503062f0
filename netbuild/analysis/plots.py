"""The figure of fixed points: trajectories in the plane of the first two principal components."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from netbuild.analysis.pca import PCA
from netbuild.analysis.study import Study
from netbuild.drawing.look import name_of, new_figure, own_look
from netbuild.tasks import right_choices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 80 / 25.4, 66 / 25.4  # inches, of one panel
COLUMNS = 4
TRIALS = 40  # drawn in a panel
SIZE = 8  # of text, points
REACH = 0.08  # of an unstable direction to each side, of the axes
# Okabe and Ito's colours, which the colour-blind tell apart.
ANSWERS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
INK, SLOW = "#000000", "#555555"
MARKERS: dict[str, dict[str, Any]] = {
    "stable": {"marker": "o", "markerfacecolor": INK},
    "saddle": {"marker": "o", "markerfacecolor": "white"},
    "unstable": {"marker": "^", "markerfacecolor": "white"},
    "marginal": {"marker": "D", "markerfacecolor": "#BBBBBB"},
    "undecided": {"marker": "s", "markerfacecolor": "#BBBBBB"},
}


@own_look
def fixed_points(study: Study) -> Figure:
    """One panel for each condition: its trials, its points, and where states move away.

    Filled points are stable, open ones saddles; a line through a point is an unstable direction
    as it is seen in the plane, always of one length. Slow points are small and grey.
    """
    count = len(study.labels)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(WIDTH * columns, HEIGHT * rows + 10 / 25.4)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axis = study.plane
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.set_axis_off()
            continue
        _trials(axes, study, axis, place)
        if count > 1:
            axes.set_title(name_of(study.labels[place], 80), fontsize=SIZE)
    for place, axes in enumerate(grid.flat[:count]):
        _points(axes, study, axis, place)
        _labels(axes, study, axis, left=place % columns == 0, low=place + columns >= count)
    panels = list(grid.flat[:count])
    if len(answers := _colours(study)) > len(ANSWERS):
        bar = figure.colorbar(_mappable(answers), ax=panels)
        bar.set_label("right answer", fontsize=SIZE)
        bar.ax.tick_params(labelsize=SIZE - 1, length=2.5)
    _legend(figure, panels)
    return figure


def _trials(axes: Axes, study: Study, axis: PCA, place: int) -> None:
    """Trajectories of some trials of a condition, from their first step on, by right answer."""
    given = (study.which == -1).all()  # inputs that belong to no trials: all are shown
    own = np.arange(len(study.which)) if given else np.flatnonzero(study.which == place)
    answers, colours = _answers(study), _colours(study)
    for trial in own[:TRIALS]:
        states = study.trajectories.states[trial].cpu()[torch.from_numpy(study.within[trial])]
        x, y = _xy(axis, states)
        answer = float(answers[trial])
        few = answer in colours and len(colours) <= len(ANSWERS)
        axes.plot(
            x,
            y,
            color=colours.get(answer, "#999999"),
            alpha=0.4,
            linewidth=0.6,
            zorder=1,
            label=f"answer {answer:g}" if few else "trials",
        )


def _answers(study: Study) -> NDArray[np.float64]:
    """(trial,): the right answers; NaN where there is none."""
    given = (study.trials or {}).get("answer")
    return np.full(len(study.within), np.nan) if given is None else right_choices(given)


def _colours(study: Study) -> dict[float, Any]:
    """The colour of each answer, by number; of more than seven, along one map."""
    known = np.unique(_answers(study))
    known = known[~np.isnan(known)]
    found: list[float] = known.tolist()
    if len(found) <= len(ANSWERS):
        return dict(zip(found, ANSWERS, strict=False))
    return dict(zip(found, map(tuple, _mappable(found).to_rgba(known)), strict=True))


def _mappable(answers: Collection[float]) -> ScalarMappable:
    """Numbers as colours, dark to bright."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(min(answers), max(answers)), "viridis")


def _points(axes: Axes, study: Study, axis: PCA, place: int) -> None:
    points = study.points
    own = torch.nonzero(points.condition == place).squeeze(-1).tolist()
    ranges = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
    for i in reversed(own):  # the first ones come on top
        x, y = _xy(axis, points.states[i : i + 1])
        if not points.fixed[i]:
            slow: dict[str, Any] = {"color": SLOW, "markersize": 3, "zorder": 2}
            axes.plot(x, y, ".", **slow, markeredgewidth=0, label="slow point")
            continue
        for direction in points.directions(i):
            seen = np.zeros(2)
            seen[: len(axis.components)] = (axis.components @ direction).numpy()
            seen *= REACH / (np.hypot(*(seen / ranges)) or 1)
            ends = ([x[0] - seen[0], x[0] + seen[0]], [y[0] - seen[1], y[0] + seen[1]])
            axes.plot(*ends, color=INK, linewidth=1, zorder=3, label="unstable direction")
        word = points.stability[i]
        axes.plot(
            x,
            y,
            linestyle="none",
            markersize=5,
            markeredgecolor=INK,
            markeredgewidth=1,
            zorder=4,
            label=word,
            **MARKERS[word],
        )


def _labels(axes: Axes, study: Study, axis: PCA, *, left: bool, low: bool) -> None:
    what = "v" if study.formulation == "current" else "rates"
    for number, set_label, shown in ((0, axes.set_xlabel, low), (1, axes.set_ylabel, left)):
        if shown and number < len(axis.explained):
            share = 100 * float(axis.explained[number])
            set_label(f"PC {number + 1} of {what} ({share:.0f} %)", fontsize=SIZE)
    axes.tick_params(labelsize=SIZE - 1, length=2.5, labelbottom=low)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend for all panels, below them."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    order = ["answer", "trials", *MARKERS, "unstable direction", "slow point"]

    def place(name: str) -> tuple[int, float]:
        word, _, number = name.partition(" ")
        return (0, float(number)) if word == "answer" else (order.index(name), 0.0)

    names = sorted(found, key=place)
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


def _xy(axis: PCA, states: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """States (S, N) in the plane; of a single unit the second coordinate is 0."""
    flat = axis.project(states.detach()).numpy()
    return flat[:, 0], flat[:, 1] if flat.shape[1] > 1 else np.zeros(len(flat))
