"""The state of an optimizer: saved by name, loaded by what torch keeps, fitted to new options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from netbuild.builder import build
from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Network
from netbuild.training.optimizer_state import fit_state, load_optimizer, optimizer_tensors

Optimizer = torch.optim.Optimizer
KINDS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"momentum": 0.9, "fused": True}),
    (torch.optim.Adam, {"fused": True}),
    (torch.optim.Adam, {"amsgrad": True, "fused": False}),
    (torch.optim.AdamW, {"fused": True}),
    (torch.optim.RMSprop, {}),
    (torch.optim.RMSprop, {"momentum": 0.5}),
    (torch.optim.Adagrad, {"fused": True}),
    (torch.optim.Adagrad, {}),
    (torch.optim.NAdam, {}),  # netbuild has no such optimizer; nothing here knows its keys
]


def trained(small: Path, kind: type[Optimizer], words: dict[str, Any]) -> tuple[Network, Optimizer]:
    """A network, its optimizer and what two steps have made of them."""
    network = build(small)
    optimizer = kind(network.parameters(), lr=0.01, **words)  # type: ignore[call-arg]
    step(network, optimizer, 0)
    step(network, optimizer, 1)
    return network, optimizer


def step(network: Network, optimizer: Optimizer, number: int) -> None:
    network.set_step(number)
    optimizer.zero_grad()
    network(torch.ones(3, 5) + number).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_a_state_comes_back_by_name(
    small: Path, kind: type[Optimizer], words: dict[str, Any]
) -> None:
    network, optimizer = trained(small, kind, words)
    tensors, about = optimizer_tensors(network, optimizer)
    other = build(small)
    fresh = kind(other.parameters(), lr=0.01, **words)  # type: ignore[call-arg]
    load_optimizer(other, fresh, tensors, about, "here")
    again, _ = optimizer_tensors(other, fresh)
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    assert all(a.dtype == again[n].dtype for n, a in tensors.items())
    for name, parameter in other.named_parameters():
        state = optimizer.state.get(network.get_parameter(name), {})
        for key, value in fresh.state.get(parameter, {}).items():
            assert value.device == state[key].device


@pytest.mark.parametrize(
    ("kind", "words"), [case for case in KINDS if case[0] in (torch.optim.Adam, torch.optim.SGD)]
)
def test_a_state_of_other_options_is_refused(
    small: Path, kind: type[Optimizer], words: dict[str, Any]
) -> None:
    """`load_optimizer` takes the options of the optimizer at its word."""
    network, optimizer = trained(small, kind, words)
    tensors, about = optimizer_tensors(network, optimizer)
    option = "amsgrad" if kind is torch.optim.Adam else "momentum"
    optimizer.param_groups[0][option] = type(words.get(option, True))(not words.get(option))
    if not tensors:
        return  # a parameter without a state has never had a gradient
    with pytest.raises(NetbuildError, match="does not fit the spec") as caught:
        load_optimizer(network, optimizer, tensors, about, "here")
    assert caught.value.exit_code == Exit.RUN


def test_a_parameter_that_begins_with_a_state_has_one(small: Path) -> None:
    """Adagrad makes its state before the first step, so a checkpoint always has it."""
    network, optimizer = trained(small, torch.optim.Adagrad, {})
    _, about = optimizer_tensors(network, optimizer)
    with pytest.raises(NetbuildError, match=r"no `.*\.(step|sum)`"):
        load_optimizer(network, optimizer, {}, about, "here")


OPTIONS = [
    (torch.optim.SGD, {"fused": True}, "momentum", 0.9, "momentum_buffer"),
    (torch.optim.Adam, {"fused": True}, "amsgrad", True, "max_exp_avg_sq"),
    (torch.optim.AdamW, {"fused": True}, "amsgrad", True, "max_exp_avg_sq"),
    (torch.optim.RMSprop, {}, "momentum", 0.5, "momentum_buffer"),
]


@pytest.mark.parametrize(("kind", "words", "option", "value", "key"), OPTIONS)
def test_an_option_is_turned_on_and_off_between_steps(
    small: Path, kind: type[Optimizer], words: dict[str, Any], option: str, value: Any, key: str
) -> None:
    network, optimizer = trained(small, kind, words)
    off = optimizer.param_groups[0][option]
    for number, now in enumerate((value, off, value), 2):
        optimizer.param_groups[0][option] = now
        fit_state(optimizer)
        step(network, optimizer, number)
        kept = [key in state for state in optimizer.state.values()]
        assert all(kept) if now else not any(kept)
        assert all(p.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(("kind", "words", "option", "value", "key"), OPTIONS)
def test_an_option_that_is_turned_on_counts_from_there(
    small: Path, kind: type[Optimizer], words: dict[str, Any], option: str, value: Any, key: str
) -> None:
    """The new state is what it would be had it been zero all the time."""
    network, optimizer = trained(small, kind, words)
    other, expected = trained(small, kind, words | {option: value})
    other.load_state_dict(network.state_dict())
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        state = {k: v.clone() for k, v in optimizer.state.get(mine, {}).items() if v is not None}
        expected.state[theirs] = state | {key: torch.zeros_like(theirs)}
    optimizer.param_groups[0][option] = value
    fit_state(optimizer)
    step(network, optimizer, 2)
    step(other, expected, 2)
    assert all(map(torch.equal, network.parameters(), other.parameters()))


def test_a_parameter_with_a_first_gradient_after_others(small: Path) -> None:
    """Torch's fused SGD takes a momentum buffer of every parameter or of none."""
    network = build(small)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    network.hidden(torch.ones(3, 5)).sum().backward()
    optimizer.step()
    fit_state(optimizer)
    step(network, optimizer, 1)
    assert len(optimizer.state) == len(list(network.parameters()))
