"""The layers, and the constraints that are kept while they train: a table of contents."""

from netbuild.layers.arguments import activation as activation
from netbuild.layers.constraints import Check as Check
from netbuild.layers.constraints import attach as attach
from netbuild.layers.constraints import verify as verify
from netbuild.layers.ctrnn import CTRNNLayer as CTRNNLayer
from netbuild.layers.dropout import Dropout as Dropout
from netbuild.layers.linear import LinearLayer as LinearLayer
from netbuild.layers.linear import linear_maps as linear_maps
from netbuild.layers.network import Network as Network
from netbuild.layers.network import Source as Source
from netbuild.layers.network import evaluating as evaluating
from netbuild.layers.storage import PerConnection as PerConnection
