"""Constraints that hold by themselves: attached to an optimizer, and proven on a module."""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.utils.hooks import RemovableHandle

from netbuild.layers.bounds import keep_where, project
from netbuild.layers.linear import MASKS, LinearLayer

_KEEPER = "_netbuild_keeper"  # an optimizer's attribute: copying or pickling one leaves it behind


def attach(module: nn.Module, optimizer: Optimizer) -> None:
    """Make the constraints of every layer in `module` hold after each `optimizer.step()`.

    From here on (a) gradients of absent and frozen weights are zeroed as they accumulate, so
    that clipping, logs and the optimizer's moments never see them; (b) a step moves a weight by
    its plasticity p times what the optimizer wants, whatever the optimizer: the weight goes to
    lerp(before, after, p), which is the very bits of before where p = 0; (c) absent connections
    and wrong signs are then set to 0; (d) an LBFGS forgets its curvature, which was measured on
    the other side of that projection. What a recurrent layer learns beside its weights (alpha) is
    clamped to the range in which it makes sense, as scales of connections are.

    Calling it again changes nothing. Several optimizers may each own a part of the module.
    Parameters of the module that the optimizer is given later (by `add_param_group`, or in place of
    others) are taken in at the next step, whose gradients are zeroed then, and those of later steps
    as in (a). Masks that are edited in place, or replaced, hold from then on. Attach a copy
    (`copy.deepcopy`) or an unpickled optimizer anew. Pruning (`torch.nn.utils.prune`) before or
    after makes no difference: the constraints are of the parameter that is pruned.

    Args:
        module: any module that holds LinearLayers, or one itself.
        optimizer: any torch optimizer, fused, foreach and closures included.

    Raises:
        ValueError: the optimizer holds no parameter of the module, as after a copy of one alone; a
            constrained weight (or alpha, or scales) that is computed from parameters that it holds,
            as by `torch.nn.utils.parametrize`; layers that share a weight under different masks
            with plasticity between 0 and 1. What arises later is raised by the next
            `optimizer.step()`, before it changes anything; so is a weight that was replaced where
            the optimizer holds the one before (`load_state_dict(assign=True)`).
    """
    owned = _owned(optimizer)
    if not any(id(p) in owned for p in module.parameters()):
        raise ValueError("the optimizer holds no parameter of this module")
    keeper = vars(optimizer).get(_KEEPER)
    if keeper is None:
        keeper = _Keeper(optimizer)
        setattr(optimizer, _KEEPER, keeper)
    keeper.modules[module] = None
    keeper.look(optimizer)


