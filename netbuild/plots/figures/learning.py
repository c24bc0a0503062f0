"""The learning curve: loss, regularizers and accuracy against steps."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import panels
from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.errors import Exit, NetbuildError
from netbuild.results.results import Lines, Results, results_of
from netbuild.results.run import Run
from netbuild.results.units import unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
Points: TypeAlias = "tuple[array[int], array[float]]"  # steps, and the values at them
PANELS = ("loss", "regularizers", "accuracy")
KINDS = {"train": "training", "evaluation": "evaluation"}  # of lines, in the order of the table
MOST_POINTS = 4000  # of a curve that is drawn; a figure has fewer pixels
MANY = 200  # points of a curve, above which its mean is drawn too


@own_look
def learning(
    source: Results | Run | Lines, ax: Axes | None = None, *, panel: str | None = None
) -> Drawing:
    """Loss, weighted regularizer terms and accuracy against steps.

    Training batches are lines, evaluations points; dashed lines are where a stage of the training
    ends and the next one starts, with the stages' names above. Of the batches' loss and accuracy,
    the mean of neighbours is drawn over the pale single ones where there are more than 200. A
    curve of more than 4,000 points is drawn as the least and the greatest of each block of
    neighbours; the table has all points.

    Args:
        source: a run, its results, or the lines of its `metrics.jsonl`.
        ax: one Axes, for one panel; without it each has its own.
        panel: `loss`, `regularizers` or `accuracy`; with `ax` the loss when left out.

    Returns the figure and a row a point: step, curve (`loss`, `regularizers/<name>`,
    `accuracy`), of (`training` or `evaluation`), value. Raises NetbuildError (exit 2) for a panel
    of which there are no records, TypeError for a list of runs.
    """
    results = results_of(source)
    curves, stages = _read(results.log)
    found = {name: [c for c in curves if _panel_of(c) == name] for name in PANELS}
    found = {name: own for name, own in found.items() if own}
    if panel is not None and panel not in found:
        raise unusable(f"this run has no {panel}", f"it has {', '.join(found) or 'nothing yet'}")
    if not found:
        raise unusable("this run has no records yet")
    shown = [panel] if panel else list(found) if ax is None else ["loss"]
    axes = panels.new_panels(len(shown), 1, 4.0, 1.7, 0.9, sharex=True) if ax is None else [ax]
    words = _words(results)
    for i, (place, name) in enumerate(zip(axes, shown, strict=True)):
        _draw(place, name, found[name], words)
        for stage in stages[1:]:
            place.axvline(stage.start, **panels.DASHED)
        if i == 0 or name == "regularizers":
            panels.legend_above(place)
        if i == 0 and len(stages) > 1:
            height = panels.name_spans(place, stages, *place.get_xlim())
            if (legend := place.get_legend()) is not None:
                legend.borderaxespad = 0.2 + height / float(legend.get_texts()[0].get_fontsize())
    axes[-1].set_xlabel("step")
    table = Table([curve for name in shown for curve in found[name]])
    return Drawing(panels.figure_of(axes[0]), table)


def _words(results: Results) -> dict[str, str]:
    """What the batches and the evaluations of a training are."""
    task = None if results.spec is None else results.spec.model.task
    if getattr(getattr(task, "batches", None), "of", None) == "windows":
        # The accuracy of windows counts every step, that of whole trials counts choices.
        return {"training": "training windows", "evaluation": "whole trials"}
    return {"training": "training", "evaluation": "evaluation"}


# The log, read line by line: it may have millions


def _read(lines: Lines) -> tuple[list[Columns], list[panels.Span]]:
    """Every curve as columns, and the stages; 16 bytes a point while it reads."""
    points: dict[tuple[str, str], Points] = {}  # of a curve's name and the kind of its lines
    stages: list[panels.Span] = []
    for line in lines:
        if not isinstance(line, Mapping):
            what = type(line).__name__
            raise TypeError(f"`source` is one run, or the lines of its log, not a list of {what}")
        kind, step, stage = line["kind"], line["step"], line.get("stage", "")
        if type(step) is not int or not 0 <= step < 1 << 62:
            raise NetbuildError(f"the log has a line whose step is {step!r:.40}", Exit.RUN)
        if stages and stages[-1].name == stage:
            stages[-1] = stages[-1]._replace(end=step)
        else:
            stages.append(panels.Span(stage, stages[-1].end if stages else 0, step))
        for name, value in _values(line) if kind in KINDS else ():
            steps, values = points.setdefault((name, kind), (array("q"), array("d")))
            steps.append(step)
            values.append(_number(value, name, step))
    names = dict.fromkeys(name for name, _ in points)
    keys = ((name, kind) for name in names for kind in KINDS if (name, kind) in points)
    return [_columns(*key, points[key]) for key in keys], stages


def _values(line: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The name of a curve, and its value, for each number in a line."""
    terms = line.get("regularizers")
    for name, term in terms.items() if isinstance(terms, Mapping) else ():
        if isinstance(term, Mapping) and term.get("weighted") is not None:
            yield f"regularizers/{name}", term["weighted"]
    for name in ("loss", "accuracy"):
        if line.get(name) is not None:
            yield name, line[name]


def _number(value: object, name: str, step: int) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    what = f"the log has no number for `{name}` in step {step:,}"
    raise NetbuildError(what, Exit.RUN)


def _columns(name: str, kind: str, points: Points) -> Columns:
    steps, values = (np.array(each) for each in points)
    same = {"curve": name, "of": KINDS[kind]}
    texts = {key: np.broadcast_to(np.array(text), len(steps)) for key, text in same.items()}
    return {"step": steps, **texts, "value": values}


def _panel_of(curve: Columns) -> str:
    return str(curve["curve"][0]).partition("/")[0]


# Drawing


def _draw(ax: Axes, panel: str, curves: Sequence[Columns], words: Mapping[str, str]) -> None:
    values = np.concatenate([curve["value"] for curve in curves])
    if panel != "accuracy":
        _scale(ax, values[np.isfinite(values)])
    for i, curve in enumerate(curves):
        step, value, of = curve["step"], curve["value"], str(curve["of"][0])
        x, y = _thinned(step, value)
        if panel == "regularizers":
            label = name_of(str(curve["curve"][0]).removeprefix("regularizers/"), 16)
            ax.plot(x, y, color=panels.PALETTE[i % len(panels.PALETTE)], linewidth=1.3, label=label)
        elif of == "evaluation":
            ax.plot(x, y, "o", color=panels.PALETTE[1], markersize=4, label=words[of], zorder=3)
        elif len(value) <= MANY:
            ax.plot(x, y, color=panels.PALETTE[0], linewidth=1.3, label=words[of])
        else:
            ax.plot(x, y, color=panels.PALETTE[4], linewidth=0.6)
            middle, mean, width = _moving_mean(step, value)
            label = f"{words[of]}, mean of {width}"
            ax.plot(middle, mean, color=panels.PALETTE[0], linewidth=1.4, label=label)
    ax.set_ylabel("weighted\nregularizers" if panel == "regularizers" else panel)
    if panel == "accuracy":
        ax.axhline(1, color=panels.GREY, linewidth=0.6, zorder=0)
    panels.open_frame(ax)


def _scale(ax: Axes, values: Array) -> None:
    """Make y logarithmic where the values are positive and differ by more than ten times."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if len(values) and values.max() > 10 * values.min() > 0:
        ax.set_yscale("log")
        few = values.max() < 100 * values.min()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        ax.yaxis.set_minor_formatter(NullFormatter())


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
