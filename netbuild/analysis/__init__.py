"""What a trained network computes: its fixed points, and the space that its states move in."""

from netbuild.analysis.fixed_points import FixedPoints as FixedPoints
from netbuild.analysis.fixed_points import fixed_points as fixed_points
from netbuild.analysis.fixed_points import jacobians as jacobians
from netbuild.analysis.pca import PCA as PCA
from netbuild.analysis.pca import pca as pca
from netbuild.analysis.study import Study as Study
from netbuild.analysis.study import Trajectories as Trajectories
from netbuild.analysis.study import labelled as labelled
from netbuild.analysis.study import recurrent_layers as recurrent_layers
from netbuild.analysis.study import study as study
from netbuild.analysis.study import trajectories as trajectories
