"""The learning curve: loss, regularizers and accuracy against steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netbuild.layers.plots import name_of, own_look
from netbuild.plots.drawing import (
    GREY,
    PALETTE,
    Columns,
    Drawing,
    Table,
    figure_of,
    legend_above,
    open_frame,
    unusable,
)
from netbuild.plots.panels import Span, name_spans, new_panels
from netbuild.training import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Sequence[Mapping[str, Any]]
PANELS = ("loss", "regularizers", "accuracy")


@own_look
def learning(source: Run | Lines, ax: Axes | None = None, *, panel: str | None = None) -> Drawing:
    """Loss, weighted regularizer terms and accuracy against steps.

    Training batches are lines, evaluations points; dashed lines are where a stage of the training
    ends and the next one starts, with the stages' names above. Of the batches' loss and accuracy,
    the mean of neighbours is drawn over the pale single ones where there are more than 200.

    Args:
        source: a run, or the lines of its `metrics.jsonl`.
        ax: one Axes, for one panel; without it each has its own.
        panel: `loss`, `regularizers` or `accuracy`; with `ax` the loss when left out.

    Returns the figure and a row a point: step, curve (`loss`, `regularizers/<name>`,
    `accuracy`), of (`training` or `evaluation`), value. Raises NetbuildError (exit 2) for a panel
    of which nothing was written down, TypeError for a list of runs.
    """
    lines = source.metrics if isinstance(source, Run) else source
    if not all(isinstance(line, Mapping) for line in lines):
        what = {type(line).__name__ for line in lines if not isinstance(line, Mapping)}.pop()
        raise TypeError(f"`source` is one run, or the lines of its log, not a list of {what}")
    found = {name: curves for name in PANELS if (curves := _curves(lines, name))}
    if panel is not None and panel not in found:
        raise unusable(f"this run has no {panel}", f"it has {', '.join(found) or 'nothing yet'}")
    if not found:
        raise unusable("this run has written nothing down yet")
    shown = [panel] if panel else list(found) if ax is None else ["loss"]
    axes = new_panels(len(shown), 1, 4.0, 1.7, 0.9, sharex=True) if ax is None else [ax]
    words, stages = _words(source), _stages(lines)
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


def _stages(lines: Lines) -> list[Span]:
    """The stages of a training, from the step before their first to their last one."""
    found: list[Span] = []
    for line in lines:
        name, step = line.get("stage", ""), line["step"]
        if found and found[-1].name == name:
            found[-1] = found[-1]._replace(end=step)
        else:
            found.append(Span(name, found[-1].end if found else 0, step))
    return found


def _curves(lines: Lines, panel: str) -> list[Columns]:
    """The curves of one panel that have points."""
    names = [panel]
    if panel == "regularizers":
        names = list(dict.fromkeys(n for line in lines for n in line.get("regularizers", {})))
    found = []
    for name in names:
        for kind, of in (("train", "training"), ("evaluation", "evaluation")):
            points = [
                (line["step"], value)
                for line in lines
                if line["kind"] == kind and (value := _value(line, panel, name)) is not None
            ]
            if points:
                steps, values = zip(*points, strict=True)
                label = name if panel != "regularizers" else f"regularizers/{name}"
                count = len(steps)
                found.append(
                    {
                        "step": np.array(steps),
                        "curve": np.full(count, label),
                        "of": np.full(count, of),
                        "value": np.array(values, float),
                    }
                )
    return found


def _value(line: Mapping[str, Any], panel: str, name: str) -> float | None:
    if panel == "regularizers":
        line, name = line.get("regularizers", {}).get(name, {}), "weighted"
    value: float | None = line.get(name)
    return value


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
            ax.plot(step, value, color=PALETTE[i % len(PALETTE)], linewidth=1.3, label=label)
        elif curve["of"][0] == "evaluation":
            ax.plot(step, value, "o", color=PALETTE[1], markersize=4, label=words[1], zorder=3)
        else:
            many = len(value) > 200
            ax.plot(
                step,
                value,
                color=PALETTE[4] if many else PALETTE[0],
                linewidth=0.6 if many else 1.3,
                label=None if many else words[0],
            )
            if many:
                width = len(value) // 50
                mean = np.convolve(value, np.full(width, 1 / width), "valid")
                middle = step[(width - 1) // 2 :][: len(mean)]
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
