"""Hand-written forward and backward passes on plain tensors, for the processor and CUDA alike."""

from netbuild.kernels import compiled
from netbuild.kernels.activations import ACTIVATIONS, Activation, activation
from netbuild.kernels.passes import State
from netbuild.kernels.plain import autocast, traced
from netbuild.kernels.products import projection
from netbuild.kernels.readout import FEW, readout
from netbuild.kernels.recurrence import FORMULATIONS, recurrence
from netbuild.kernels.sparse import Pattern, SparseWeight, pattern, sparse_linear

__all__ = [
    "ACTIVATIONS",
    "FEW",
    "FORMULATIONS",
    "Activation",
    "Pattern",
    "SparseWeight",
    "State",
    "activation",
    "autocast",
    "compiled",
    "pattern",
    "projection",
    "readout",
    "recurrence",
    "sparse_linear",
    "traced",
]
