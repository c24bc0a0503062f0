"""A psychometric curve: a cumulative Gaussian fitted by maximum likelihood."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
STEPS = 100
FEWEST = 4  # different x: two parameters and two points by which a fit can be judged
MISFIT = 0.1  # a difference between fractions and curve that a reader sees
UNLIKELY = 1e-3
SEPARATED = "no choice is uncertain"


class Fit(NamedTuple):
    """P(x) = Phi(slope (x - bias)), with standard errors; no lapses are assumed."""

    bias: float  # the x of indifference
    slope: float  # per unit of x
    bias_error: float
    slope_error: float

    def __call__(self, x: Array) -> Array:
        """The probability at x."""
        z = torch.from_numpy(self.slope * (np.asarray(x, float) - self.bias))
        return np.asarray(torch.special.ndtr(z))


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
    chance = ((k - n * p) ** 2 / (n * p * (1 - p))).sum()
    freedom = torch.tensor((len(k) - 2) / 2, dtype=torch.float64)
    tail = torch.special.gammaincc(freedom, torch.tensor(chance / 2, dtype=torch.float64))
    return float(tail) >= UNLIKELY


def _optimum(x: Array, k: Array, n: Array) -> Fit | str:
    """The fit of greatest likelihood; words where the choices are separated or the slope is 0."""
    scale = np.abs(x).max()
    design = np.stack([np.ones_like(x), x / scale], 1)
    beta: Array = np.zeros(2)
    value = _likelihood(design @ beta, k, n)[0]
    for _ in range(STEPS):
        _, gradient, curvature = _likelihood(design @ beta, k, n)
        hessian = design.T @ (design * curvature[:, None])
        if np.linalg.cond(hessian) > 1e12:
            return SEPARATED  # the slope has run away
        step = np.linalg.solve(hessian, design.T @ gradient)
        size = 1.0
        while (new := _likelihood(design @ (beta + size * step), k, n)[0]) < value - 1e-12:
            size /= 2
        beta, value = beta + size * step, new
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
    t = torch.from_numpy(z)
    log_p = torch.special.log_ndtr(t).numpy()
    log_q = torch.special.log_ndtr(-t).numpy()
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
