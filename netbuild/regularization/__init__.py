"""Regularizers: terms of the loss that depend on weights or on activity.

dale = DaleLawL2(NamedParameters(network, ["hidden.weight"]), reference_weights=[signs])
loss = task_loss + RegularizationList([dale, L1([network.readout.weight], Lambda=1e-4)])()
"""

from netbuild.regularization.activity import FiringRateL1, FiringRateL2, FiringRateVariance
from netbuild.regularization.base import BaseRegularization
from netbuild.regularization.connectome import (
    DaleHinge,
    DaleLaw,
    DaleLawL2,
    ExcRatioTargetRegularization,
    InhRatioTargetRegularization,
    WeightsDistance,
)
from netbuild.regularization.norms import L1, L2, Lp
from netbuild.regularization.parameters import NamedParameters
from netbuild.regularization.references import draw_dale_reference
from netbuild.regularization.regularization_list import REGULARIZATIONS, RegularizationList

__all__ = [
    "L1",
    "L2",
    "REGULARIZATIONS",
    "BaseRegularization",
    "DaleHinge",
    "DaleLaw",
    "DaleLawL2",
    "ExcRatioTargetRegularization",
    "FiringRateL1",
    "FiringRateL2",
    "FiringRateVariance",
    "InhRatioTargetRegularization",
    "Lp",
    "NamedParameters",
    "RegularizationList",
    "WeightsDistance",
    "draw_dale_reference",
]
