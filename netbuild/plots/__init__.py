"""Figures of networks and runs: each takes data in, draws in Axes, and gives its numbers back.

Nothing here touches pyplot, and nothing is shown.
"""

from netbuild.plots.drawing import Drawing
from netbuild.plots.eigen import eigenvalues
from netbuild.plots.gaussian import Fit, fit_psychometric, wilson
from netbuild.plots.matrix import weights
from netbuild.plots.panels import layers
from netbuild.plots.paths import trajectories
from netbuild.plots.plane import Plane, principal_plane
from netbuild.plots.progress import learning
from netbuild.plots.psth import rates
from netbuild.plots.psychometry import psychometric

__all__ = [
    "Drawing",
    "Fit",
    "Plane",
    "eigenvalues",
    "fit_psychometric",
    "layers",
    "learning",
    "principal_plane",
    "psychometric",
    "rates",
    "trajectories",
    "weights",
    "wilson",
]
