"""The learning curve: loss, regularizers and accuracy against steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netbuild.drawing.look import name_of, own_look
from netbuild.plots.curves import log_of
from netbuild.plots.drawing import (
    GREY,
    PALETTE,
    Array,
    Columns,
    Drawing,
    Table,
    figure_of,
    legend_above,
    open_frame,
    unusable,
)
from netbuild.plots.panels import name_spans, new_panels
from netbuild.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Sequence[Mapping[str, Any]]
PANELS = ("loss", "regularizers", "accuracy")
MOST_POINTS = 4000  # of a curve that is drawn; a figure has fewer pixels


@own_look
def learning(source: Run | Lines, ax: Axes | None = None, *, panel: str | None = None) -> Drawing:
    """Loss, weighted regularizer terms and accuracy against steps.

    Training batches are lines, evaluations points; dashed lines are where a stage of the training
    ends and the next one starts, with the stages' names above. Of the batches' loss and accuracy,
    the mean of neighbours is drawn over the pale single ones where there are more than 200. A
    curve of more than 4,000 points is drawn as the least and the greatest of each block of
    neighbours; the table has all points.

    Args:
        source: a run, or the lines of its `metrics.jsonl`.
        ax: one Axes, for one panel; without it each has its own.
        panel: `loss`, `regularizers` or `accuracy`; with `ax` the loss when left out.

    Returns the figure and a row a point: step, curve (`loss`, `regularizers/<name>`,
    `accuracy`), of (`training` or `evaluation`), value. Raises NetbuildError (exit 2) for a panel
    of which nothing was written down, TypeError for a list of runs.
    """
    log = log_of(source.records() if isinstance(source, Run) else source)
    found = {name: curves for name in PANELS if (curves := log.curves(name))}
    if panel is not None and panel not in found:
        raise unusable(f"this run has no {panel}", f"it has {', '.join(found) or 'nothing yet'}")
    if not found:
        raise unusable("this run has written nothing down yet")
    shown = [panel] if panel else list(found) if ax is None else ["loss"]
    axes = new_panels(len(shown), 1, 4.0, 1.7, 0.9, sharex=True) if ax is None else [ax]
    words, stages = _words(source), log.stages
    for i, (place, name) in enumerate(zip(axes, shown, strict=True)):
        _draw(place, name, found[name], words)
        for stage in stages[1:]:
            place.axvline(stage.start, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)
        if i == 0 or name == "regularizers":
            legend_above(place)
        if i == 0 and len(stages) > 1:
            height = name_spans(place, stages, *place.get_xlim())
            if (legend := place.get_legend()) is not None:
                legend.borderaxespad = 0.2 + height / float(legend.get_texts()[0].get_fontsize())
    axes[-1].set_xlabel("step")
    parts: list[Callable[[], Columns]] = [
        partial(dict, part) for name in shown for part in found[name]
    ]
    return Drawing(figure_of(axes[0]), Table(parts))


def _words(source: Run | Lines) -> tuple[str, str]:
    """What the lines and the points are of."""
    task = source.spec.model.task if isinstance(source, Run) else None
    if getattr(getattr(task, "batches", None), "of", None) == "windows":
        return "training windows", "whole trials"  # the accuracy of every step, and of choices
    return "training", "evaluation"


def _draw(ax: Axes, panel: str, curves: list[Columns], words: tuple[str, str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    values = np.concatenate([curve["value"] for curve in curves])
    positive = values[np.isfinite(values)]
    wide = len(positive) and positive.max() > 10 * positive.min() > 0
    if panel != "accuracy" and wide:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5) if positive.max() < 100 * positive.min() else (1,))
        )
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    for i, curve in enumerate(curves):
        step, value, name = curve["step"], curve["value"], str(curve["curve"][0])
        if panel == "regularizers":
            label = name_of(name.removeprefix("regularizers/"), 16)
            colour = PALETTE[i % len(PALETTE)]
            ax.plot(*_thinned(step, value), color=colour, linewidth=1.3, label=label)
        elif curve["of"][0] == "evaluation":
            ax.plot(
                *_thinned(step, value),
                "o",
                color=PALETTE[1],
                markersize=4,
                label=words[1],
                zorder=3,
            )
        else:
            many = len(value) > 200
            ax.plot(
                *_thinned(step, value),
                color=PALETTE[4] if many else PALETTE[0],
                linewidth=0.6 if many else 1.3,
                label=None if many else words[0],
            )
            if many:
                middle, mean, width = _moving_mean(step, value)
                ax.plot(
                    middle,
                    mean,
                    color=PALETTE[0],
                    linewidth=1.4,
                    label=f"{words[0]}, mean of {width}",
                )
    ax.set_ylabel("weighted\nregularizers" if panel == "regularizers" else panel)
    if panel == "accuracy":
        ax.axhline(1, color=GREY, linewidth=0.6, zorder=0)
    open_frame(ax)


def _thinned(step: Array, value: Array) -> tuple[Array, Array]:
    """The least and the greatest value of each block of neighbours, where there are many."""
    size = _block(value)
    if size == 1:
        return step, value
    starts = np.arange(0, len(value), size)
    both = np.fmin.reduceat(value, starts), np.fmax.reduceat(value, starts)
    return np.repeat(step[starts], 2), np.stack(both, axis=1).ravel()


def _moving_mean(step: Array, value: Array) -> tuple[Array, Array, int]:
    """The mean of a fiftieth of the values around each step, and how many these are."""
    size = _block(value)
    starts = np.arange(0, len(value), size)
    blocks = np.add.reduceat(value, starts) / np.diff(starts, append=len(value))
    width = max(len(blocks) // 50, 1)
    mean = np.convolve(blocks, np.full(width, 1 / width), "valid")
    return step[starts][(width - 1) // 2 :][: len(mean)], mean, width * size


def _block(value: Array) -> int:
    """How many neighbours are drawn as one, so that no curve has more than MOST_POINTS."""
    return max(1, -(-2 * len(value) // MOST_POINTS)) if len(value) > MOST_POINTS else 1
