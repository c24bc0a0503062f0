"""LinearLayer: a linear map whose signs, wiring and plasticity are given by masks.

B is any number of batch axes, I is `input_dim` (presynaptic), O is `output_dim` (postsynaptic).
Masks are given as (I, O), weights as torch has them, (O, I).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from netbuild.layers.balance import EI_BALANCES, balance_factors
from netbuild.layers.bounds import bounds_of, effective, project
from netbuild.layers.given import array, dimension, known_keys, one_of, shaped
from netbuild.layers.initial import (
    Start,
    StartError,
    as_parameter,
    draw,
    parameter_values,
    said_of,
    start_of,
)
from netbuild.layers.scale import scale_of
from netbuild.layers.spectrum import scaled_to
from netbuild.layers.wiring import (
    PerConnection,
    connections_of,
    is_array,
    per_connection,
    targets_of,
)
from netbuild.streams import seed_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netbuild.kernels.sparse import SparseWeight

DALE = ("project", "abs", "none")
DALE_INITS = ("abs", "clamp")
KEYS = (
    *("input_dim", "output_dim", "weight", "bias"),
    *("ei_mask", "sparsity_mask", "plasticity_mask"),
    *("dale_init", "ei_balance", "spectral_radius", "dale", "scale_groups", "scale", "seed"),
)


MASKS = ("sign", "connected", "plasticity")  # the buffers that bounds follow from


class Connections(NamedTuple):
    """The connections of a map, by postsynaptic and then by presynaptic unit; (connection,)."""

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: NDArray[Any]  # effective


class LinearLayer(nn.Module):
    """y = x Wᵀ + b under Dale's law, a sparse wiring and a plasticity mask.

    Absent connections are exactly 0 and signs are right from the start. To hold them while an
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
            below 0; 1 and learnt when left out. Without an array, G is counted from the groups of
            what is stored. `attach` holds learnt scales at 0 or above.
        seed: of the initial values; weight and bias have a stream each. None draws from torch's
            global generator.

    Arrays may be numpy arrays, tensors or nested lists; they are copied, never aliased. A
    sparsity mask may also be a scipy.sparse array or a wiring (see `connections_of`), and with a
    sparsity mask the other arrays of this shape may be `PerConnection`.

    Raises:
        ValueError: a wrong shape, size, word or key; NaN or Inf in an array; p outside [0, 1];
            a spectral radius for a weight whose radius is 0 or that is not square;
            signs with `dale="abs"` and drawn values that are 0, or that `clamp` would set to 0:
            |w| has no gradient at 0, so they would never learn; a start that leaves the range of
            the default precision.
        TypeError: an array that does not hold real numbers; a flag that is not a bool.
    """

    sign: Tensor | None  # (O, I) int8: 1 excitatory, -1 inhibitory, 0 free
    connected: Tensor | None  # (O, I) bool
    plasticity: Tensor | None  # (O, I), the weight's dtype
    scale: Tensor | None  # (G,)
    scale_groups: Tensor | None  # (O, I) int32
    # Derived from the first three, and not saved; see `Bounds`.
    present: Tensor | None
    rate: Tensor | None
    lower: Tensor | None
    upper: Tensor | None
    fractional: bool  # some plasticity lies strictly between 0 and 1
    mask_version: int  # counts the changes of the masks
    storage: ClassVar[str] = "dense"
    bounded_parameters: ClassVar[Mapping[str, tuple[float, float]]] = {"scale": (0.0, math.inf)}

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
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.input_dim = dimension("input_dim", input_dim)
        self.output_dim = dimension("output_dim", output_dim)
        self.dale = one_of("dale", dale, DALE)
        one_of("dale_init", dale_init, DALE_INITS)
        one_of("ei_balance", ei_balance, EI_BALANCES)
        self._learnt_before_freeze: dict[str, bool] | None = None

        self._register_masks(ei_mask, sparsity_mask, plasticity_mask)
        self._derive_bounds()
        groups = None if scale_groups is None else self._array("scale_groups", scale_groups)
        self.scale, groups = scale_of(scale, groups)
        self.register_buffer("scale_groups", groups)
        # Whether the parameter is something else than what the forward pass uses.
        self.is_raw = dale == "abs" or groups is not None
        start = self._start(weight, _generator(seed, "weight"))
        self._refuse_raw_zeros(start, dale_init)
        values = self._constrained(start, dale_init, ei_balance)
        if spectral_radius is not None:
            seen = self._matrix(self._effective(values).detach())
            values = scaled_to(values, seen, spectral_radius)
        self.weight = nn.Parameter(values, requires_grad=start.learn)
        axes = {"output_dim": self.output_dim}
        start = start_of("bias", bias, axes, self.input_dim, _generator(seed, "bias"))
        self.bias = nn.Parameter(start.values, requires_grad=start.learn)
        self.register_load_state_dict_post_hook(_derive_bounds_again)  # type: ignore[no-untyped-call]

    @classmethod
    def from_dict(cls, layer_struct: Mapping[str, Any]) -> Self:
        """A layer from a mapping whose keys are the constructor's words.

        Raises ValueError for a missing `input_dim` or `output_dim` and for an unknown key.
        """
        known_keys("a linear layer", layer_struct, KEYS)
        missing = [key for key in KEYS[:2] if key not in layer_struct]
        if missing:
            raise ValueError(f"a linear layer needs {' and '.join(missing)}")
        return cls(**layer_struct)

    # What the layer computes

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
    def gate(self) -> Tensor | None:
        """(output_dim, input_dim): 0 where the weight may not move; None if it may everywhere."""
        self.follow_masks()
        return self.present if self.rate is None else self.rate

    @property
    def is_constrained(self) -> bool:
        """Whether an optimizer could violate anything."""
        return self.gate is not None or self.lower is not None

    @property
    def is_wired(self) -> bool:
        """Whether a mask says which connections there are."""
        return self.connected is not None

    @property
    def effective_weight(self) -> Tensor:
        """(output_dim, input_dim): the weight that the forward pass uses."""
        return self._effective(self.given_weight)

    @property
    def given_weight(self) -> Tensor:
        """(output_dim, input_dim): the weight before signs and scales.

        It is the parameter, what is left of it after `torch.nn.utils.prune`, or what a
        parametrization computes. Pruning sets `weight` only where a layer is called, which the maps
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
        """What the forward pass multiplies with; for the kernels."""
        return self.effective_weight

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to (..., output_dim)."""
        weight = self.effective_weight if self.is_raw else self.given_weight
        if x.ndim == 3 and x.stride(0) < x.stride(1):
            # (batch, time, unit) of a recurrent layer, whose memory is time-major: no copy of it.
            return functional.linear(x.transpose(0, 1), weight, self.bias).transpose(0, 1)
        return functional.linear(x, weight, self.bias)

    # The masks, as they were given

    @property
    def ei_mask(self) -> Tensor | None:
        """(input_dim, output_dim) signs: 1 excitatory, -1 inhibitory, 0 free."""
        return None if self.sign is None else self.sign.T

    @property
    def sparsity_mask(self) -> Tensor | None:
        """(input_dim, output_dim): True where there is a connection."""
        return None if self.connected is None else self.connected.T

    @property
    def plasticity_mask(self) -> Tensor | None:
        """(input_dim, output_dim): the part of each update that is made, in [0, 1]."""
        return None if self.plasticity is None else self.plasticity.T

    # What a caller may change

    @torch.no_grad()
    def set_weight(self, value: Any) -> None:
        """Copy an array (output_dim, input_dim) into the weight and project it.

        Raises ValueError for a weight that is computed from other parameters.
        """
        self._own_weight().copy_(self._values(value))
        self.enforce_constraints()

    @torch.no_grad()
    def set_bias(self, value: Any) -> None:
        """Copy an array (output_dim,) into the bias."""
        self.bias.copy_(parameter_values("bias", value, {"output_dim": self.output_dim}))

    @torch.no_grad()
    def enforce_constraints(self) -> None:
        """Project the weight in place: absent connections and wrong signs become 0.

        Raises ValueError for a weight that is computed from other parameters.
        """
        self.follow_masks()
        project(self._own_weight(), self.present, self.lower, self.upper)

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

        It makes up for the input that a sparse wiring takes away. Every call multiplies again.
        Without a sparsity mask, or without a connection, the factor is 1.

        Args:
            parameter: `weight` or `bias`.
        """
        one_of("parameter", parameter, ("weight", "bias"))
        if most := self._most_received():
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
        """Let learn again what learnt before `freeze`."""
        if self._learnt_before_freeze is not None:
            for name, learnt in self._learnt_before_freeze.items():
                self.get_parameter(name).requires_grad_(learnt)
            self._learnt_before_freeze = None

    # What the layer tells of itself

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
        here = self.effective_weight.new_ones(()) if self.connected is None else self.connected
        post, pre = here.expand(self.output_dim, self.input_dim).nonzero(as_tuple=True)
        weight = self.effective_weight.detach()[post, pre].cpu().numpy()
        return Connections(pre.int().cpu().numpy(), post.int().cpu().numpy(), weight)

    def matrix(self) -> Tensor | Any:
        """(output_dim, input_dim): the effective weight, detached."""
        return self._matrix(self.effective_weight.detach())

    def plot_layer(
        self, kind: Literal["weight", "dist"] = "weight", ax: Axes | None = None
    ) -> Figure:
        """Draw the effective weight as a matrix or as a histogram; show nothing.

        Args:
            kind: `weight` (the matrix) or `dist` (the distribution of existing connections).
            ax: where to draw; None makes a figure of its own, unknown to pyplot.

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
        """Sizes, and what the masks say."""
        words = [f"input_dim={self.input_dim}", f"output_dim={self.output_dim}"]
        if not self.weight.is_meta:
            specs = self.get_specs()
            if self.is_wired:
                words.append(f"density={specs['density']:.3g}")
            if self.sign is not None:
                words += [f"{key}={specs[key]}" for key in ("n_excitatory", "n_inhibitory")]
            if self.plasticity is not None:
                words.append(f"frozen_fraction={specs['frozen_fraction']:.3g}")
        if self.sign is not None:
            words.append(f"dale={self.dale!r}")
        if self.scale is not None:
            words.append(f"scales={self.scale.numel()}")
        return ", ".join(words)

    # How it is made

    def _register_masks(self, ei_mask: Any, sparsity_mask: Any, plasticity_mask: Any) -> None:
        """The masks as buffers in the weight's shape; None where one is not given."""
        self._register_wiring(sparsity_mask)
        ei = None if ei_mask is None else self._array("ei_mask", ei_mask, vector=True)
        plasticity = None
        if plasticity_mask is not None:
            plasticity = self._array("plasticity_mask", plasticity_mask)
        if plasticity is not None:
            outside = plasticity[(plasticity < 0) | (plasticity > 1)]
            if len(outside):
                raise ValueError(f"plasticity_mask must lie in [0, 1]; it holds {outside[0]:g}")
            plasticity = plasticity.to(torch.get_default_dtype())
        self.register_buffer("sign", None if ei is None else ei.sign().to(torch.int8))
        self.register_buffer("plasticity", plasticity)

    def _register_wiring(self, sparsity_mask: Any) -> None:
        connected = None
        if sparsity_mask is not None and is_array(sparsity_mask):
            connected = self._array("sparsity_mask", sparsity_mask) > 0
        elif sparsity_mask is not None:
            starts, sources = connections_of(sparsity_mask, self.input_dim, self.output_dim)
            connected = torch.zeros((self.output_dim, self.input_dim), dtype=torch.bool)
            connected[targets_of(starts).long(), sources.long()] = True
        self.register_buffer("connected", connected)

    def _array(self, what: str, given: Any, vector: bool = False) -> Tensor:
        """A mask given as (I, O), or as (I,) where a vector will do, copied into (O, I)."""
        if isinstance(given, PerConnection):
            return self._spread(what, given)
        values = array(what, given)
        if vector and values.ndim == 1:
            values = shaped(what, values, input_dim=self.input_dim)
            return values.expand(self.output_dim, -1).contiguous()
        sizes = {"input_dim": self.input_dim, "output_dim": self.output_dim}
        return shaped(what, values, **sizes).T.contiguous()

    def _spread(self, what: str, given: PerConnection) -> Tensor:
        """(O, I) with the values in their places, and 0 elsewhere."""
        if self.connected is None:
            raise ValueError(f"{what} is per connection, but there is no sparsity_mask")
        values = per_connection(what, given, int(self.connected.sum()))
        return torch.zeros(self.connected.shape, dtype=values.dtype).masked_scatter_(
            self.connected.cpu(), values
        )

    def _values(self, given: Any) -> Tensor:
        """A caller's weight in the parameter's shape and the default dtype."""
        if isinstance(given, PerConnection):
            return as_parameter("weight", self._spread("weight", given))
        axes = {"output_dim": self.output_dim, "input_dim": self.input_dim}
        return parameter_values("weight", given, axes)

    def _drawn(self, scheme: str, generator: torch.Generator | None, **arguments: Any) -> Tensor:
        shape = (self.output_dim, self.input_dim)
        return draw(scheme, shape, self.input_dim, generator, **arguments)

    def _start(self, weight: Any, generator: torch.Generator | None) -> Start:
        """What the caller wrote for the weight, as values."""
        said = said_of("weight", weight)
        if said.init is None:
            return Start(self._values(said.value), drawn=False, learn=said.learn)
        values = self._drawn(said.init, generator, **said.arguments)
        return Start(values, drawn=True, learn=said.learn)

    def _effective(self, weight: Tensor) -> Tensor:
        """What the forward pass uses of a parameter's values."""
        if self.dale == "abs":
            weight = effective(weight, self.sign, self.connected)
        if self.scale is not None and self.scale_groups is not None:
            factors = self.scale.index_select(0, self.scale_groups.flatten())
            weight = weight * factors.view_as(weight)
        return weight

    def _matrix(self, weight: Tensor) -> Tensor | Any:
        """(O, I), for what reads matrices."""
        return weight

    def _balance(self, weight: Tensor, sign: Tensor, kind: str) -> Tensor:
        return balance_factors(weight, sign, kind)

    def _count(self, condition: Tensor) -> int:
        """How many connections fulfil a condition on the weight's entries."""
        if self.connected is not None:
            condition = condition & self.connected
        return int(condition.sum())

    def _most_received(self) -> int:
        """The most connections that a unit receives; 0 where nothing says so."""
        return 0 if self.connected is None else int(self.connected.sum(-1).max())

    def _derive_bounds(self) -> None:
        """What a step needs of the masks; again whenever the masks change."""
        weight = self.stored_weight
        dtype = torch.get_default_dtype() if weight is None else weight.dtype
        sign = self.sign if self.dale == "project" else None
        bounds = bounds_of(sign, self.connected, self.plasticity, dtype)
        for name, values in bounds._asdict().items():
            self.register_buffer(name, values, persistent=False)
        if self.plasticity is None or not self.plasticity.is_meta:
            self.fractional = self.rate is not None and bool(
                ((self.rate > 0) & (self.rate < 1)).any()
            )
        self.mask_version = getattr(self, "mask_version", 0) + 1
        masks = [(name, self._buffers[name]) for name in MASKS]
        self._masks_seen = [(name, m, 0 if m is None else m._version) for name, m in masks]

    def _refuse_raw_zeros(self, start: Start, dale_init: str) -> None:
        """|w| has no gradient at 0, so a raw weight that is drawn there never leaves it."""
        if self.dale != "abs" or not start.drawn or self.sign is None or not self.sign.any():
            return
        why = "|w| has no gradient at 0, so these weights would never learn"
        if dale_init == "clamp":
            raise StartError(
                f"dale='abs' with dale_init='clamp' sets weights of the wrong sign to 0: {why}; "
                "use dale_init='abs' or dale='project'"
            )
        if start.learn and not start.values.any():
            raise StartError(
                f"dale='abs' with a weight that starts at 0 everywhere: {why}; "
                "use another init or dale='project'"
            )

    def _constrained(self, start: Start, dale_init: str, ei_balance: str) -> Tensor:
        """The start after signs, wiring and balance, in this order."""
        weight = start.values
        sign = None if self.dale == "none" else self.sign
        if sign is not None and start.drawn and dale_init == "abs":
            weight = effective(weight, sign, None)
        elif sign is not None and (start.drawn or self.dale == "project"):
            bounds = bounds_of(sign, None, None, weight.dtype)
            weight = torch.clamp(weight, bounds.lower, bounds.upper)
        if self.connected is not None:
            weight = weight.where(self.connected, 0.0)
        if sign is not None and ei_balance != "none":
            weight = weight * self._balance(self._effective(weight).detach(), sign, ei_balance)
        return weight + 0.0  # -0.0 becomes 0.0


def _generator(seed: int | None, stream: str) -> torch.Generator | None:
    """The generator of a layer's stream; None, for torch's own, without a seed."""
    if seed is None:
        return None
    return torch.Generator().manual_seed(seed_of(seed, stream))


def _derive_bounds_again(layer: LinearLayer, _incompatible: Any) -> None:
    """After `load_state_dict`: other masks have other bounds."""
    layer._derive_bounds()
