"""The psychometric curve: how often a choice is made, against the strength of the stimulus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, log_ndtr, ndtr

from netbuild.drawing.look import name_of, new_axes, own_look
from netbuild.drawing.panels import GREY, LONGER, PALETTE, figure_of, legend_above, open_frame
from netbuild.drawing.table import Columns, Drawing, Table
from netbuild.plots import conditions
from netbuild.plots.conditions import Condition
from netbuild.results.results import Results, Trials, results_of
from netbuild.results.run import Run
from netbuild.results.units import unusable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]
STEPS = 100  # of Newton's method, at most
FEWEST = 4  # different x: two parameters and two points by which a fit can be judged
MISFIT = 0.1  # a difference between fractions and curve that a reader sees
UNLIKELY = 1e-3
SEPARATED = "no choice is uncertain"


@own_look
def psychometric(
    source: Results | Run | Trials,
    ax: Axes | None = None,
    *,
    condition: str | None = None,
    environment: str | None = None,
    trials: int | None = None,
) -> Drawing:
    """How often the second of two choices is made, with 95 % Wilson intervals and a fit.

    The fit is a cumulative Gaussian without lapses, Phi(slope (x - bias)). Trials in which neither
    choice is made are left out. For tasks with more than two choices, the fraction of right choices
    is drawn. There is a curve for each environment that has the variable, or for each
    `context`, of several; and for a run of PerceptualDecisionMaking-v0 the ideal observer's.

    Args:
        source: a run, its results, or its trials, {variable: (trial,)}.
        condition: the variable on the x axis, or a difference, `v1-v2`; the coherence when left
            out.
        environment: one of several.
        trials: of a run, how many; None: those that it was scored on.

    Returns the figure and a row a point: curve, x, trials, chosen, proportion, low, high, and the
    fit's bias and slope with standard errors. Raises NetbuildError (exit 2) where there is no
    such variable or no choice, and for more than 6 environments.
    """
    results = results_of(source)
    table = results.trials(trials)
    if environment is not None:
        table = _of_environment(table, environment)
    if "choice" not in table or "correct" not in table:
        raise unusable("a psychometric curve needs trials in which something is chosen")
    found = _numbers(table, condition)
    curves = _curves(table, ~np.isnan(found.values))
    ax = new_axes(4.0, 2.6 + 0.4 * len(curves)) if ax is None else ax
    binary = all(len(_choices(table, rows)) == 2 for rows in curves.values())
    parts: list[Columns] = []
    for (label, rows), colour in zip(curves.items(), PALETTE * len(curves), strict=False):
        part, fit = _measured(table, found, rows, label, binary)
        if len(part["x"]):
            _draw(ax, part, _words(fit, found.unit, name_of(label)), fit, colour)
            parts.append(part)
    if not parts:
        raise unusable("in none of these trials is one of the right choices made")
    if results.run is not None and binary and found.unit == "%":
        _draw_ideal(ax, results.run, table)
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


def _numbers(table: Trials, name: str | None) -> Condition:
    """The variable on the x axis, as floats."""
    found = conditions.condition_of(table, name)
    if found is None:
        known = ", ".join(conditions.variables(table)) or "none is there"
        hint = f"name a variable with `--condition`: {known}"
        raise unusable("these trials have no coherence", hint)
    if found.values.dtype.kind not in "biuf":
        raise unusable(f"`{found.label}` has values that are not numbers")
    return found._replace(values=found.values.astype(float))


def _of_environment(table: Trials, name: str) -> dict[str, Array]:
    """The trials of one environment, without the variables that none of them has."""
    kinds = table.get("environment", np.full(len(table["choice"]), ""))
    if name not in kinds:
        raise conditions.no_environment(name, [str(kind) for kind in np.unique(kinds)])
    own = {column: values[kinds == name] for column, values in table.items()}
    return {
        column: values
        for column, values in own.items()
        if values.dtype.kind != "f" or column == "correct" or not np.isnan(values).all()
    }


def _curves(table: Trials, known: Array) -> dict[str, Array]:
    """{label: (trial,) bool}: the trials of each curve; `known` are those with the variable."""
    for name in ("environment", "context"):
        kinds = np.unique(table[name][known]) if name in table else ()
        if name == "environment" and len(kinds) > len(PALETTE):
            what = f"{len(kinds)} environments have this variable; {len(PALETTE)} curves are drawn"
            raise unusable(what, f"`environment` names one of {', '.join(map(str, kinds))}")
        several = name == "environment" and name in table and len(np.unique(table[name])) > 1
        if 1 < len(kinds) <= len(PALETTE) or several:
            start = "" if name == "environment" else f"{name} "
            return {f"{start}{kind}": table[name] == kind for kind in kinds}
    return {"": np.ones(len(table["choice"]), bool)}


def _when(table: Trials) -> str:
    """Words for the period at whose end choices are read, if it is the same one in all trials."""
    end = table.get("answer_end")
    if end is None:
        return ""
    ends = [n for n, v in table.items() if n.endswith("_end") and n != "answer_end"]
    found = [n.removesuffix("_end") for n in ends if (table[n] == end).all()]
    if not found:
        return "\nat the end of the answer"
    return f"\nat the end of {'decision' if 'decision' in found else found[0]}"


def _choices(table: Trials, rows: Array) -> Array:
    """The right choices that there are, in order; the classes, where there is no decision."""
    right = table.get("answer", table.get("target"))
    if right is None:
        right = table["choice"]
    return np.asarray(np.unique(right[rows & ~np.isnan(table["correct"])]))


def _measured(
    table: Trials, condition: Condition, rows: Array, label: str, binary: bool
) -> tuple[Columns, Fit | str]:
    known = rows & ~np.isnan(condition.values)
    if binary:
        options = _choices(table, rows)
        known = known & np.isin(table["choice"], options)
        success = table["choice"] == options[1]
    else:
        known = known & ~np.isnan(table["correct"])
        success = table["correct"] == 1
    raw, success = condition.values[known], success[known]
    fit = fit_or_reason(*_counted(raw, success)) if binary else ""
    x, chosen, count = _counted(conditions.grouped(raw), success)
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
    numbers = fit if isinstance(fit, Fit) else Fit(*[np.nan] * 4)
    part |= {name: np.full(len(x), value) for name, value in numbers._asdict().items()}
    return part, fit


def _counted(x: Array, success: Array) -> tuple[Array, Array, Array]:
    """The different x, and for each how many successes and trials there are."""
    values, which = np.unique(x, return_inverse=True)
    return values, np.bincount(which, success), np.bincount(which)


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


def _draw_ideal(ax: Axes, run: Run, table: Trials) -> None:
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


# The fit: a cumulative Gaussian of maximum likelihood


class Fit(NamedTuple):
    """P(x) = Phi(slope (x - bias)), with standard errors; no lapses are assumed."""

    bias: float  # the x of indifference
    slope: float  # per unit of x
    bias_error: float
    slope_error: float

    def __call__(self, x: Array) -> Array:
        """The probability at x."""
        return np.asarray(ndtr(self.slope * (np.asarray(x, float) - self.bias)))


def fit_psychometric(x: Array, chosen: Array, trials: Array) -> Fit | None:
    """Fit Phi(a + b x) to `chosen` of `trials` at each x, by Newton's method on the likelihood.

    The likelihood of a probit model is concave, so there is one optimum (Pratt 1981). Errors are
    from its curvature there. None where there are fewer than 4 different x, where the likelihood
    has no optimum, because the choices are perfectly separated or all of one kind, or where the
    slope is 0.
    """
    fit = fit_or_reason(x, chosen, trials)
    return fit if isinstance(fit, Fit) else None


def fit_or_reason(x: Array, chosen: Array, trials: Array) -> Fit | str:
    """As `fit_psychometric`; where there is no fit, a few words that say why."""
    x, k, n = (np.asarray(values, float) for values in (x, chosen, trials))
    count = len(np.unique(x[n > 0]))
    if count < FEWEST:
        return f"{count} {'value' if count == 1 else 'values'}, {FEWEST} are needed"
    if not 0 < k.sum() < n.sum():
        return "all choices are the same"
    return _optimum(x, k, n)


def is_described(fit: Fit, x: Array, chosen: Array, trials: Array) -> bool:
    """Whether the fractions at x lie near the curve of a fit.

    They do not where their mean squared distance from it is above 0.1 squared and Pearson's
    chi-squared would be as large by chance with a probability below 0.001. Lapses of a few
    percent, which many trials show with certainty, are no reason against a curve.
    """
    k, n = np.asarray(chosen, float), np.asarray(trials, float)
    p = np.clip(fit(np.asarray(x, float)), 1e-9, 1 - 1e-9)
    if np.sqrt((n * (k / n - p) ** 2).sum() / n.sum()) <= MISFIT:
        return True
    chi_squared = ((k - n * p) ** 2 / (n * p * (1 - p))).sum()
    return bool(chdtrc(len(k) - 2, chi_squared) >= UNLIKELY)


def _optimum(x: Array, k: Array, n: Array) -> Fit | str:
    """The fit of greatest likelihood; words where the choices are separated or the slope is 0."""
    scale = np.abs(x).max()
    design = np.stack([np.ones_like(x), x / scale], 1)
    beta: Array = np.zeros(2)
    for _ in range(STEPS):
        value, gradient, curvature = _likelihood(design @ beta, k, n)
        hessian = design.T @ (design * curvature[:, None])
        if np.linalg.cond(hessian) > 1e12:
            return SEPARATED  # the slope has run away
        step = np.linalg.solve(hessian, design.T @ gradient)
        while _likelihood(design @ (beta + step), k, n)[0] < value - 1e-12:
            step /= 2
        beta = beta + step
        if np.abs(step).max() < 1e-9 * (1 + np.abs(beta).max()):
            break
    else:
        return SEPARATED
    if not np.abs(beta).max() < 1e3:
        return SEPARATED
    if abs(beta[1]) < 1e-9:
        return "the slope is 0"
    covariance = np.linalg.inv(hessian)
    slope, bias = beta[1] / scale, -beta[0] / beta[1] * scale
    # The error of the ratio -a / b by the delta method.
    direction = np.array([-1.0, beta[0] / beta[1]]) / beta[1] * scale
    return Fit(
        float(bias),
        float(slope),
        float(np.sqrt(direction @ covariance @ direction)),
        float(np.sqrt(covariance[1, 1]) / scale),
    )


def _likelihood(z: Array, k: Array, n: Array) -> tuple[float, Array, Array]:
    """Log-likelihood of Phi(z), and its first and minus its second derivative with respect to z."""
    log_p, log_q = log_ndtr(z), log_ndtr(-z)
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    up, down = np.exp(log_density - log_p), np.exp(log_density - log_q)
    gradient = k * up - (n - k) * down
    curvature = k * up * (z + up) + (n - k) * down * (down - z)
    return float(k @ log_p + (n - k) @ log_q), gradient, curvature


def wilson(chosen: Array, trials: Array, z: float = 1.959964) -> tuple[Array, Array]:
    """The 95 % interval of a proportion (Wilson 1927, eq. 5): lower and upper ends."""
    n = np.asarray(trials, float)
    p = np.asarray(chosen, float) / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding would leave these a little off their ends.
    return np.where(p == 0, 0.0, middle - half), np.where(p == 1, 1.0, middle + half)
