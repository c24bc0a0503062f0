"""Hand-written forward and backward passes on plain tensors, for the processor and CUDA alike."""

from netbuild.kernels import compiled, noise
from netbuild.kernels.activations import ACTIVATIONS, Activation, activation
from netbuild.kernels.input_map import InputMap
from netbuild.kernels.passes import State
from netbuild.kernels.plain import autocast, traced
from netbuild.kernels.readout import FEW, readout
from netbuild.kernels.recurrence import FORMULATIONS, recurrence
from netbuild.kernels.sparse import Pattern, SparseWeight, pattern, sparse_linear

__all__ = [
    "ACTIVATIONS",
    "FEW",
    "FORMULATIONS",
    "Activation",
    "InputMap",
    "Pattern",
    "SparseWeight",
    "State",
    "activation",
    "autocast",
    "compiled",
    "noise",
    "pattern",
    "readout",
    "recurrence",
    "sparse_linear",
    "traced",
]
