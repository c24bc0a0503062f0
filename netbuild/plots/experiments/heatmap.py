"""The mean score of an experiment over two of its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from netbuild.drawing import panels
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.experiment import Experiment
from netbuild.plots.experiments.groups import (
    Group,
    column_of,
    few,
    groups_of,
    need_scores,
    scores_of,
    short,
    text,
)

MOST_WRITTEN = 100  # cells of a panel whose numbers are written


@own_look
def heatmap(source: Experiment, *, by: str | None = None) -> Drawing:
    """The mean score at each pair of values of two parameters; a panel for each condition.

    Args:
        source: an experiment.
        by: the two parameters with a comma between them, x first; else the first two that vary.

    Returns the figure and a row a cell: condition, x, y (text), n, mean; cells without a run are
    left out. Raises NetbuildError (exit 2) without two parameters or without scores.
    """
    columns = _columns(source, by)
    arms = (
        groups_of(source, "condition")
        if source.about.conditions
        else [Group({}, list(source.about.points))]
    )
    need_scores(source, arms)
    few(arms)
    x, y = (_values(source, column) for column in columns)
    cells = [_cells(source, arm, columns, x, y) for arm in arms]
    low = min(np.nanmin(means) for means, _ in cells if np.isfinite(means).any())
    high = max(np.nanmax(means) for means, _ in cells if np.isfinite(means).any())
    axes = panels.new_panels(len(arms), 3, 3.4, 3.0, sharex=True, sharey=True)
    parts: list[Columns] = []
    image: Any = None
    for ax, arm, (means, counts) in zip(axes, arms, cells, strict=True):
        image = ax.imshow(means, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="viridis")
        if means.size <= MOST_WRITTEN:
            for i, j in np.argwhere(np.isfinite(means)):
                colour = "black" if means[i, j] > (low + high) / 2 else "white"
                ax.text(j, i, f"{means[i, j]:.3g}", ha="center", va="center", color=colour)
        ax.set_xticks(range(len(x)), [name_of(text(value), 12) for value in x])
        ax.set_yticks(range(len(y)), [name_of(text(value), 12) for value in y])
        ax.set(xlabel=name_of(short(columns[0]), 40), ylabel=name_of(short(columns[1]), 40))
        if arm.key:
            ax.set_title(name_of(arm.label, 30), fontsize="medium")
        parts.append(_rows(arm, x, y, means, counts))
    figure = panels.figure_of(axes[0])
    figure.colorbar(image, ax=axes, label=source.about.score.replace("_", " "))
    return Drawing(figure, Table(parts))


def _columns(source: Experiment, by: str | None) -> list[str]:
    about = source.about
    varied = [c for c in about.parameters if len(_values(source, c)) > 1]
    columns = [column_of(source, each) for each in by.split(",")] if by else varied[:2]
    if len(columns) != 2 or "condition" in columns:
        what = f"a heatmap is over two parameters, not {len(columns)}"
        hint = f"`--by X,Y`, of {', '.join(about.parameters) or 'none'}"
        raise NetbuildError(what, Exit.USAGE, hint)
    return columns


def _values(source: Experiment, column: str) -> list[Any]:
    known = {
        repr(point.parameters.get(column)): point.parameters.get(column)
        for point in source.about.points
    }
    values = list(known.values())
    is_number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return sorted(values) if is_number else values


def _cells(
    source: Experiment, arm: Group, columns: list[str], x: list[Any], y: list[Any]
) -> tuple[Any, Any]:
    """(y, x): the mean score of each cell, NaN where there is none, and the number of runs."""
    sums, counts = np.zeros((len(y), len(x))), np.zeros((len(y), len(x)), int)
    across, along = ([repr(value) for value in values] for values in (x, y))
    for point, value in scores_of(source, arm):
        i = along.index(repr(point.parameters[columns[1]]))
        j = across.index(repr(point.parameters[columns[0]]))
        sums[i, j] += value
        counts[i, j] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def _rows(arm: Group, x: list[Any], y: list[Any], means: Any, counts: Any) -> Columns:
    there = np.argwhere(counts > 0)
    return {
        "condition": np.full(len(there), str(arm.key.get("condition", ""))),
        "x": np.array([text(x[j]) for _, j in there], str),
        "y": np.array([text(y[i]) for i, _ in there], str),
        "n": np.array([counts[i, j] for i, j in there], np.int64),
        "mean": np.array([means[i, j] for i, j in there], float),
    }
