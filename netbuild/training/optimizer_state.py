"""What an optimizer remembers of each parameter: saved, loaded again, and fitted to new options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network
from netbuild.training.guard import are_finite

LENGTH = 2  # of the small parameter that shows which state an optimizer keeps
State = dict[str, Tensor]  # of one parameter, by torch's own keys: `step`, `exp_avg`, ...


def optimizer_tensors(
    network: Network, optimizer: torch.optim.Optimizer
) -> tuple[State, dict[str, Any]]:
    """The state of an optimizer as tensors named `PARAMETER.KEY`, and its groups as plain data."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    tensors: State = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{names[id(parameter)]}.{key}"] = value.detach().cpu().contiguous()
    groups = [
        {key: value for key, value in group.items() if isinstance(value, (int, float, bool, str))}
        | {"params": [names[id(parameter)] for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]
    return tensors, {"type": type(optimizer).__name__, "groups": groups}


def load_optimizer(
    network: Network,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    where: str,
) -> None:
    """Put a saved state into an optimizer of the same kind, over the same parameters.

    `tensors` and `about` are what `optimizer_tensors` returned. The optimizer must have the options
    of the checkpoint's stage, because they decide which tensors it keeps for a parameter. A
    parameter that never had a gradient may have no state. Raises NetbuildError (exit 5), with
    `where` in its message.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    own = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    try:
        kind, saved = about["type"], [list(group["params"]) for group in about["groups"]]
    except (KeyError, TypeError):
        raise NetbuildError(f"{where} does not say whose state it is", Exit.RUN) from None
    if kind != type(optimizer).__name__:
        what = f"{where} is the state of {kind}, the spec has {type(optimizer).__name__}"
        raise NetbuildError(what, Exit.RUN)
    if saved != own:
        raise NetbuildError(f"{where} is the state of other parameters", Exit.RUN)
    refuse_infinite_state(tensors, Exit.RUN, f"in {where}")
    states: defaultdict[str, State] = defaultdict(dict)
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition(".")
        states[parameter_name][key] = value
    for group in optimizer.param_groups:
        expected = _state_of_one(optimizer, group)
        for parameter in group["params"]:
            name = names[id(parameter)]
            state = states.pop(name, {})
            if not state and not optimizer.state.get(parameter):
                continue
            _refuse_other_state(name, parameter, state, expected, where)
            optimizer.state[parameter] = {
                key: value.to(expected[key].device) for key, value in state.items()
            }
    if states:
        name, state = min(states.items())
        raise NetbuildError(f"{where} does not fit the spec: see `{name}.{min(state)}`", Exit.RUN)


def refuse_infinite_state(tensors: Mapping[str, Tensor], exit_code: Exit, when: str) -> None:
    """Raise NetbuildError if the state of an optimizer holds NaN or Inf.

    The square of a gradient that is finite may be Inf; its weight then stays where it is for ever.
    """
    for name, values in tensors.items():
        if not are_finite([values]):
            raise NetbuildError(f"the optimizer's `{name}` holds NaN or Inf {when}", exit_code)


def fit_state(optimizer: torch.optim.Optimizer) -> None:
    """Fit the state of an optimizer to options that have just changed, between two steps.

    Tensors that the new options need begin at zero, as torch begins them; tensors that they do not
    use are removed. So momentum or `amsgrad` may be turned on and off in the middle of a training.
    """
    for group in optimizer.param_groups:
        keys = [*_state_of_one(optimizer, group)]
        states = {p: optimizer.state.get(p) or {} for p in group["params"]}
        if "step" in keys:  # a parameter without a gradient so far has no state
            states = {parameter: state for parameter, state in states.items() if state}
        else:  # SGD, whose fused step needs a momentum buffer for all parameters or for none
            keys = [key for key in keys if any(key in state for state in states.values())]
        for parameter, state in states.items():
            optimizer.state.pop(parameter, None)
            if keys:
                optimizer.state[parameter] = {
                    key: state[key] if key in state else torch.zeros_like(parameter) for key in keys
                }


def _state_of_one(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> State:
    """The state that this kind of optimizer keeps for a parameter under the options of a group.

    It is found by one step of the same optimizer on a parameter of `LENGTH` numbers. A tensor of
    that shape is kept for each number of a parameter; a count of steps has the shape ().
    """
    like = group["params"][0]
    numbers = nn.Parameter(torch.zeros(LENGTH, dtype=like.dtype, device=like.device))
    numbers.grad = torch.zeros_like(numbers)
    fused = {"fused": group["fused"]} if "fused" in group else {}
    twin = type(optimizer)([numbers], lr=0.0, **fused)  # type: ignore[call-arg]
    twin.param_groups[0] |= {key: value for key, value in group.items() if key != "params"}
    twin.step()
    return {key: v for key, v in twin.state[numbers].items() if isinstance(v, Tensor)}


def _refuse_other_state(
    name: str, parameter: Tensor, state: State, expected: State, where: str
) -> None:
    """Raise NetbuildError unless a saved state has the keys, shapes and types that torch keeps."""
    if odd := sorted(state.keys() ^ expected.keys()):
        missing = "no " if odd[0] in expected else ""
        what = f"{where} does not fit the spec: {missing}`{name}.{odd[0]}`"
        raise NetbuildError(what, Exit.RUN)
    for key, value in state.items():
        shape = parameter.shape if expected[key].shape == (LENGTH,) else expected[key].shape
        refuse_misfit(f"{name}.{key}", value, shape, expected[key].dtype, where)


def refuse_misfit(
    name: str, tensor: Tensor, shape: torch.Size, dtype: torch.dtype, where: str
) -> None:
    """Raise NetbuildError (exit 5) unless a tensor from `where` has this shape and type."""
    if tensor.shape != shape:
        what = f"`{name}` is {tuple(tensor.shape)}, expected {tuple(shape)}"
    elif tensor.dtype != dtype:
        what = f"`{name}` is {tensor.dtype}, expected {dtype}"
    else:
        return
    raise NetbuildError(f"{where} does not fit the spec: {what}", Exit.RUN)
