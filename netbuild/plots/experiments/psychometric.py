"""The psychometric curves of an experiment: the mean of each setting's networks, with a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netbuild.drawing import panels
from netbuild.drawing.look import new_axes, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.experiment import Experiment
from netbuild.plots.experiments.groups import Group, curve, few, groups_of
from netbuild.plots.figures.psychometric import psychometric as of_run
from netbuild.results.run import Run
from netbuild.runs.schema import ENDED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@own_look
def psychometric(
    source: Experiment,
    ax: Axes | None = None,
    *,
    by: str | None = None,
    condition: str | None = None,
    trials: int | None = None,
) -> Drawing:
    """How often the second of two choices is made, by each network and in the mean of a setting.

    The curves of single networks are pale; their mean has a 95 % bootstrap interval over networks.

    Args:
        source: an experiment.
        ax: where to draw; else in a new figure.
        by: a parameter, or `condition`, that runs are gathered by; else by setting.
        condition: the variable on the x axis; the coherence when left out.
        trials: of each run, how many; None: those that it was scored on.

    Returns the figure and a row for each setting and x: setting, x, n, mean, low, high. Raises
    NetbuildError (exit 2) as the figure of a run does, and for more than 6 settings.
    """
    groups = groups_of(source, by)
    few(groups)
    ax = new_axes(4.6, 3.6) if ax is None else ax
    parts: list[Columns] = []
    for group, colour in zip(groups, panels.PALETTE, strict=False):
        values = _values(source, group, ax, colour, condition, trials)
        if not values:
            continue
        parts.append(curve(ax, group, colour, "x", dict(sorted(values.items()))))
    if not parts:
        raise NetbuildError(f"no run of {source.path} has ended yet", Exit.USAGE)
    ax.set(xlabel=condition or "coherence", ylabel="proportion of choices", ylim=(-0.02, 1.02))
    panels.open_frame(ax)
    if len(groups) > 1:
        panels.legend_above(ax)
    return Drawing(panels.figure_of(ax), Table(parts))


def _values(
    source: Experiment,
    group: Group,
    ax: Axes,
    colour: str,
    condition: str | None,
    trials: int | None,
) -> dict[float, list[float]]:
    """The proportions at each x, one for each network of a group."""
    found: dict[float, list[float]] = {}
    for point in group.points:
        if source.rows.of(point.hash).status not in ENDED:
            continue
        run = Run.open(source.folder.run(point.hash))
        data = of_run(run, new_axes(), condition=condition, trials=trials).data
        own = data["curve"] == data["curve"][0]
        x, y = data["x"][own].astype(float), data["proportion"][own].astype(float)
        ax.plot(x, y, color=colour, linewidth=0.6, alpha=0.35)
        for at, value in zip(x.tolist(), y.tolist(), strict=True):
            found.setdefault(at, []).append(value)
    return found