class _Keeper:
    """What one optimizer does around its step, to the layers whose weights it holds.

    The optimizer owns its keeper, the keeper its modules: when the optimizer goes, the hooks on
    the gradients go too.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.modules: dict[nn.Module, None] = {}  # in the order in which they were attached
        self.groups: list[
            list[nn.Parameter]
        ] = []  # the optimizer's, when layers were last looked for
        self.kept: dict[LinearLayer, _Kept] = {}
        self.bounded: dict[tuple[nn.Module, str], tuple[nn.Parameter, tuple[float, float]]] = {}
        self.handles: list[RemovableHandle] = []
        weakref.finalize(self, _remove, self.handles).atexit = False
        optimizer.register_step_pre_hook(self.before_step)
        optimizer.register_step_post_hook(self.after_step)

    def look(self, optimizer: Optimizer) -> None:
        """Take in every layer whose weight the optimizer holds; ValueError for what it cannot."""
        owned = _owned(optimizer)
        self.bounded = {}
        for module in self.modules:
            for path, layer in module.named_modules():
                _refuse_computed(path, layer, owned)
                for name, parameter, bounds in _bounded(layer):
                    if id(parameter) in owned:
                        self.bounded[layer, name] = parameter, bounds
                if isinstance(layer, LinearLayer):
                    self.look_at(path, layer, owned)
        self.groups = [list(group["params"]) for group in optimizer.param_groups]

    def look_at(self, path: str, layer: LinearLayer, owned: set[int]) -> None:
        """Keep a layer's weight if the optimizer holds it, in place of the one before."""
        weight, kept = layer.stored_weight, self.kept.get(layer)
        held = weight is not None and id(weight) in owned
        if kept is not None and (kept.weight is not weight or not held):
            if not held and id(kept.weight) in owned:
                raise ValueError(_computed("weight", path) if weight is None else _replaced(path))
            kept.handle.remove()
            del self.kept[layer]
        elif kept is not None:
            return
        if weight is None or not held or not layer.is_constrained:
            return
        if not self.shares(path, layer, weight):
            self.add(layer, weight)

    def shares(self, path: str, layer: LinearLayer, weight: nn.Parameter) -> bool:
        """Whether the weight is kept already, for another layer with the same masks.

        ValueError where a part of each update is due to one mask, and another part to the other.
        """
        for other, kept in self.kept.items():
            if kept.weight is weight and layer.fractional and other.fractional:
                if not _have_equal_masks(layer, other):
                    raise ValueError(
                        f"{_named(path)} shares its weight with a layer of other masks, and "
                        "plasticity between 0 and 1 can be of one of them alone"
                    )
                return True
        return False

    def add(self, layer: LinearLayer, weight: nn.Parameter) -> None:
        hook = _ZeroGradient(layer)
        self.kept[layer] = kept = _Kept(layer, weight, _hook(weight, hook))
        self.handles.append(kept.handle)
        with torch.no_grad():
            hook(weight)  # the gradient that it has already

    def is_stale(self, optimizer: Optimizer) -> bool:
        """Whether parameters of the optimizer or of the layers are others than at the last look."""
        groups = optimizer.param_groups
        if len(groups) != len(self.groups):
            return True
        for group, seen in zip(groups, self.groups, strict=True):
            now = group["params"]
            if len(now) != len(seen) or not all(map(operator.is_, now, seen)):
                return True
        for layer, kept in self.kept.items():
            weight = layer._parameters.get("weight")
            if weight is not kept.weight and layer.stored_weight is not kept.weight:
                return True
        for (module, name), (parameter, _) in self.bounded.items():
            if module._parameters.get(name) is not parameter:
                return True
        return False

    @torch.no_grad()
    def before_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if self.is_stale(optimizer):
            self.look(optimizer)
        for kept in self.kept.values():
            kept.remember()

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for kept in self.kept.values():
            kept.project()
        for parameter, bounds in self.bounded.values():
            parameter.clamp_(*bounds)
        if (self.kept or self.bounded) and isinstance(optimizer, LBFGS):
            optimizer.state.clear()


