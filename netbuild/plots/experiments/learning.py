"""Learning curves of an experiment: for each setting the mean of its runs, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netbuild.drawing import panels
from netbuild.drawing.look import new_axes, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.experiment import Experiment
from netbuild.experiments.rows import evaluations
from netbuild.plots.experiments.groups import curve, few, groups_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STEPS = 100  # at which an interval is computed


@own_look
def learning(source: Experiment, ax: Axes | None = None, *, by: str | None = None) -> Drawing:
    """The score that is compared against steps, in evaluations during the training.

    Single runs are pale lines, their mean with its 95 % bootstrap interval stands before them. The
    mean at a step is of the runs that have an evaluation there.

    Args:
        source: an experiment.
        ax: where to draw; else in a new figure.
        by: a parameter, or `condition`, that runs are gathered by; else by setting.

    Returns the figure and a row for each setting and step: setting, step, n, mean, low, high.
    Raises NetbuildError (exit 2) where there are no evaluations, and for more than 6 settings.
    """
    groups = groups_of(source, by)
    few(groups)
    ax = new_axes(5.2, 3.6) if ax is None else ax
    parts: list[Columns] = []
    for group, colour in zip(groups, panels.PALETTE, strict=False):
        values: dict[int, list[float]] = {}
        for point in group.points:
            found = list(evaluations(source.folder.run(point.hash), source.about.metric))
            if found:
                ax.plot(*zip(*found, strict=True), color=colour, linewidth=0.6, alpha=0.35)
            for step, value in found:
                values.setdefault(step, []).append(value)
        if not values:
            continue
        steps = sorted(values)[:: -(-len(values) // MOST_STEPS)]
        parts.append(curve(ax, group, colour, "step", {step: values[step] for step in steps}))
    if not parts:
        what = f"no run of {source.path} has an evaluation of its {source.about.metric} yet"
        raise NetbuildError(what, Exit.USAGE)
    ax.set(xlabel="step", ylabel=source.about.metric)
    panels.open_frame(ax)
    if len(groups) > 1:
        panels.legend_above(ax)
    return Drawing(panels.figure_of(ax), Table(parts))
