"""An environment as good as new: its variables as they were when it was made, kept and given back.

That is several times cheaper than another one. An environment that holds anything whose state
cannot be given back for certain is not renewed at all.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

PLAIN = (type(None), bool, int, float, str, bytes, range, np.generic)


class Unknown(Exception):
    """An object whose state nothing here can vouch for."""


class Snapshot:
    """The variables of an environment and of all objects in it. Raises Unknown."""

    def __init__(self, outer: Any) -> None:
        self._parts: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._functions: list[types.FunctionType] = []
        self._note(outer)
        for function in self._functions:
            self._check(function)

    def restore(self) -> None:
        """Give every object the variables that it had, and take away those that came later."""
        for part, kept in self._parts.values():
            now = vars(part)
            now.clear()
            now.update((name, copied(value)) for name, value in kept.items())

    def draws_anew(self) -> bool:
        """Whether no object has the random numbers that it had: seeding has given it others."""
        return not any(
            isinstance(value, np.random.RandomState) and vars(part).get(name) is value
            for part, kept in self._parts.values()
            for name, value in kept.items()
        )

    def _note(self, part: Any) -> None:
        if id(part) in self._parts:
            return
        mine = dict(vars(part))
        self._parts[id(part)] = part, mine
        for value in mine.values():
            self._look_into(value)
        mine.update((name, copied(value)) for name, value in mine.items())

    def _look_into(self, value: Any) -> None:
        if isinstance(value, (list, tuple, set, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                self._look_into(item)
        elif isinstance(value, types.FunctionType):
            self._functions.append(value)
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise Unknown("an array of objects")
        elif not _is_kept(value):
            if not _is_theirs(value):
                raise Unknown(type(value).__name__)
            self._note(value)

    def _check(self, function: types.FunctionType) -> None:
        """Refuse a function that holds more than an object of the environment or plain values."""
        held = [cell.cell_contents for cell in function.__closure__ or ()]
        if not all(isinstance(value, PLAIN) or id(value) in self._parts for value in held):
            raise Unknown(function.__qualname__)


def copied(value: Any) -> Any:
    """A value with all containers and arrays in it copied; objects are themselves."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(copied(item) for item in value)
    return value


def _is_kept(value: Any) -> bool:
    """What does not change, but for random numbers, which seeding replaces (see `draws_anew`)."""
    from gymnasium.spaces import Box, Discrete

    # A space draws from numbers of its own only when it is sampled, which no trial does.
    return isinstance(value, (*PLAIN, np.random.RandomState, Box, Discrete))


def _is_theirs(value: Any) -> bool:
    return type(value).__module__.split(".")[0] in ("neurogym", "gymnasium") and hasattr(
        value, "__dict__"
    )
