"""The layers, and the constraints that are kept while they train: a table of contents."""

from netbuild.layers.arguments import activation
from netbuild.layers.constraints import Check, attach, verify
from netbuild.layers.ctrnn import CTRNNLayer
from netbuild.layers.dropout import Dropout
from netbuild.layers.linear import LinearLayer, computed_once, linear_maps
from netbuild.layers.network import Network, Source, evaluating
from netbuild.wiring import PerConnection

__all__ = [
    "CTRNNLayer",
    "Check",
    "Dropout",
    "LinearLayer",
    "Network",
    "PerConnection",
    "Source",
    "activation",
    "attach",
    "computed_once",
    "evaluating",
    "linear_maps",
    "verify",
]
