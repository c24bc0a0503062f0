"""The psychometric curve: how often a choice is made, against the strength of the stimulus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing.look import name_of, new_axes, own_look
from netbuild.plots.averages import LONGER
from netbuild.plots.conditions import Condition, condition_of, grouped, variables
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
from netbuild.plots.gaussian import Fit, fit_or_reason, is_described, wilson
from netbuild.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]


@own_look
def psychometric(
    source: Run | Mapping[str, Array],
    ax: Axes | None = None,
    *,
    condition: str | None = None,
    environment: str | None = None,
    trials: int | None = None,
) -> Drawing:
    """How often the second of two choices is made, with 95 % Wilson intervals and a fit.

    The fit is a cumulative Gaussian without lapses, Phi(slope (x - bias)). Trials in which neither
    choice is made are left out. Of tasks with more than two choices it is the fraction of right
    ones that is drawn. There is a curve for each environment that has the variable, or for each
    `context`, of several; and for a run of PerceptualDecisionMaking-v0 the ideal observer's.

    Args:
        source: a run, or its trials, {variable: (trial,)}.
        condition: the variable on the x axis, or a difference, `v1-v2`; the coherence when left
            out.
        environment: one of several.
        trials: of a run, how many; None: those that it was scored on.

    Returns the figure and a row a point: curve, x, trials, chosen, proportion, low, high, and the
    fit's bias and slope with standard errors. Raises NetbuildError (exit 2) where there is no
    such variable or no choice, and for more than 6 environments.
    """
    table = trials_of(source, trials) if isinstance(source, Run) else dict(source)
    if environment is not None:
        table = _of_environment(table, environment)
    if "choice" not in table or "correct" not in table:
        raise unusable("a psychometric curve needs trials in which something is chosen")
    found = condition_of(table, condition)
    if found is None:
        hint = (
            f"name a variable with `--condition`: {', '.join(variables(table)) or 'none is there'}"
        )
        raise unusable("these trials have no coherence", hint)
    if found.values.dtype.kind not in "biuf":
        raise unusable(f"`{found.label}` is no number")
    curves = _curves(table, ~np.isnan(found.values.astype(float)))
    ax = new_axes(4.0, 2.6 + 0.4 * len(curves)) if ax is None else ax
    binary = all(len(_choices(table, rows)) == 2 for rows in curves.values())
    parts: list[Callable[[], Columns]] = []
    for (label, rows), colour in zip(curves.items(), PALETTE * len(curves), strict=False):
        part, fit = _measured(table, found, rows, label, binary)
        if len(part["x"]):
            _draw(ax, part, _words(fit, found.unit, name_of(label)), fit, colour)
            parts.append(partial(dict, part))
    if not parts:
        raise unusable("in none of these trials is one of the right choices made")
    if isinstance(source, Run) and binary and found.signed:
        _draw_ideal(ax, source, table)
    options = {str(_choices(table, rows)[-1]) for rows in curves.values()}
    words = f"fraction of choice {options.pop()}" if len(options) == 1 else "fraction of 2nd choice"
    ax.set(
        xlabel=name_of(found.label, LONGER),
        ylabel=(words if binary else "fraction correct") + _when(table),
    )
    ax.set(ylim=(-0.04, 1.04), yticks=[0, 0.25, 0.5, 0.75, 1])
    open_frame(ax)
    legend_above(ax, columns=2 if len(curves) == 1 else 1)
    return Drawing(figure_of(ax), Table(parts))


def trials_of(run: Run, count: int | None = None) -> dict[str, Array]:
    """A run's table of trials as arrays; nothing right is NaN."""
    frame = run.trials(count)
    found = {}
    for name in frame.columns:
        column = frame[name]
        if name == "correct":
            column = column.cast(float)
        values = column.to_numpy()
        found[name] = values.astype(np.str_) if values.dtype.kind == "O" else values
    return found


