"""The layers, and what keeps their constraints: a table of contents."""

from netbuild.layers.activations import activation
from netbuild.layers.constraints import Check, attach, verify
from netbuild.layers.ctrnn import CTRNNLayer
from netbuild.layers.dropout import Dropout
from netbuild.layers.linear import LinearLayer
from netbuild.layers.network import Network, Source, evaluating
from netbuild.layers.sparse import SparseLinearLayer, linear_layer
from netbuild.layers.wiring import PerConnection

__all__ = [
    "CTRNNLayer",
    "Check",
    "Dropout",
    "LinearLayer",
    "Network",
    "PerConnection",
    "Source",
    "SparseLinearLayer",
    "activation",
    "attach",
    "evaluating",
    "linear_layer",
    "verify",
]
