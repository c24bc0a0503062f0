"""LinearLayer: a linear map whose signs, wiring and plasticity are given by masks.

B is any number of batch axes, I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic).
Masks are given as (I, O), weights as torch has them, (O, I).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netbuild.kernels import traced
from netbuild.layers.arguments import dimension, made_from, one_of
from netbuild.layers.bounds import bounds_of, clamp_, effective, gain_of, scaled
from netbuild.layers.start import (
    DALE,
    draw_bias,
    draw_weight,
    groups_of,
    initial_of,
    plasticity_of,
    scale_of,
    sign_of,
    stored_bias,
    stored_weight,
)
from netbuild.layers.storage import ALL, Dense, Sparse, Storage, storage_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netbuild.kernels import SparseWeight

MASKS = ("sign", "connected", "plasticity")  # the buffers from which bounds are derived
QUICK = 2**20  # of up to so many stored weights a repr counts


class Connections(NamedTuple):
    """The connections of a map, by postsynaptic and then by presynaptic unit; (connection,)."""

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: NDArray[Any]  # effective


class LinearLayer(nn.Module):
    """y = x Wᵀ + b under Dale's law, a sparse wiring and a plasticity mask.

    Absent connections are exactly 0 and signs are right from the start. To keep them so while an
    optimizer trains the layer, attach it: `netbuild.attach(network, optimizer)`.

    Args:
        input_dim: number of presynaptic units.
        output_dim: number of postsynaptic units.
        weight: an init's name (`uniform`: U(-1/√in, 1/√in), `normal`: N(0, 1)/√in, `zero`, or
            one of `netbuild.layers.initial.SCHEMES`), `{init: NAME, <arguments>, learn: bool}`,
            an array (output_dim, input_dim), or `{value: array, learn: bool}`.
        bias: the same, with arrays of shape (output_dim,); None is zero and not learnable.
        ei_mask: (input_dim, output_dim), or a vector over the input_dim presynaptic units:
            > 0 excitatory, < 0 inhibitory, 0 free.
        sparsity_mask: (input_dim, output_dim): > 0 is a connection.
        plasticity_mask: (input_dim, output_dim), p in [0, 1]: the part of each update that is
            made; 0 is frozen.
        dale_init: how drawn values get their signs: `abs` (|w| times the sign) or `clamp` (to
            0). Supplied arrays are always clamped.
        ei_balance: scales the start so that excitation and inhibition cancel: `none`, `row`
            (for each postsynaptic unit), `global` or `nn4n` (see `balance_factors`). Where it
            is written it holds for supplied arrays too.
        spectral_radius: scales the start, after all else, such that the effective weight has this
            largest magnitude of an eigenvalue; for as many inputs as outputs. None: no scale.
        dale: `project`: the parameter itself obeys its signs. `abs`: the parameter is raw and
            the forward pass uses |w| times the sign; a supplied array is then kept as it is.
            `none`: the signs are kept for reference, bind nothing, and do not shape the start.
        scale_groups: (input_dim, output_dim), whole numbers from 0 to G - 1: the group of each
            connection. The effective weight is then the weight times the scale of its group; a
            scale that learns moves frozen connections of its group too.
        scale: with groups: a number, an array (G,), or `{value: ..., learn: bool}` of these, none
            below 0; 1 and learnt when left out. Without an array, G is the number of groups of
            the stored connections. `attach` keeps learnt scales at 0 or above.
        storage: `dense`; or `sparse`, which keeps values for the connections alone, so that no
            absent weight can appear. It needs a sparsity mask. Drawn values have the distribution
            that dense storage draws, with the fans of the whole map, but are other numbers: none is
            drawn for absent connections. `orthogonal` is refused. Entries of arrays for absent
            connections are dropped.
        seed: of the initial values; weight and bias have a stream each. None draws from torch's
            global generator.

    Arrays may be numpy arrays, tensors or nested lists; they are copied, never aliased. A
    sparsity mask may also be a scipy.sparse array or a wiring (see `connections_of`), and with a
    sparsity mask the other arrays of this shape may be `PerConnection`.

    In sparse storage the parameter `weight`, its gradient and `effective_weight` are (connection,),
    as are the buffers `sign`, `plasticity` and `scale_groups`; `connected` is None, and the buffers
    `starts` (output_dim + 1,) and `sources` (connection,) say where the connections stand: those
    onto unit j are [starts[j], starts[j + 1]). All of these are in the state dict. A forward pass
    under `torch.func` or torch.compile makes the whole matrix.

    Raises:
        ValueError: a wrong shape, size, word or key; NaN or Inf in an array; p outside [0, 1];
            a spectral radius for a weight whose radius is 0 or that is not square;
            signs with `dale="abs"` and drawn values that are 0, or that `clamp` would set to 0:
            |w| has no gradient at 0, so they would never learn; a start that leaves the range of
            the default precision.
        TypeError: an array that does not hold real numbers; a flag that is not a bool.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    # (O, I), or (connection,) in sparse storage
    sign: Tensor | None  # int8: 1 excitatory, -1 inhibitory, 0 free
    connected: Tensor | None  # bool; None in sparse storage
    plasticity: Tensor | None  # of the weight's dtype
    scale_groups: Tensor | None  # int32
    scale: Tensor | None  # (G,)
    starts: Tensor | None  # (O + 1,) int32, in sparse storage
    sources: Tensor | None  # (connection,) int32, in sparse storage
    # Derived from the first three, and not saved; see `Bounds`.
    present: Tensor | None
    plastic: Tensor | None
    lower: Tensor | None
    upper: Tensor | None
    gain: Tensor | None  # of |w|; only with `dale="abs"`, where every connection has a sign
    fractional: bool  # some plasticity lies strictly between 0 and 1
    takes_units: ClassVar[bool] = True  # by the second argument of `forward`
    mask_version: int = 0  # counts the changes of the masks
    bounded_parameters: ClassVar[Mapping[str, tuple[float, float]]] = {"scale": (0.0, math.inf)}
    # Not buffers: buffers that appear at first use are missing in copies that were made before.
    _sparse: Sparse | None = None
    _computed: list[Tensor] | None = None  # the effective weight, in a block of `computed_once`

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        weight: Any = "uniform",
        bias: Any = "uniform",
        ei_mask: Any = None,
        sparsity_mask: Any = None,
        plasticity_mask: Any = None,
        *,
        dale_init: str = "abs",
        ei_balance: str = "none",
        spectral_radius: float | None = None,
        dale: str = "project",
        scale_groups: Any = None,
        scale: Any = None,
        storage: str = "dense",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.input_dim = dimension("input_dim", input_dim)
        self.output_dim = dimension("output_dim", output_dim)
        self.dale = one_of("dale", dale, DALE)
        self._learnt_before_freeze: dict[str, bool] | None = None
        kept = storage_of(storage, self.input_dim, self.output_dim, sparsity_mask)
        sign, groups = sign_of(ei_mask, kept), groups_of(scale_groups, kept)
        scales, scales_learn = scale_of(scale, groups)
        first = initial_of("weight", weight)
        first_bias = initial_of("bias", {"init": "zero", "learn": False} if bias is None else bias)
        for name in ("starts", "sources", "connected"):
            self.register_buffer(name, getattr(kept, name, None))
        self.register_buffer("sign", sign)
        self.register_buffer("plasticity", plasticity_of(plasticity_mask, kept))
        self.register_buffer("scale_groups", groups)
        self.scale = None if scales is None else nn.Parameter(scales, scales_learn)
        values = draw_weight(
            *(first, kept, sign, scales, groups),
            dale=dale,
            dale_init=dale_init,
            ei_balance=ei_balance,
            spectral_radius=spectral_radius,
            seed=seed,
        )
        self.weight = nn.Parameter(values, first.learn)
        self.bias = nn.Parameter(draw_bias(first_bias, kept, seed), first_bias.learn)
        # Whether the parameter is another tensor than the weight that the forward pass uses.
        self.is_raw = dale == "abs" or groups is not None
        self._derive_bounds()
        self.register_load_state_dict_post_hook(_derive_bounds_again)  # type: ignore[no-untyped-call]

    @classmethod
    def from_dict(cls, layer_struct: Mapping[str, Any]) -> Self:
        """A layer from a mapping whose keys are the constructor's words.

        Raises ValueError for a missing `input_dim` or `output_dim` and for an unknown key.
        """
        return made_from(cls, "a linear layer", layer_struct, ("input_dim", "output_dim"))

    # Computation

    @property
    def stored_weight(self) -> nn.Parameter | None:
        """The parameter that `weight` is: the one that an optimizer can hold.

        After `torch.nn.utils.prune` it is `weight_orig`, of which some entries are used. None where
        the weight is computed from other parameters, as `torch.nn.utils.parametrize` does.
        """
        found = self._parameters.get("weight")
        if found is None and "weight_mask" in self._buffers:
            found = self._parameters.get("weight_orig")
        return found

    @property
    def storage(self) -> Literal["dense", "sparse"]:
        """How the weight is stored: "sparse" keeps the connections alone."""
        return "dense" if self.sources is None else "sparse"

    @property
    def _storage(self) -> Storage:
        """The storage, with the tensors that say where the connections stand."""
        buffers = self._buffers  # an attribute of a module would be found there, but slowly
        starts, sources = buffers["starts"], buffers["sources"]
        if starts is None or sources is None:
            return Dense(self.output_dim, self.input_dim, buffers["connected"])
        found = self._sparse
        if found is None or found.starts is not starts or found.sources is not sources:
            found = Sparse(self.output_dim, self.input_dim, starts, sources)
            if not traced():
                self._sparse = found
        return found

    @property
    def targets(self) -> Tensor | None:
        """(connection,) int32: the postsynaptic unit of each; None in dense storage."""
        storage = self._storage
        return storage.targets if isinstance(storage, Sparse) else None

    @property
    def update_mask(self) -> Tensor | None:
        """The fraction of an update that each stored weight takes: 0 for frozen and absent ones.

        None if every weight takes the full update.
        """
        self.follow_masks()
        return self.present if self.plastic is None else self.plastic

    @property
    def is_constrained(self) -> bool:
        """Whether an optimizer could violate anything."""
        return self.update_mask is not None or self.lower is not None

    @property
    def is_wired(self) -> bool:
        """Whether a mask says which connections there are."""
        return self.connected is not None or self.sources is not None

    @property
    def effective_weight(self) -> Tensor:
        """The weight that the forward pass uses, as it is stored: (output_dim, input_dim), or
        (connection,) in sparse storage."""
        if self._computed:
            return self._computed[0]
        weight = self.given_weight
        if self.dale == "abs":
            weight = self._signed(weight)
        weight = scaled(weight, self.scale, self.scale_groups)
        if self._computed is not None:
            self._computed.append(weight)
        return weight

    def _signed(self, weight: Tensor) -> Tensor:
        """|w| times the signs; by one product where the masks can be looked at."""
        if not traced():
            self.follow_masks()
            if self.gain is not None:
                return weight.abs() * self.gain
        return effective(weight, self.sign, self.connected)

    @property
    def given_weight(self) -> Tensor:
        """The weight before signs and scales, as it is stored.

        It is the parameter, its unpruned part after `torch.nn.utils.prune`, or the result of a
        parametrization. Pruning sets `weight` only where a layer is called, which the maps
        of a recurrent layer never are, so it is done here.
        """
        found = self._parameters.get("weight")
        if found is not None:
            return found
        stored, mask = self.stored_weight, self._buffers.get("weight_mask")
        if stored is None or mask is None:
            return self.weight
        return stored * mask

    @property
    def factor(self) -> Tensor | SparseWeight:
        """The effective weight as the kernels multiply with it."""
        return self._storage.factor(self.effective_weight)

    def forward(self, x: Tensor, units: slice = ALL) -> Tensor:
        """(..., input_dim) to (..., output_dim).

        `units` are those of x that are read; then x is (..., unit). The memory of the result is
        (output_dim, ...) in sparse storage, and for a few outputs of sequences.
        """
        weight = self.effective_weight if self.is_raw else self.given_weight
        # To make a Dense at each call would be a tenth of a small layer's time.
        storage = Dense if self._buffers["sources"] is None else self._storage
        return storage.linear(x, weight, self.bias, units)

    # The masks, (input_dim, output_dim), as they were given; in sparse storage scipy.sparse arrays

    @property
    def ei_mask(self) -> Tensor | Any | None:
        """(input_dim, output_dim) signs: 1 excitatory, -1 inhibitory, 0 free."""
        return None if self.sign is None else self._storage.mask(self.sign)

    @property
    def sparsity_mask(self) -> Tensor | Any | None:
        """(input_dim, output_dim): True where there is a connection."""
        if self.sources is not None:
            return self._storage.mask(torch.ones_like(self.sources, dtype=torch.bool))
        return None if self.connected is None else self._storage.mask(self.connected)

    @property
    def plasticity_mask(self) -> Tensor | Any | None:
        """(input_dim, output_dim): the part of each update that is made, in [0, 1]."""
        return None if self.plasticity is None else self._storage.mask(self.plasticity)

    # Changes by a caller

    @torch.no_grad()
    def set_weight(self, value: Any) -> None:
        """Copy an array (output_dim, input_dim) into the weight and clamp it.

        Raises ValueError for a weight that is computed from other parameters.
        """
        self._own_weight().copy_(stored_weight(self._storage, value))
        self.enforce_constraints()

    @torch.no_grad()
    def set_bias(self, value: Any) -> None:
        """Copy an array (output_dim,) into the bias."""
        self.bias.copy_(stored_bias(self.output_dim, value))

    @torch.no_grad()
    def enforce_constraints(self) -> None:
        """Clamp the weight in place: absent connections and wrong signs become 0.

        Raises ValueError for a weight that is computed from other parameters.
        """
        self.follow_masks()
        clamp_(self._own_weight(), self.present, self.lower, self.upper)

    def follow_masks(self) -> None:
        """Derive the bounds again if a mask was edited in place, or replaced, since they were."""
        buffers = self._buffers
        for name, seen, version in self._masks_seen:
            mask = buffers[name]
            if mask is not seen or (mask is not None and mask._version != version):
                self._derive_bounds()
                return

    def apply_plasticity(self) -> None:
        """Scale the weight's gradient by the plasticity mask; without a mask, do nothing.

        An optimizer that normalises its step (Adam and its kin) undoes such a scale; `attach`
        scales the update itself and needs no call of this.
        """
        gradient = self._own_weight().grad
        if self.plasticity is not None and gradient is not None:
            gradient.mul_(self.plasticity)

    def _own_weight(self) -> Tensor:
        """The parameter that holds the weight, also where it is pruned; raises ValueError."""
        stored = self.stored_weight
        if stored is None:
            raise ValueError("this weight is computed from other parameters, as by weight_norm")
        return stored

    @torch.no_grad()
    def auto_rescale(self, parameter: str) -> None:
        """Multiply the weight or the bias by input_dim / (most connections that a unit receives).

        This makes up for the input that a sparse wiring lacks. Every call multiplies again.
        Without a sparsity mask, or without a connection, the factor is 1.

        Args:
            parameter: `weight` or `bias`.
        """
        one_of("parameter", parameter, ("weight", "bias"))
        received = self._storage.received()
        if received is not None and (most := int(received.max())):
            getattr(self, parameter).mul_(self.input_dim / most)

    def freeze(self) -> None:
        """Let neither weight nor bias nor scales learn; their gradients are dropped."""
        if self._learnt_before_freeze is None:
            self._learnt_before_freeze = {
                name: parameter.requires_grad for name, parameter in self.named_parameters()
            }
        for parameter in self.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimizer would still take a step along it

    def unfreeze(self) -> None:
        """Let those parameters learn again that learnt before `freeze`."""
        if self._learnt_before_freeze is not None:
            for name, learnt in self._learnt_before_freeze.items():
                self.get_parameter(name).requires_grad_(learnt)
            self._learnt_before_freeze = None

    # Descriptions

    def get_specs(self) -> dict[str, int | float | bool]:
        """Sizes, ranges and counts, as plain numbers.

        Ranges are the effective weight's, absent connections included; the n are connections;
        `frozen_fraction` is the part of the connections whose plasticity is 0.
        """
        weight = self.effective_weight.detach()
        entries = self.input_dim * self.output_dim
        sign = weight.new_zeros((), dtype=torch.int8) if self.sign is None else self.sign
        n = weight.numel() if self.connected is None else int(self.connected.sum())
        frozen = 0 if self.plasticity is None else self._count(self.plasticity == 0)
        signed = {kind: self._count(torch.sign(sign) == kind) for kind in (1, -1)}
        if weight.numel() < entries:  # some are not stored, and 0
            weight = torch.cat((weight, weight.new_zeros(1)))
        specs: dict[str, int | float | bool] = {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "weight_learnable": self.weight.requires_grad,
            "bias_learnable": self.bias.requires_grad,
            "weight_min": weight.min().item(),
            "weight_max": weight.max().item(),
            "bias_min": self.bias.detach().min().item(),
            "bias_max": self.bias.detach().max().item(),
            "density": n / entries,
            "sparsity": 1 - n / entries,
            "n_connections": n,
            "n_excitatory": signed[1],
            "n_inhibitory": signed[-1],
            "n_free": n - signed[1] - signed[-1],
            "frozen_fraction": frozen / n if n else 0.0,
        }
        if self.scale is not None:
            specs |= {
                "n_scales": self.scale.numel(),
                "scale_learnable": self.scale.requires_grad,
                "scale_min": self.scale.detach().min().item(),
                "scale_max": self.scale.detach().max().item(),
            }
        return specs

    def connections(self) -> Connections:
        """The connections and their effective weights, as columns of numbers."""
        columns = self._storage.connections(self.effective_weight.detach())
        return Connections(*(column.cpu().numpy() for column in columns))

    def matrix(self) -> Tensor | Any:
        """(output_dim, input_dim): the effective weight, detached; scipy.sparse if sparse."""
        return self._storage.matrix(self.effective_weight.detach())

    def plot_layer(
        self, kind: Literal["weight", "dist"] = "weight", ax: Axes | None = None
    ) -> Figure:
        """Draw the effective weight as a matrix or as a histogram; show nothing.

        Args:
            kind: `weight` (the matrix) or `dist` (the distribution of existing connections).
            ax: where to draw; None makes a new figure, unknown to pyplot.

        Returns:
            The figure drawn in.
        """
        from netbuild.drawing import look, matrices

        one_of("kind of plot", kind, ("weight", "dist"))
        if ax is None:
            return look.own_look(lambda: self.plot_layer(kind, look.new_axes()))()
        if kind == "weight":
            return matrices.matrix(ax, self.matrix())
        sign = None if self.dale == "none" else self.sign  # signs that do not bind are not shown
        return matrices.distribution(ax, self.effective_weight.detach(), sign, self.connected)

    def extra_repr(self) -> str:
        """Sizes, storage, and which masks there are, of a layer that is not large what they say."""
        words = [f"input_dim={self.input_dim}", f"output_dim={self.output_dim}"]
        if self.sources is not None:
            words.append(f"n_connections={len(self.sources)}")
        weight = self.stored_weight
        if weight is None or weight.is_meta or weight.numel() > QUICK:
            words += [name for name in MASKS if self._buffers[name] is not None]
        else:
            words += self._mask_words()
        if self.sign is not None:
            words.append(f"dale={self.dale!r}")
        if self.scale is not None:
            words.append(f"scales={self.scale.numel()}")
        return ", ".join(words)

    def _mask_words(self) -> list[str]:
        specs, words = self.get_specs(), []
        if self.is_wired:
            words.append(f"density={specs['density']:.3g}")
        if self.sign is not None:
            words += [f"{key}={specs[key]}" for key in ("n_excitatory", "n_inhibitory")]
        if self.plasticity is not None:
            words.append(f"frozen_fraction={specs['frozen_fraction']:.3g}")
        return words

    # Bounds

    def _count(self, condition: Tensor) -> int:
        """How many connections fulfil a condition on the weight's entries."""
        if self.connected is not None:
            condition = condition & self.connected
        return int(condition.sum())

    def _derive_bounds(self) -> None:
        """Derive the bounds of a step from the masks; again whenever the masks change."""
        self._sparse = None  # `load_state_dict` copies into the same buffers
        weight = self.stored_weight
        dtype = torch.get_default_dtype() if weight is None else weight.dtype
        sign = self.sign if self.dale == "project" else None
        bounds = bounds_of(sign, self.connected, self.plasticity, dtype)
        for name, values in bounds._asdict().items():
            self.register_buffer(name, values, persistent=False)
        gain = gain_of(self.sign, self.connected, dtype) if self.dale == "abs" else None
        self.register_buffer("gain", gain, persistent=False)
        if self.plasticity is None or not self.plasticity.is_meta:
            self.fractional = self.plastic is not None and bool(
                ((self.plastic > 0) & (self.plastic < 1)).any()
            )
        self.mask_version += 1
        masks = [(name, self._buffers[name]) for name in MASKS]
        self._masks_seen = [(name, m, 0 if m is None else m._version) for name, m in masks]


def linear_maps(module: nn.Module) -> dict[str, LinearLayer]:
    """{path: map} of every linear map in a module, whether it is a layer or a part of one."""
    return {path: each for path, each in module.named_modules() if isinstance(each, LinearLayer)}


@contextmanager
def computed_once(maps: Iterable[LinearLayer]) -> Iterator[None]:
    """In this block each map computes its effective weight once, however often it is read.

    So a forward pass and the regularizers of its step share it, and its gradient. Nothing may
    change a weight, its masks or its scales in the block.
    """
    maps = list(maps)
    for each in maps:
        each._computed = []
    try:
        yield
    finally:
        for each in maps:
            each._computed = None


def _derive_bounds_again(layer: LinearLayer, _incompatible: Any) -> None:
    """After `load_state_dict`: other masks have other bounds."""
    layer._derive_bounds()
