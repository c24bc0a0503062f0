"""Constraints that hold by themselves: attached to an optimizer, and proven on a module."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.utils.hooks import RemovableHandle

from netbuild.layers.bounds import keep_where
from netbuild.layers.linear import LinearLayer

_KEEPER = "_netbuild_keeper"  # an optimizer's attribute: copying or pickling one leaves it behind


def attach(module: nn.Module, optimizer: Optimizer) -> None:
    """Make the constraints of every LinearLayer in `module` hold after each `optimizer.step()`.

    From here on (a) gradients of absent and frozen weights are zeroed as they accumulate, so
    that clipping, logs and the optimizer's moments never see them; (b) a step moves a weight by
    its plasticity p times what the optimizer wants, whatever the optimizer: the weight goes to
    lerp(before, after, p), which is the very bits of before where p = 0; (c) absent connections
    and wrong signs are then set to 0; (d) an LBFGS forgets its curvature, which was measured on
    the other side of that projection.

    Calling it again changes nothing. Several optimizers may each own a part of the module. It
    acts on the parameters that the optimizer holds now: attach again after `add_param_group`,
    and attach a copy (`copy.deepcopy`) or an unpickled optimizer anew.

    Args:
        module: any module that holds LinearLayers, or one itself.
        optimizer: any torch optimizer, fused, foreach and closures included.

    Raises:
        ValueError: the optimizer holds no parameter of the module, as after a copy of one alone.
    """
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in owned for p in module.parameters()):
        raise ValueError("the optimizer holds no parameter of this module")
    keeper = vars(optimizer).get(_KEEPER)
    if keeper is None:
        keeper = _Keeper(optimizer)
        setattr(optimizer, _KEEPER, keeper)
    for layer in module.modules():
        if isinstance(layer, LinearLayer) and id(layer.weight) in owned:
            keeper.add(layer)


class _Keeper:
    """What one optimizer does, around its step, to the layers whose weights it holds.

    The optimizer owns its keeper, the keeper its layers: when the optimizer goes, the hooks on
    the gradients go too.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.layers: list[LinearLayer] = []
        self.before: dict[LinearLayer, Tensor] = {}  # weights before this step, where p matters
        self.handles: list[RemovableHandle] = []
        weakref.finalize(self, _remove, self.handles).atexit = False
        optimizer.register_step_pre_hook(self.remember)
        optimizer.register_step_post_hook(self.project)

    def add(self, layer: LinearLayer) -> None:
        gated = layer.rate is not None or layer.present is not None
        if layer in self.layers or not (gated or layer.lower is not None):
            return
        self.layers.append(layer)
        if layer.rate is not None:
            self.before[layer] = torch.empty_like(layer.weight, requires_grad=False)
        if gated:
            self.handles.append(_hook(layer.weight, _ZeroGradient(layer)))

    @torch.no_grad()
    def remember(self, _optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for layer, before in self.before.items():
            weight = layer.weight
            if before.dtype != weight.dtype or before.device != weight.device:
                before = self.before[layer] = torch.empty_like(weight, requires_grad=False)
            if layer.present is None:
                before.copy_(weight)
            else:
                keep_where(weight, layer.present, out=before)

    @torch.no_grad()
    def project(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        for layer in self.layers:
            weight, rate = layer.weight, layer.rate
            if rate is None:
                layer.enforce_constraints()
                continue
            # With the pinned weights at 0, not even NaN survives a lerp whose p is 0.
            keep_where(weight, rate, out=weight)
            torch.lerp(self.before[layer], weight, rate, out=weight)
            if layer.lower is not None:
                torch.clamp(weight, layer.lower, layer.upper, out=weight)
        if self.layers and isinstance(optimizer, LBFGS):
            optimizer.state.clear()


class _ZeroGradient:
    """A hook of one weight: where there is no connection or no plasticity, no gradient."""

    def __init__(self, layer: LinearLayer) -> None:
        self.layer = weakref.ref(layer)  # the weight owns this hook, and the layer the weight

    def __call__(self, weight: Tensor) -> None:
        layer, gradient = self.layer(), weight.grad
        if layer is None or gradient is None:
            return
        gate = layer.present if layer.rate is None else layer.rate
        assert gate is not None
        if gradient.requires_grad:  # a backward pass with create_graph=True
            gradient.masked_fill_(gate == 0, 0.0)
        else:
            keep_where(gradient, gate, out=gradient)


def _hook(weight: nn.Parameter, hook: _ZeroGradient) -> RemovableHandle:
    """Register a hook, on a weight that is frozen now too: it may learn later."""
    learns = weight.requires_grad
    weight.requires_grad_(True)
    handle: RemovableHandle = weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
    weight.requires_grad_(learns)
    return handle


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


@dataclass(frozen=True)
class Check:
    """One constraint of one layer: how many weights it covers, and how many violate it."""

    layer: str  # the path of the layer in the module; "" is the module itself
    constraint: Literal["sign", "absent", "frozen"]
    weights: int
    violations: int


@torch.no_grad()
def verify(module: nn.Module, initial: Mapping[str, Tensor] | None = None) -> list[Check]:
    """Count the weights that violate each constraint of each LinearLayer in `module`.

    `sign` (connections that have a sign; 0 and NaN: 0 obeys, NaN violates) and `absent` are of
    the effective weight. `frozen` compares connections of plasticity 0, as parameters, bit for
    bit with `initial`, and is listed only where that is given.

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
    return checks


def _checks(path: str, layer: LinearLayer, initial: Mapping[str, Tensor] | None) -> list[Check]:
    weight, connected, checks = layer.effective_weight, layer.connected, []
    here = torch.ones_like(weight, dtype=torch.bool) if connected is None else connected
    if layer.sign is not None and layer.dale != "none":
        signed = here & (layer.sign != 0)
        wrong = signed & ~(weight * layer.sign >= 0)
        checks.append(Check(path, "sign", int(signed.sum()), int(wrong.sum())))
    if connected is not None:
        wrong = ~here & (weight != 0)
        checks.append(Check(path, "absent", int((~here).sum()), int(wrong.sum())))
    if layer.plasticity is not None and initial is not None:
        frozen = here & (layer.plasticity == 0)
        name = f"{path}.weight" if path else "weight"
        moved = frozen & (_bits(layer.weight) != _bits(_of_start(initial, name, layer.weight)))
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
