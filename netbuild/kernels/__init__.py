"""Hand-written forward and backward passes on plain tensors, for the processor and CUDA alike."""

from netbuild.kernels.activations import NAMES, Activation, activation
from netbuild.kernels.projection import projection
from netbuild.kernels.recurrence import FORMULATIONS, State, recurrence

__all__ = ["FORMULATIONS", "NAMES", "Activation", "State", "activation", "projection", "recurrence"]
