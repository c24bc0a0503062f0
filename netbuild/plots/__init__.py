"""Figures of networks and runs: each takes results in, draws in Axes, and gives its numbers back.

A figure is the function of its name in `figures/`, which is loaded when it is first used: this
file imports no torch. Nothing touches pyplot, and nothing is shown. Figures of experiments are in
`experiments/`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netbuild.drawing.table import Drawing as Drawing
    from netbuild.plots.figures.distributions import distributions as distributions
    from netbuild.plots.figures.eigenvalues import eigenvalues as eigenvalues
    from netbuild.plots.figures.fixed_points import fixed_points as fixed_points
    from netbuild.plots.figures.learning import learning as learning
    from netbuild.plots.figures.psychometric import Fit as Fit
    from netbuild.plots.figures.psychometric import fit_psychometric as fit_psychometric
    from netbuild.plots.figures.psychometric import psychometric as psychometric
    from netbuild.plots.figures.psychometric import wilson as wilson
    from netbuild.plots.figures.rates import rates as rates
    from netbuild.plots.figures.trajectories import Plane as Plane
    from netbuild.plots.figures.trajectories import principal_plane as principal_plane
    from netbuild.plots.figures.trajectories import trajectories as trajectories
    from netbuild.plots.figures.weights import weights as weights

# Every figure, and the command that draws it.
FIGURES = {
    "weights": "plot",
    "distributions": "plot",
    "learning": "plot",
    "psychometric": "plot",
    "trajectories": "plot",
    "rates": "plot",
    "eigenvalues": "plot",
    "fixed_points": "analyze",
}
# Every figure of an experiment: the function of its name in `experiments/`.
OF_EXPERIMENTS = ("learning", "scores", "parameters", "heatmap", "psychometric")
NUMBERLESS = ("distributions",)  # figures without numbers to write
_BESIDE = {
    "Drawing": "netbuild.drawing.table",
    "Fit": "netbuild.plots.figures.psychometric",
    "Plane": "netbuild.plots.figures.trajectories",
    "fit_psychometric": "netbuild.plots.figures.psychometric",
    "principal_plane": "netbuild.plots.figures.trajectories",
    "wilson": "netbuild.plots.figures.psychometric",
}
__all__ = [*FIGURES, *_BESIDE]  # noqa: PLE0604


def figure_of_experiments(name: str) -> Callable[..., Drawing]:
    """The function that draws a figure of an experiment."""
    found: Callable[..., Drawing] = getattr(
        import_module(f"netbuild.plots.experiments.{name}"), name
    )
    return found


def __getattr__(name: str) -> Any:
    home = f"netbuild.plots.figures.{name}" if name in FIGURES else _BESIDE.get(name)
    if home is None:
        raise AttributeError(f"module 'netbuild.plots' has no attribute {name!r}")
    return getattr(import_module(home), name)
