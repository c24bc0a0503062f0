"""Constraints that hold by themselves: attached to an optimizer, and verified on a module."""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.utils.hooks import RemovableHandle

from netbuild.layers.bounds import clamp_, keep_where
from netbuild.layers.linear import MASKS, LinearLayer

# An optimizer's hooks own its keeper; by weak references here a second `attach` finds it. A copied
# or unpickled optimizer has neither the hooks nor an entry.
_KEEPERS: weakref.WeakKeyDictionary[Optimizer, weakref.ref[_Keeper]] = weakref.WeakKeyDictionary()


def attach(module: nn.Module, optimizer: Optimizer) -> None:
    """Make the constraints of every layer in `module` hold after each `optimizer.step()`.

    From here on (a) gradients of absent and frozen weights are zeroed as they accumulate, so
    that clipping, logs and the optimizer's moments never see them; (b) a step moves a weight by
    its plasticity p times what the optimizer wants, whatever the optimizer: the weight becomes
    lerp(before, after, p), which is bit for bit the weight before where p = 0; (c) absent
    connections and wrong signs are then set to 0; (d) an LBFGS optimizer forgets its curvature,
    which was measured before that clamp; (e) a learnt alpha and learnt scales are clamped to
    their ranges.

    Calling it again changes nothing. Several optimizers may each own a part of the module. An
    optimizer may be given parameters of the module later, by `add_param_group` or in place of
    others: its next step zeroes their gradients and keeps their constraints, and from then on (a)
    holds for them too. Masks may be edited in place or replaced at any time. A copied
    (`copy.deepcopy`) or unpickled optimizer must be attached again. Pruning
    (`torch.nn.utils.prune`) before or after makes no difference: the constraints are those of the
    parameter that is pruned.

    Args:
        module: any module that holds LinearLayers, or one itself.
        optimizer: any torch optimizer, fused, foreach and closures included.

    Raises:
        ValueError: the optimizer holds no parameter of the module, for example because only one
            of the two was copied; a constrained weight (or alpha, or scales) is computed from
            parameters of the optimizer, as `torch.nn.utils.parametrize` does; two layers share a
            weight, but have different masks with plasticity between 0 and 1. Where such a state
            arises after the call, the next `optimizer.step()` raises before it changes anything.
            So it does where a weight was replaced (`load_state_dict(assign=True)`) and the
            optimizer still holds the old one.
    """
    owned = set(map(id, _held(optimizer)))
    if not any(id(p) in owned for p in module.parameters()):
        raise ValueError("the optimizer holds no parameter of this module")
    known = _KEEPERS.get(optimizer)
    keeper = None if known is None else known()
    if keeper is None:
        keeper = _Keeper(optimizer)
        _KEEPERS[optimizer] = weakref.ref(keeper)
    keeper.modules[module] = None
    keeper.update(optimizer)


