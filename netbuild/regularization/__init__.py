"""Regularizers: terms of the loss that depend on weights or on activity.

dale = DaleLawL2(NamedParameters(network, ["hidden.weight"]), reference_weights=[signs])
loss = task_loss + RegularizationList([dale, L1([network.readout.weight], Lambda=1e-4)])()
"""

from netbuild.regularization.base import BaseRegularization as BaseRegularization
from netbuild.regularization.references import draw_dale_reference as draw_dale_reference
from netbuild.regularization.regularization_list import RegularizationList as RegularizationList
from netbuild.regularization.regularizers import *  # noqa: F403
from netbuild.regularization.targets import NamedParameters as NamedParameters
