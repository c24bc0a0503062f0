"""The scores of an experiment: each run, and the mean of each setting with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netbuild.drawing import panels
from netbuild.drawing.look import name_of, new_axes, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments import statistics
from netbuild.experiments.experiment import Experiment
from netbuild.plots.experiments.groups import groups_of, need_scores, scores_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 60  # settings that have a line of their own
WIDE = 0.5  # of a setting's place, over which its runs are spread


@own_look
def scores(source: Experiment, ax: Axes | None = None, *, by: str | None = None) -> Drawing:
    """The score of every run, a line for each setting, with the mean and its 95 % interval.

    Runs of one setting are spread by the order of their points. Settings whose runs have all
    diverged or failed have a line without a point; the numbers of such runs stand beside its name.

    Args:
        source: an experiment.
        ax: where to draw; else in a new figure.
        by: a parameter, or `condition`, that runs are gathered by; else by setting.

    Returns the figure and a row a run: setting, draw (-1 without draws), seed, score, and the
    setting's n, mean, low and high. Raises NetbuildError (exit 2) where there is no score yet, and
    for more than 60 settings.
    """
    groups = groups_of(source, by)
    need_scores(source, groups)
    if len(groups) > MOST:
        what = f"{len(groups):,} settings are too many for one figure"
        raise NetbuildError(what, Exit.USAGE, "`--by PATH` gathers them")
    ax = new_axes(5.6, 0.9 + 0.32 * len(groups)) if ax is None else ax
    parts: list[Columns] = []
    names = []
    for place, group in enumerate(groups):
        found = scores_of(source, group)
        values = [value for _, value in found]
        said = statistics.summary(values, "scores", group.label)
        lost = sum(source.rows.of(p.hash).status in ("diverged", "failed") for p in group.points)
        names.append(name_of(group.label, 60) + (f" ({lost} lost)" if lost else ""))
        spread = np.linspace(-WIDE / 2, WIDE / 2, len(values)) if len(values) > 1 else [0.0]
        colour = panels.PALETTE[0]
        ax.plot(values, place + np.array(spread)[: len(values)], "o", color=colour, alpha=0.35,
                markersize=4, markeredgewidth=0)  # fmt: skip
        if said.mean is not None:
            ax.plot([said.mean], [place], "D", color=panels.PALETTE[1], markersize=5, zorder=3)
        if said.low is not None and said.high is not None:
            ax.plot([said.low, said.high], [place] * 2, color=panels.PALETTE[1], linewidth=2)
        if found:
            parts.append(_rows(group.label, found, said))
    ax.set_yticks(range(len(groups)), names)
    ax.invert_yaxis()
    ax.set_xlabel(source.about.score.replace("_", " "))
    ax.spines[["top", "right"]].set_visible(False)
    return Drawing(panels.figure_of(ax), Table(parts))


def _rows(label: str, found: list, said: statistics.Summary) -> Columns:  # type: ignore[type-arg]
    count = len(found)
    numbers = {"mean": said.mean, "low": said.low, "high": said.high}
    return {
        "setting": np.full(count, label),
        "draw": np.array([-1 if point.draw is None else point.draw for point, _ in found]),
        "seed": np.array([point.seed for point, _ in found]),
        "score": np.array([value for _, value in found]),
        "n": np.full(count, said.n),
        **{
            name: np.full(count, np.nan if value is None else value)
            for name, value in numbers.items()
        },
    }