class _Keeper:
    """Keeps the constraints of the layers whose weights one optimizer holds, around its steps.

    The optimizer owns its keeper, by its hooks, and the keeper its modules: when the optimizer is
    deleted, the hooks on the gradients are removed too.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.modules: dict[nn.Module, None] = {}  # in the order in which they were attached
        self.held: list[nn.Parameter] = []  # by the optimizer, at the last update
        self.weights: dict[LinearLayer, _ConstrainedWeight] = {}
        self.bounded: dict[tuple[nn.Module, str], tuple[nn.Parameter, tuple[float, float]]] = {}
        self.handles: list[RemovableHandle] = []
        weakref.finalize(self, _remove, self.handles).atexit = False
        optimizer.register_step_pre_hook(self.before_step)
        optimizer.register_step_post_hook(self.after_step)

    def update(self, optimizer: Optimizer) -> None:
        """Find every layer whose weight the optimizer holds; ValueError where none can be kept."""
        held = _held(optimizer)
        owned = set(map(id, held))
        self.bounded = {}
        for module in self.modules:
            for path, layer in module.named_modules():
                _refuse_computed(path, layer, owned)
                for name, parameter, bounds in _bounded(layer):
                    if id(parameter) in owned:
                        self.bounded[layer, name] = parameter, bounds
                if isinstance(layer, LinearLayer):
                    self.update_layer(path, layer, owned)
        self.held = held

    def update_layer(self, path: str, layer: LinearLayer, owned: set[int]) -> None:
        """Constrain a layer's weight if the optimizer holds it, and forget its old weight."""
        weight, known = layer.stored_weight, self.weights.get(layer)
        is_owned = weight is not None and id(weight) in owned
        if known is not None:
            if known.weight is weight and is_owned:
                return
            if not is_owned and id(known.weight) in owned:
                if weight is None:
                    raise _cannot_hold("weight", path)
                raise ValueError(
                    f"the weight of {_named(path)} was replaced, and the optimizer holds the old "
                    "one: make an optimizer of the new parameters and attach it"
                )
            known.handle.remove()
            del self.weights[layer]
        if weight is None or not is_owned or not layer.is_constrained:
            return
        if not self.shares(path, layer, weight):
            self.add(layer, weight)

    def shares(self, path: str, layer: LinearLayer, weight: nn.Parameter) -> bool:
        """Whether another layer with the same masks constrains this weight already.

        ValueError where the masks differ, so that two fractions of each update would apply.
        """
        for other, known in self.weights.items():
            if known.weight is weight and layer.fractional and other.fractional:
                if not _have_equal_masks(layer, other):
                    raise ValueError(
                        f"{_named(path)} shares its weight with a layer that has other masks; only "
                        "one of the two may have plasticity between 0 and 1"
                    )
                return True
        return False

    def add(self, layer: LinearLayer, weight: nn.Parameter) -> None:
        """Constrain a weight, whose gradient may have accumulated already."""
        # The hook refers to the layer weakly: the weight owns the hook, and the layer the weight.
        hook = partial(_zero_gradient, weakref.ref(layer))
        learns = weight.requires_grad
        weight.requires_grad_(True)  # a weight that does not learn now may learn later
        handle = weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
        weight.requires_grad_(learns)
        self.weights[layer] = _ConstrainedWeight(layer, weight, handle)
        self.handles.append(handle)
        with torch.no_grad():
            hook(weight)

    def is_stale(self, optimizer: Optimizer) -> bool:
        """Whether the optimizer or a layer has other parameters than at the last update."""
        held = _held(optimizer)
        if len(held) != len(self.held) or not all(map(operator.is_, held, self.held)):
            return True
        for layer, known in self.weights.items():
            weight = layer._parameters.get("weight")
            if weight is not known.weight and layer.stored_weight is not known.weight:
                return True
        for (module, name), (parameter, _) in self.bounded.items():
            if module._parameters.get(name) is not parameter:
                return True
        return False

    @torch.no_grad()
    def before_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if self.is_stale(optimizer):
            self.update(optimizer)
        for weight in self.weights.values():
            weight.before_step()

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for weight in self.weights.values():
            weight.after_step()
        for parameter, bounds in self.bounded.values():
            parameter.clamp_(*bounds)
        if (self.weights or self.bounded) and isinstance(optimizer, LBFGS):
            optimizer.state.clear()


class _ConstrainedWeight:
    """One weight whose constraints are kept after each step.

    Where every p is 0 or 1, absent and frozen weights are fixed between equal bounds, and one clamp
    is all that a step needs. Where some p lies between, a copy of the weight is kept. Bounds and
    copy are made again when the weight's version shows that it was changed since the last step. A
    write to `.data` does not change the version; it counts as a part of the next step's update.
    """

    update_mask: Tensor | None  # 0 where the weight is absent or frozen
    lower: Tensor | None
    upper: Tensor | None
    before: Tensor | None  # the weight before this step, if some p is fractional
    fixed: Tensor | None  # has the values of absent and frozen weights; None if there are none
    minus_zero: bool  # some fixed weight is -0.0, which a lerp or a clamp may turn into 0.0
    extremes: tuple[Tensor, ...]  # views of the fixed weights of smallest and largest magnitude

    def __init__(self, layer: LinearLayer, weight: nn.Parameter, handle: RemovableHandle) -> None:
        self.layer = layer
        self.weight = weight
        self.handle = handle
        self.seen = (-1, -1, -1)

    def before_step(self) -> None:
        """Derive the bounds and copies again if weight or masks have changed."""
        self.layer.follow_masks()
        if self.seen != self._versions():
            self._derive()

    def after_step(self) -> None:
        """Undo the part of the update that p withholds, then clamp."""
        weight = self.weight
        if self.before is not None:
            assert self.update_mask is not None
            torch.lerp(self.before, weight, self.update_mask, out=weight)
        if self.lower is not None:
            torch.clamp(weight, self.lower, self.upper, out=weight)
        if self.fixed is not None and (self.minus_zero or self._some_fixed_may_be_nan()):
            assert self.update_mask is not None
            torch.where(self.update_mask == 0, self.fixed, weight, out=weight)
        if self.before is not None:
            self.before.copy_(weight)
        self.seen = self._versions()

    def _some_fixed_may_be_nan(self) -> bool:
        """Whether an optimizer may have written NaN into a fixed weight.

        A lerp and a clamp pass NaN on. The `torch.where` that repairs it takes as long as all the
        rest of this step, so that it runs only where it must. The gradients of fixed weights are
        0, which leaves an optimizer two ways to write NaN. If a factor of the whole tensor (a
        clipping norm, a learning rate) is NaN, all fixed weights become NaN. An optimizer without
        an eps computes 0/0 where the decay term is 0 or its square underflows, and inf/inf where
        it overflows: the weight of the smallest magnitude underflows first, that of the largest
        overflows first. So these two weights show what happened to any of them. On a GPU reading
        them would cost more than the repair. NaN in a weight that learns stays, for the training
        loop to see.
        """
        if not self.weight.is_cpu:
            return True
        return any(math.isnan(value.item()) for value in self.extremes)

    def _versions(self) -> tuple[int, int, int]:
        return (self.weight._version, self.weight.data_ptr(), self.layer.mask_version)

    def _derive(self) -> None:
        """Bounds and copies, from the masks and the weight as they are now."""
        layer = self.layer
        self.lower, self.upper, self.update_mask = layer.lower, layer.upper, layer.update_mask
        self.before = self.fixed = None
        self.minus_zero = False
        if self.update_mask is None:
            return
        now = torch.empty_like(self.weight, requires_grad=False).copy_(self.weight)
        clamp_(now, layer.present, layer.lower, layer.upper)
        still = self.update_mask == 0
        frozen = still if layer.present is None else still & (layer.present != 0)
        minus_zero = frozen & (now == 0) & (self.weight == 0) & self.weight.signbit()
        self.minus_zero = bool(minus_zero.any())
        if self.minus_zero:
            now[minus_zero] = -0.0
        if layer.fractional:
            self.before = self.fixed = now
        else:
            infinity = torch.full_like(now, torch.inf)
            self.lower = torch.where(still, now, -infinity if self.lower is None else self.lower)
            self.upper = torch.where(still, now, infinity if self.upper is None else self.upper)
            self.fixed = self.lower
        if not still.any():
            self.fixed = None
            return
        size = now.abs()
        places = int(size.where(still, torch.inf).argmin()), int(size.where(still, -1.0).argmax())
        weight = self.weight.detach()
        # By position on each axis: a weight whose memory is not contiguous has no flat view.
        self.extremes = tuple(weight[np.unravel_index(place, weight.shape)] for place in places)


