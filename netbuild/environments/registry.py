"""The environments that neurogym registers, and instances of them. Imports neurogym, lazily."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from netbuild.errors import Exit, NetbuildError

INSTALL = "pip install 'netbuild[tasks]'"

Creator = Callable[..., Any]


@cache
def creators() -> dict[str, str]:
    """Every registered environment: its name, and where neurogym defines it.

    Raises NetbuildError (exit 10) where neurogym is not installed.
    """
    try:
        from neurogym.envs.registration import ALL_EXTENDED_ENVS
    except ImportError as error:
        what = f"tasks of `type: neurogym` need neurogym, which cannot be imported ({error})"
        raise NetbuildError(what, Exit.MISSING, INSTALL) from None
    return dict(ALL_EXTENDED_ENVS)


def environment_names() -> list[str]:
    """The names of all registered environments, sorted; raises as `creators` does."""
    return sorted(creators())


@cache
def creator(name: str) -> Creator:
    """The class, or the function, that makes the environment of a registered name.

    Raises ValueError for any other name: nothing is ever looked up or imported by it.
    """
    known = creators()
    if name not in known:
        raise ValueError(f"neurogym registers no environment {name}")
    from gymnasium.envs.registration import load_env_creator

    found: Creator = load_env_creator(known[name])
    return found


@contextmanager
def quietly() -> Iterator[None]:
    """Without gymnasium's own warnings, which are about neurogym's code and not about a user's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(\x1b\[\d+m)?WARN: ")
        yield


def signature_of(make: Creator) -> dict[str, inspect.Parameter]:
    """The arguments of an environment's class or function, by name."""
    # The classes have a metaclass, whose call would be described otherwise.
    found = inspect.signature(make.__init__ if inspect.isclass(make) else make)
    return {name: parameter for name, parameter in found.parameters.items() if name != "self"}
