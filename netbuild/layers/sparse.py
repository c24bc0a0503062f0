"""SparseLinearLayer: a linear map that keeps values for its connections only.

I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic). What is said of connections is an
array (connection,), by postsynaptic and then by presynaptic unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import Pattern, SparseWeight, pattern, sparse_linear, traced
from netbuild.layers.balance import balance_factors
from netbuild.layers.given import array, one_of, shaped
from netbuild.layers.initial import as_parameter, draw_connections
from netbuild.layers.linear import Connections, LinearLayer
from netbuild.layers.wiring import PerConnection, connections_of, per_connection, targets_of


class SparseLinearLayer(LinearLayer):
    """y = x Wᵀ + b, where W is stored for its connections alone: no absent weight can appear.

    It takes the words of `LinearLayer`, with these differences:

    Args:
        weight: drawn values have the distribution that dense storage draws, with the fans of the
            whole map, but are other numbers: none is drawn for what is not connected.
            `orthogonal` is refused. An array (output_dim, input_dim) is read at the connections;
            what it holds elsewhere is dropped, as dense storage sets it to 0.
        sparsity_mask: needed: an array (input_dim, output_dim), > 0 for a connection, a
            scipy.sparse array, or a wiring (see `connections_of`).
        weight, ei_mask, plasticity_mask, scale_groups: may be `PerConnection(values)`.

    The parameter `weight`, its gradient and `effective_weight` are (connection,), as are the
    buffers `sign`, `plasticity` and `scale_groups`. Where they stand is in the buffers `starts`
    (output_dim + 1,) and `sources` (connection,), int32: those onto unit j are
    [starts[j], starts[j + 1]). All of these are in the state dict; the transposed pattern and the
    bounds are made from them. A forward pass under `torch.func` or torch.compile makes the whole
    matrix. `connected` is None: all that is stored is connected.
    """

    storage: ClassVar[str] = "sparse"
    starts: Tensor
    sources: Tensor
    # Not a buffer: buffers that appear at first use are not in copies that were made before.
    _pattern: tuple[Tensor, Tensor, Pattern] | None = None  # with the buffers that it is of

    # What the layer computes

    @property
    def pattern(self) -> Pattern:
        """Where the connections stand, for the kernels; made at first use on each device."""
        starts, sources = self.starts, self.sources
        known = self._pattern
        if known is None or known[0] is not starts or known[1] is not sources:
            known = starts, sources, pattern(starts, sources, self.input_dim)
            self._pattern = known
        return known[2]

    @property
    def targets(self) -> Tensor:
        """(connection,) int32: the postsynaptic unit of each."""
        return targets_of(self.starts, len(self.sources))

    @property
    def is_wired(self) -> bool:
        """Whether a mask says which connections there are."""
        return True

    @property
    def factor(self) -> Tensor | SparseWeight:
        """What the forward pass multiplies with; for the kernels.

        While torch compiles or transforms it is a dense matrix, of operations that torch can see.
        """
        if traced():
            return self._whole(self.effective_weight)
        return SparseWeight(self.effective_weight, self.pattern)

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to (..., output_dim); the memory of the result is (output_dim, ...)."""
        weight = self.effective_weight if self.is_raw else self.given_weight
        if traced():
            return functional.linear(x, self._whole(weight), self.bias)
        return sparse_linear(x, weight, self.pattern, self.bias)

    # The masks, as scipy.sparse arrays (input_dim, output_dim) of the connections

    @property
    def ei_mask(self) -> Any:
        """scipy.sparse (input_dim, output_dim): 1 excitatory, -1 inhibitory, 0 (stored) free."""
        return None if self.sign is None else self._columns(self.sign)

    @property
    def sparsity_mask(self) -> Any:
        """scipy.sparse (input_dim, output_dim): True where there is a connection."""
        return self._columns(torch.ones(len(self.sources), dtype=torch.bool))

    @property
    def plasticity_mask(self) -> Any:
        """scipy.sparse (input_dim, output_dim): the part of each update that is made; 0 is
        stored where a connection is frozen."""
        return None if self.plasticity is None else self._columns(self.plasticity)

    # What the layer tells of itself

    def connections(self) -> Connections:
        """The connections and their effective weights, as columns of numbers."""
        weight = self.effective_weight.detach()
        columns = (each.cpu().numpy() for each in (self.sources, self.targets, weight))
        return Connections(*columns)

    # How it is made

    def _register_wiring(self, sparsity_mask: Any) -> None:
        if sparsity_mask is None:
            raise ValueError("sparse storage needs a sparsity_mask")
        starts, sources = connections_of(sparsity_mask, self.input_dim, self.output_dim)
        self.register_buffer("starts", starts)
        self.register_buffer("sources", sources)
        self.register_buffer("connected", None)

    def _derive_bounds(self) -> None:
        self._pattern = None  # a state dict is copied into the same buffers
        super()._derive_bounds()

    def _array(self, what: str, given: Any, vector: bool = False) -> Tensor:
        """(connection,) float64, of a mask (I, O), of a vector (I,) or of each connection."""
        if isinstance(given, PerConnection):
            return per_connection(what, given, len(self.sources))
        values = array(what, given)
        if vector and values.ndim == 1:
            return shaped(what, values, input_dim=self.input_dim)[self.sources.cpu()]
        sizes = {"input_dim": self.input_dim, "output_dim": self.output_dim}
        return shaped(what, values, **sizes)[self.sources.cpu(), self.targets.cpu()]

    def _values(self, given: Any) -> Tensor:
        if isinstance(given, PerConnection):
            values = per_connection("weight", given, len(self.sources))
        else:
            sizes = {"output_dim": self.output_dim, "input_dim": self.input_dim}
            values = shaped("weight", given, **sizes)[self.targets.cpu(), self.sources.cpu()]
        return as_parameter("weight", values)

    def _drawn(self, scheme: str, generator: torch.Generator | None, **arguments: Any) -> Tensor:
        shape = (self.output_dim, self.input_dim)
        return draw_connections(scheme, self.sources, self.targets, shape, generator, **arguments)

    def _whole(self, weight: Tensor) -> Tensor:
        """(O, I), with values (connection,) in their places and 0 elsewhere."""
        places = self.targets.long(), self.sources.long()
        return weight.new_zeros(self.output_dim, self.input_dim).index_put(places, weight)

    def _matrix(self, weight: Tensor) -> Any:
        """A scipy.sparse CSR array (O, I) of values; the pattern's memory is the layer's own."""
        from scipy.sparse import csr_array

        parts = (weight, self.sources, self.starts)
        shape = (self.output_dim, self.input_dim)
        return csr_array(tuple(part.cpu().numpy() for part in parts), shape=shape)

    def _columns(self, values: Tensor) -> Any:
        from scipy.sparse import csc_array

        parts = (values, self.sources, self.starts)
        shape = (self.input_dim, self.output_dim)
        return csc_array(tuple(part.cpu().numpy() for part in parts), shape=shape, copy=True)

    def _balance(self, weight: Tensor, sign: Tensor, kind: str) -> Tensor:
        return balance_factors(weight, sign, kind, self.starts)

    def _most_received(self) -> int:
        return int(self.starts.diff().max())


STORAGES: Mapping[str, type[LinearLayer]] = {"dense": LinearLayer, "sparse": SparseLinearLayer}


def linear_layer(layer_struct: Mapping[str, Any]) -> LinearLayer:
    """A linear layer, dense or sparse, from a mapping whose keys are the constructor's words.

    The key `storage` says which: `dense` (the default) or `sparse`.

    Raises ValueError for another storage, and what `LinearLayer.from_dict` raises.
    """
    words = dict(layer_struct)
    storage = one_of("storage", words.pop("storage", "dense"), STORAGES)
    return STORAGES[storage].from_dict(words)