def _zero_gradient(reference: weakref.ref[LinearLayer], weight: Tensor) -> None:
    """Zero the gradient of absent and frozen entries, after it has accumulated in a weight."""
    layer, gradient = reference(), weight.grad
    mask = None if layer is None else layer.update_mask
    if mask is None or gradient is None:
        return
    if gradient.requires_grad:  # a backward pass with create_graph=True
        gradient.masked_fill_(mask == 0, 0.0)
    else:
        keep_where(gradient, mask, out=gradient)


def _refuse_computed(path: str, layer: nn.Module, owned: set[int]) -> None:
    """ValueError where torch computes a constrained tensor from parameters of the optimizer.

    Parametrizations, `weight_norm` and `spectral_norm` do; no bounds of theirs are known.
    """
    parametrized = getattr(layer, "parametrizations", ())
    computed = [
        name
        for name in getattr(layer, "bounded_parameters", {})
        if f"{name}_orig" in layer._parameters or name in parametrized
    ]
    if isinstance(layer, LinearLayer) and layer.is_constrained and layer.stored_weight is None:
        computed.append("weight")
    for name in computed:
        sources = (p for n, p in layer.named_parameters() if name in n.replace(".", "_").split("_"))
        if any(id(parameter) in owned for parameter in sources):
            raise _cannot_hold(name, path)


def _cannot_hold(name: str, path: str) -> ValueError:
    return ValueError(
        f"the {name} of {_named(path)} is computed from other parameters, so that no step can keep "
        "its constraints: attach it without a parametrization"
    )


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


def _held(optimizer: Optimizer) -> list[nn.Parameter]:
    """All parameters that an optimizer holds."""
    return [p for group in optimizer.param_groups for p in group["params"]]


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

    `sign` (connections that have a sign; 0 obeys it, NaN violates it) and `absent` judge the
    effective weight. `frozen` compares connections of plasticity 0, as parameters, bit for
    bit with `initial`, and is listed only where that is given. `range` judges parameters that have
    a range, as alpha and scales do.

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
    there = torch.ones_like(weight, dtype=torch.bool) if connected is None else connected
    if layer.sign is not None and layer.dale != "none":
        signed = there & (layer.sign != 0)
        wrong = signed & ~(weight * layer.sign >= 0)
        checks.append(Check(path, "sign", int(signed.sum()), int(wrong.sum())))
    stored, entries = weight.numel(), layer.input_dim * layer.output_dim
    if connected is not None:
        wrong = ~there & (weight != 0)
        checks.append(Check(path, "absent", int((~there).sum()), int(wrong.sum())))
    elif layer.is_wired:  # absent weights are not stored, so none of them can be wrong
        checks.append(Check(path, "absent", entries - stored, 0))
    if layer.plasticity is not None and initial is not None:
        frozen = there & (layer.plasticity == 0)
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