def _of_environment(table: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The trials of one environment, without the variables that none of them has."""
    kinds = table.get("environment", np.full(len(table["choice"]), ""))
    if name not in kinds:
        known = ", ".join(map(str, np.unique(kinds)))
        hint = f"there are {known}" if known else "these trials tell of none"
        raise unusable(f"there is no environment `{name}`", hint)
    own = {column: values[kinds == name] for column, values in table.items()}
    return {
        column: values
        for column, values in own.items()
        if values.dtype.kind != "f" or column == "correct" or not np.isnan(values).all()
    }


def _curves(table: Mapping[str, Array], known: Array) -> dict[str, Array]:
    """{label: (trial,) bool}: the trials of each curve; `known` are those with the variable."""
    for name in ("environment", "context"):
        kinds = np.unique(table[name][known]) if name in table else ()
        if name == "environment" and len(kinds) > len(PALETTE):
            what = f"{len(kinds)} environments have this variable; {len(PALETTE)} curves are drawn"
            raise unusable(what, f"`environment` names one of {', '.join(map(str, kinds))}")
        if 1 < len(kinds) <= len(PALETTE) or (name == "environment" and _several(table, name)):
            start = "" if name == "environment" else f"{name} "
            return {f"{start}{kind}": table[name] == kind for kind in kinds}
    return {"": np.ones(len(table["choice"]), bool)}


def _several(table: Mapping[str, Array], name: str) -> bool:
    return name in table and len(np.unique(table[name])) > 1


def _when(table: Mapping[str, Array]) -> str:
    """Words for the period at whose end choices are read, if it is the same one in all trials."""
    end = table.get("answer_end")
    if end is None:
        return ""
    ends = [n for n, v in table.items() if n.endswith("_end") and n != "answer_end"]
    found = [n.removesuffix("_end") for n in ends if (table[n] == end).all()]
    if not found:
        return "\nat the end of the answer"
    return f"\nat the end of {'decision' if 'decision' in found else found[0]}"


def _choices(table: Mapping[str, Array], rows: Array) -> Array:
    """The right choices that there are, in order; the classes, where there is no decision."""
    right = table.get("answer", table.get("target"))
    if right is None:
        right = table["choice"]
    return np.asarray(np.unique(right[rows & ~np.isnan(table["correct"])]))


def _measured(
    table: Mapping[str, Array], condition: Condition, rows: Array, label: str, binary: bool
) -> tuple[Columns, Fit | str]:
    known = rows & ~np.isnan(condition.values.astype(float))
    if binary:
        options = _choices(table, rows)
        known = known & np.isin(table["choice"], options)
        success = table["choice"] == options[1]
    else:
        known = known & ~np.isnan(table["correct"])
        success = table["correct"] == 1
    raw = condition.values[known].astype(float)
    success = success[known]
    fit: Fit | str = ""
    if binary:
        x, which = np.unique(raw, return_inverse=True)
        fit = fit_or_reason(x, np.bincount(which, success), np.bincount(which))
    x, which = np.unique(grouped(raw), return_inverse=True)
    chosen, count = np.bincount(which, success), np.bincount(which)
    if isinstance(fit, Fit) and not is_described(fit, x, chosen, count):
        fit = "these points make no sigmoid"
    low, high = wilson(chosen, count)
    part: Columns = {
        "curve": np.full(len(x), label),
        "x": x,
        "trials": count,
        "chosen": chosen.astype(int),
        "proportion": chosen / count,
        "low": low,
        "high": high,
    }
    for name in Fit._fields:
        part[name] = np.full(len(x), getattr(fit, name) if isinstance(fit, Fit) else np.nan)
    return part, fit


def _words(fit: Fit | str, unit: str, label: str) -> str:
    """The legend of a curve: what it is of, and its fit or why there is none."""
    if isinstance(fit, Fit):
        words = f"bias {_uncertain(fit.bias, fit.bias_error)} {unit}".strip()
        words += ", " if label else "\n"
        words += f"slope {_uncertain(fit.slope, fit.slope_error)} per {unit or 'unit'}"
    else:
        words = f"no fit: {fit}" if fit else ""
    return f"{label}\n{words}".strip()


def _draw(ax: Axes, part: Columns, words: str, fit: Fit | str, colour: str) -> None:
    p = part["proportion"]
    errors = np.clip([p - part["low"], part["high"] - p], 0, None)
    ax.errorbar(part["x"], p, errors, fmt="o", markersize=4, linewidth=1, color=colour)
    x = np.linspace(part["x"].min(), part["x"].max(), 301)
    y = fit(x) if isinstance(fit, Fit) else np.full(len(x), np.nan)
    ax.plot(x, y, color=colour, linewidth=1.5, label=words or None)


def _uncertain(value: float, error: float) -> str:
    """A number and its error, with as many digits as the error has two of."""
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if 0 < error < np.inf else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def _draw_ideal(ax: Axes, run: Run, table: Mapping[str, Array]) -> None:
    """The best that any observer of this stimulus can do, where it is known.

    Evidence is summed over the stimulus: P = Phi(coh / 100 sqrt(T / 2) / sigma), T in ms.
    """
    if run.given_task is not None:
        return
    task = run.part()[1].model.task  # that of the trials, which are those of the newest stage
    if getattr(task, "env", None) != "PerceptualDecisionMaking-v0":
        return
    arguments = {**task.env_kwargs, **(task.evaluation.env_kwargs if task.evaluation else {})}  # type: ignore[union-attr]
    sigma = arguments.get("sigma", 1.0)
    lasting = np.unique(table["stimulus_end"] - table["stimulus_start"])
    number = isinstance(sigma, (int, float)) and sigma > 0
    if len(lasting) != 1 or not number or arguments.get("dim_ring", 2) != 2:
        return
    slope = float(np.sqrt(lasting[0] * run.spec.model.dt / 2) / sigma / 100)
    lowest, highest = ax.get_xlim()
    x = np.linspace(lowest, highest, 301)
    ideal = Fit(0.0, slope, 0.0, 0.0)
    words = f"ideal observer\nslope {slope:.3g} per %"
    ax.plot(x, ideal(x), color=GREY, linewidth=1, linestyle=(0, (4, 2)), label=words, zorder=0)
    ax.set_xlim(lowest, highest)
