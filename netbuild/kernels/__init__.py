"""Hand-written forward and backward passes on plain tensors, for the processor and CUDA alike."""

from netbuild.kernels.activations import ACTIVATIONS as ACTIVATIONS
from netbuild.kernels.activations import Activation as Activation
from netbuild.kernels.activations import activation as activation
from netbuild.kernels.plain import autocast as autocast
from netbuild.kernels.plain import traced as traced
from netbuild.kernels.products import projection as projection
from netbuild.kernels.recurrence import FORMULATIONS as FORMULATIONS
from netbuild.kernels.recurrence import State as State
from netbuild.kernels.recurrence import recurrence as recurrence
from netbuild.kernels.sparse import Pattern as Pattern
from netbuild.kernels.sparse import SparseWeight as SparseWeight
from netbuild.kernels.sparse import pattern as pattern
from netbuild.kernels.sparse import sparse_linear as sparse_linear
