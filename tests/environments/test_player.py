"""How an environment is reset: its variables come back, and what is not known is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from netbuild.environments.player import Player, Snapshot, Unknown, copied
from netbuild.environments.recipe import Environment
from netbuild.environments.registry import quietly

PERCEPTUAL = Environment("PerceptualDecisionMaking-v0")


@contextmanager
def environment(env: Environment = PERCEPTUAL) -> Iterator[Any]:
    with quietly():
        yield Player(env, 20, 0).base


def test_variables_come_back_and_later_ones_go() -> None:
    with environment() as base:
        before = {name: repr(value) for name, value in vars(base).items()}
        snapshot = Snapshot(base)
        base.new_trial()
        base.timing["fixation"] = 7
        base.cohs.append(3)
        base.choices[:] = 0
        del base.theta
        snapshot.restore()
        assert {name: repr(value) for name, value in vars(base).items()} == before
        base.cohs.append(3)  # nor does a change after it reach what is kept
        snapshot.restore()
        assert {name: repr(value) for name, value in vars(base).items()} == before


def test_random_numbers_must_be_replaced() -> None:
    with environment() as base:
        snapshot = Snapshot(base)
        snapshot.restore()
        assert not snapshot.draws_differ()
        base.seed(3)
        assert snapshot.draws_differ()
        base.timing["delay"] = _Held()
        assert snapshot.draws_differ()


class _Held:
    """An object of a class that nobody knows."""


@pytest.mark.parametrize(
    "held",
    [
        _Held(),
        [1, (2, _Held())],
        {"a": {"b": _Held()}},
        np.array([_Held()], dtype=object),
        np.random.default_rng(0),
        iter([1, 2]),
    ],
)
def test_what_is_not_known_is_refused(held: Any) -> None:
    with environment() as base:
        base.held = held
        with pytest.raises(Unknown):
            Snapshot(base)
        state = [1, 2]
        base.held = lambda: state.pop()
        with pytest.raises(Unknown):
            Snapshot(base)
        base.held = lambda: base.rng.rand()
        Snapshot(base)


def test_an_environment_that_is_not_known_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Snapshot, outer: Any) -> None:
        raise Unknown("anything")

    monkeypatch.setattr(Snapshot, "__init__", refuse)
    with quietly():
        player = Player(PERCEPTUAL, 20, 0, resettable=True)
    assert not player.reset(1)
    assert not Player(PERCEPTUAL, 20, 0).reset(1)


def test_copies_share_nothing_that_changes() -> None:
    inner = np.arange(3)
    value = {"a": [inner, (1, [2])], "b": {3}, "c": "text"}
    found = copied(value)
    assert found.keys() == value.keys()
    assert found["a"][0] is not inner
    assert np.array_equal(found["a"][0], inner)
    assert found["a"][1] == (1, [2])
    assert found["a"][1][1] is not value["a"][1][1]  # type: ignore[index]
    assert found["b"] is not value["b"]
