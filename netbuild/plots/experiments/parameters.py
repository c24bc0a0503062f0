"""The score of an experiment against each of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netbuild.drawing import panels
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.experiment import Experiment
from netbuild.plots.experiments.groups import (
    Group,
    band,
    column_of,
    few,
    groups_of,
    need_scores,
    scores_of,
    short,
    text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_VALUES = 20  # of a parameter; of more, the single runs are drawn alone
MOST_PANELS = 12


@own_look
def parameters(source: Experiment, *, by: str | None = None) -> Drawing:
    """A panel for each parameter: the score of every run, and the mean at each value.

    Runs are gathered over all other parameters; each condition has a colour. The mean has a 95 %
    bootstrap interval. Of a parameter with more than 20 values, as random ones have, the single
    runs are drawn alone. Values that differ by more than 20 times are on a logarithmic axis.

    Args:
        source: an experiment.
        by: one parameter, or several with commas between them; else all.

    Returns the figure and a row for each parameter, condition and run: parameter, condition, value
    (text), seed, score. Raises NetbuildError (exit 2) without parameters or scores.
    """
    columns = [column_of(source, each) for each in by.split(",")] if by else source.about.parameters
    columns = [c for c in columns if c != "condition"][:MOST_PANELS]
    if not columns:
        raise NetbuildError(f"{source.path} varies no parameters", Exit.USAGE, "try --kind scores")
    arms = groups_of(source, "condition") if source.about.conditions else [_all(source)]
    need_scores(source, arms)
    few(arms)
    axes = panels.new_panels(len(columns), 3, 3.2, 2.8, 0.4, sharey=True)
    parts = [
        part
        for ax, column in zip(axes, columns, strict=True)
        for part in _panel(ax, source, column, arms)
    ]
    axes[0].set_ylabel(source.about.score.replace("_", " "))
    if len(arms) > 1:
        panels.legend_above(axes[0])
    return Drawing(panels.figure_of(axes[0]), Table(parts))


def _all(source: Experiment) -> Group:
    return Group({}, list(source.about.points))


def _panel(ax: Axes, source: Experiment, column: str, arms: list[Group]) -> list[Columns]:
    known = {
        repr(point.parameters[column]): point.parameters[column] for point in source.about.points
    }
    numeric = all(_is_number(value) for value in known.values())
    values = sorted(known.values()) if numeric else list(known.values())
    places = {repr(value): value if numeric else i for i, value in enumerate(values)}
    parts = []
    for arm, colour in zip(arms, panels.PALETTE, strict=False):
        found = scores_of(source, arm)
        x = np.array([places[repr(point.parameters[column])] for point, _ in found], float)
        y = np.array([value for _, value in found])
        label = name_of(arm.label, 30) if arm.key else "runs"
        many = len(values) > MOST_VALUES
        ax.plot(x, y, "o", color=colour, alpha=0.7 if many else 0.35, markersize=4,
                markeredgewidth=0, label=label if many else None)  # fmt: skip
        if not many:
            at = np.array(sorted(set(x)))
            band(ax, at, [list(y[x == each]) for each in at], colour, label, column, arm.label)
        parts.append(
            {
                "parameter": np.full(len(found), column),
                "condition": np.array([point.condition for point, _ in found], str),
                "value": np.array([text(point.parameters[column]) for point, _ in found], str),
                "seed": np.array([point.seed for point, _ in found], np.int64),
                "score": y.astype(float),
            }
        )
    if not numeric:
        ax.set_xticks(range(len(values)), [name_of(text(value), 16) for value in values])
    elif min(values) > 0 and max(values) > 20 * min(values):
        ax.set_xscale("log")
    ax.set_xlabel(name_of(short(column), 40))
    panels.open_frame(ax)
    return parts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
