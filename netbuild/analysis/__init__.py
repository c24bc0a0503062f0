"""What a trained network computes: its fixed points, and the space that its states move in."""

from netbuild.analysis.fixed_points import FixedPoints, fixed_points, jacobians
from netbuild.analysis.pca import PCA, pca
from netbuild.analysis.study import (
    Study,
    Trajectories,
    labelled,
    recurrent_layers,
    study,
    trajectories,
)

__all__ = [
    "PCA",
    "FixedPoints",
    "Study",
    "Trajectories",
    "fixed_points",
    "jacobians",
    "labelled",
    "pca",
    "recurrent_layers",
    "study",
    "trajectories",
]