class _Kept:
    """One weight between two steps, and what holds it where it may not move.

    Where every p is 0 or 1, absent and frozen weights are pinned between equal bounds, and one
    clamp is all that a step needs. Where some p lies between, a copy of the weight is kept. Both
    are made anew when the weight was changed since the last step, as its version tells. A write
    to `.data` is not told; it counts as a part of the next step's update.
    """

    gate: Tensor | None  # 0 where the weight may not move
    lower: Tensor | None
    upper: Tensor | None
    before: Tensor | None  # the weight before this step, if some p is fractional
    held: Tensor | None  # what absent and frozen weights are held at; None if there are none
    minus_zero: bool  # whether one of these is -0.0, which neither a lerp nor a clamp respects
    probes: tuple[Tensor, ...]  # the smallest and the largest of those by magnitude, as views

    def __init__(self, layer: LinearLayer, weight: nn.Parameter, handle: RemovableHandle) -> None:
        self.layer = layer
        self.weight = weight
        self.handle = handle
        self.seen = (-1, -1, -1)

    def remember(self) -> None:
        """Before a step."""
        self.layer.follow_masks()
        if self.seen != self._state():
            self._renew()

    def project(self) -> None:
        """After a step: take back what p withholds, then clamp."""
        weight = self.weight
        if self.before is not None:
            assert self.gate is not None
            torch.lerp(self.before, weight, self.gate, out=weight)
        if self.lower is not None:
            torch.clamp(weight, self.lower, self.upper, out=weight)
        if self.held is not None and (self.minus_zero or self._may_be_nan()):
            assert self.gate is not None
            torch.where(self.gate == 0, self.held, weight, out=weight)
        if self.before is not None:
            self.before.copy_(weight)
        self.seen = self._state()

    def _may_be_nan(self) -> bool:
        """Whether held weights need more than a lerp or a clamp, which let NaN through.

        Their gradients are 0, so two things make them NaN. A factor of the whole tensor (a
        clipping norm, a learning rate) strikes all of them. An optimizer without an eps divides
        0 by 0 where decay is 0, or is so small that its square is, as that of absent weights
        always is; or infinity by infinity where decay is too large. So the smallest and the
        largest magnitude tell of all. Asking a GPU costs more than the cure. NaN in a weight
        that learns stays: it is for the training loop to see.
        """
        return not self.weight.is_cpu or any(math.isnan(probe.item()) for probe in self.probes)

    def _state(self) -> tuple[int, int, int]:
        return (self.weight._version, self.weight.data_ptr(), self.layer.mask_version)

    def _renew(self) -> None:
        """Bounds and copies, from the masks and the weight as they are now."""
        layer = self.layer
        self.lower, self.upper, self.gate = layer.lower, layer.upper, layer.gate
        self.before = self.held = None
        self.minus_zero = False
        if self.gate is None:
            return
        now = torch.empty_like(self.weight, requires_grad=False).copy_(self.weight)
        project(now, layer.present, layer.lower, layer.upper)
        still = self.gate == 0
        frozen = still if layer.present is None else still & (layer.present != 0)
        minus_zero = frozen & (now == 0) & (self.weight == 0) & self.weight.signbit()
        self.minus_zero = bool(minus_zero.any())
        if self.minus_zero:
            now[minus_zero] = -0.0
        if layer.fractional:
            self.before = self.held = now
        else:
            infinity = torch.full_like(now, torch.inf)
            self.lower = torch.where(still, now, -infinity if self.lower is None else self.lower)
            self.upper = torch.where(still, now, infinity if self.upper is None else self.upper)
            self.held = self.lower
        if not still.any():
            self.held = None
            return
        size = now.abs()
        places = int(size.where(still, torch.inf).argmin()), int(size.where(still, -1.0).argmax())
        weight = self.weight.detach()
        # By position on each axis: a weight whose memory is not contiguous has no flat view.
        self.probes = tuple(weight[np.unravel_index(place, weight.shape)] for place in places)


class _ZeroGradient:
    """A hook of one weight: where there is no connection or no plasticity, no gradient."""

    def __init__(self, layer: LinearLayer) -> None:
        self.layer = weakref.ref(layer)  # the weight owns this hook, and the layer the weight

    def __call__(self, weight: Tensor) -> None:
        layer, gradient = self.layer(), weight.grad
        gate = None if layer is None else layer.gate
        if gate is None or gradient is None:
            return
        if gradient.requires_grad:  # a backward pass with create_graph=True
            gradient.masked_fill_(gate == 0, 0.0)
        else:
            keep_where(gradient, gate, out=gradient)


def _refuse_computed(path: str, layer: nn.Module, owned: set[int]) -> None:
    """ValueError where constraints are of a tensor that torch computes from what the optimizer has.

    So do parametrizations, `weight_norm` and `spectral_norm`, of which no bound is known.
    """
    computed = [
        name for name in getattr(layer, "bounded_parameters", {}) if _is_computed(layer, name)
    ]
    if isinstance(layer, LinearLayer) and layer.is_constrained and layer.stored_weight is None:
        computed.append("weight")
    for name in computed:
        own = (p for n, p in layer.named_parameters() if name in n.replace(".", "_").split("_"))
        if any(id(parameter) in owned for parameter in own):
            raise ValueError(_computed(name, path))


def _computed(name: str, path: str) -> str:
    return (
        f"the {name} of {_named(path)} is computed from other parameters, so that no step can keep "
        "its constraints: attach it without a parametrization"
    )


def _replaced(path: str) -> str:
    return (
        f"the weight of {_named(path)} was replaced, and the optimizer holds the one before: make "
        "an optimizer of the new parameters and attach it"
    )


def _is_computed(layer: nn.Module, name: str) -> bool:
    return f"{name}_orig" in layer._parameters or name in getattr(layer, "parametrizations", ())


def _have_equal_masks(one: LinearLayer, other: LinearLayer) -> bool:
    pairs = [(one._buffers[name], other._buffers[name]) for name in MASKS]
    return one.dale == other.dale and all(
        a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs
    )


def _named(path: str) -> str:
    """A layer in words, by its path in the attached module."""
    return f"layer `{path}`" if path else "the layer"


def _bounded(layer: nn.Module) -> Iterator[tuple[str, nn.Parameter, tuple[float, float]]]:
    """The parameters of a layer itself that have a range, with their names and ranges."""
    for name, bounds in getattr(layer, "bounded_parameters", {}).items():
        parameter = layer._parameters.get(name)
        if parameter is not None:
            yield name, parameter, bounds


def _hook(weight: nn.Parameter, hook: _ZeroGradient) -> RemovableHandle:
    """Register a hook, on a weight that is frozen now too: it may learn later."""
    learns = weight.requires_grad
    weight.requires_grad_(True)
    handle: RemovableHandle = weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
    weight.requires_grad_(learns)
    return handle


def _owned(optimizer: Optimizer) -> set[int]:
    """The ids of the parameters that an optimizer holds."""
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


@dataclass(frozen=True)
class Check:
    """One constraint of one layer: how many weights it covers, and how many violate it."""

    layer: str  # the path of the layer in the module; "" is the module itself
    constraint: Literal["sign", "absent", "frozen", "range"]
    weights: int
    violations: int


@torch.no_grad()
def verify(module: nn.Module, initial: Mapping[str, Tensor] | None = None) -> list[Check]:
    """Count the weights that violate each constraint of each layer in `module`.

    `sign` (connections that have a sign; 0 and NaN: 0 obeys, NaN violates) and `absent` are of
    the effective weight. `frozen` compares connections of plasticity 0, as parameters, bit for
    bit with `initial`, and is listed only where that is given. `range` is of parameters that have
    one: alpha.

    Args:
        module: any module that holds LinearLayers, or one itself.
        initial: parameter name to its value when training began, e.g. a copy of `state_dict()`.

    Raises:
        ValueError: `initial` lacks a weight that has frozen connections, or has another shape.
    """
    checks = []
    for path, layer in module.named_modules():
        if isinstance(layer, LinearLayer):
            checks += _checks(path, layer, initial)
        for _, values, (low, high) in _bounded(layer):
            outside = ~((values >= low) & (values <= high))
            checks.append(Check(path, "range", values.numel(), int(outside.sum())))
    return checks


def _checks(path: str, layer: LinearLayer, initial: Mapping[str, Tensor] | None) -> list[Check]:
    weight, connected, checks = layer.effective_weight, layer.connected, []
    here = torch.ones_like(weight, dtype=torch.bool) if connected is None else connected
    if layer.sign is not None and layer.dale != "none":
        signed = here & (layer.sign != 0)
        wrong = signed & ~(weight * layer.sign >= 0)
        checks.append(Check(path, "sign", int(signed.sum()), int(wrong.sum())))
    stored, entries = weight.numel(), layer.input_dim * layer.output_dim
    if connected is not None:
        wrong = ~here & (weight != 0)
        checks.append(Check(path, "absent", int((~here).sum()), int(wrong.sum())))
    elif layer.is_wired:  # what is not stored cannot be violated
        checks.append(Check(path, "absent", entries - stored, 0))
    if layer.plasticity is not None and initial is not None:
        frozen = here & (layer.plasticity == 0)
        now = layer.stored_weight
        now = layer.weight if now is None else now
        name = f"{path}.weight" if path else "weight"
        if name not in initial and f"{name}_orig" in initial:  # it was pruned
            name = f"{name}_orig"
        moved = frozen & (_bits(now) != _bits(_of_start(initial, name, now)))
        checks.append(Check(path, "frozen", int(frozen.sum()), int(moved.sum())))
    return checks


def _of_start(initial: Mapping[str, Tensor], name: str, weight: Tensor) -> Tensor:
    if name not in initial:
        raise ValueError(f"`initial` lacks {name}, which has frozen weights")
    start = initial[name]
    if start.shape != weight.shape or start.dtype != weight.dtype:
        raise ValueError(
            f"`initial` has {name} as {tuple(start.shape)} {start.dtype}; "
            f"the module has {tuple(weight.shape)} {weight.dtype}"
        )
    return start.to(weight.device)


def _bits(values: Tensor) -> Tensor:
    """The bits of a tensor of floats, as integers of the same width."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return values.detach().contiguous().view(integers[values.element_size()])
