"""Checks of a caller's arguments: names, numbers and arrays; errors suggest the nearest name."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from netbuild import kernels
from netbuild.wording import nearest

Made = TypeVar("Made")


def unknown(what: str, word: object, known: Iterable[str]) -> ValueError:
    """The error for a word that is none of the `known` ones; it names the nearest of them."""
    words = list(known)
    near = nearest(str(word), words, cutoff=0.5)
    hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(words) or 'none'}"
    return ValueError(f"unknown {what} {word!r}; {hint}")


def one_of(what: str, word: object, known: Iterable[str]) -> str:
    """`word`, if it is one of the `known` ones."""
    words = list(known)
    if not isinstance(word, str) or word not in words:
        raise unknown(what, word, words)
    return word


def known_keys(what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse the first key of `given` that is none of the `known` ones."""
    words = list(known)
    for key in given:
        if key not in words:
            raise unknown(f"key of {what}", key, words)


def made_from(
    make: Callable[..., Made], what: str, given: Mapping[str, Any], needed: tuple[str, ...]
) -> Made:
    """`make(**given)`; ValueError for a key that it does not take, and for a needed one missing."""
    known_keys(what, given, inspect.signature(make).parameters)
    missing = [key for key in needed if key not in given]
    if missing:
        raise ValueError(f"{what} needs {' and '.join(missing)}")
    return make(**given)


def flag(what: str, value: object) -> bool:
    """`value`, if it is True or False and not merely truthy."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be true or false; got {value!r}")
    return value


def dimension(what: str, value: Any) -> int:
    """`value` as a positive int; True is not 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{what} must be a positive whole number; got {value!r}")
    return number


def array(what: str, value: Any) -> Tensor:
    """A float64 copy on the CPU of a numpy array, a tensor or nested lists of finite numbers."""
    source = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    try:
        numbers = np.asarray(source)
    except ValueError:
        raise ValueError(f"{what} is ragged: its rows differ in length") from None
    if numbers.dtype.kind not in "biuf":
        raise TypeError(f"{what} must hold real numbers; got {numbers.dtype} data")
    copy = torch.from_numpy(np.array(numbers, dtype=np.float64, order="C"))
    if not all_finite(copy):
        raise ValueError(f"{what} holds NaN or Inf")
    return copy


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or Inf; a finite sum proves it, without a look at each of them."""
    return math.isfinite(values.sum().item()) or bool(torch.isfinite(values).all())


def shaped(what: str, value: Any, **shape: int) -> Tensor:
    """`array(what, value)`, if it has this shape; the axes are named in the error."""
    numbers = array(what, value)
    wanted = tuple(shape.values())
    if numbers.shape != wanted:
        axes = ", ".join(f"{name}={size}" for name, size in shape.items())
        expected = f"({axes},)" if len(wanted) == 1 else f"({axes})"
        turned = len(wanted) == 2 and numbers.shape == wanted[::-1]
        hint = ": it looks transposed" if turned else ""
        raise ValueError(f"{what} is {tuple(numbers.shape)}; expected {expected}{hint}")
    return numbers


def value_and_learn(what: str, given: Any, learn: bool) -> tuple[Any, bool]:
    """The value, and whether it learns, of `{value: ..., learn: bool}` or of a value alone.

    `learn` is the default; the value is None where a mapping has none.
    """
    if not isinstance(given, Mapping):
        return given, learn
    known_keys(what, given, ("value", "learn"))
    return given.get("value"), flag(f"{what}.learn", given.get("learn", learn))


def activation(given: str | Mapping[str, Any]) -> kernels.Activation:
    """The function of that name, or of `{type: NAME, <arguments>}`.

    Only `power` takes an argument: `n`, a number above 0 (2 when left out).

    Raises:
        ValueError: an unknown name or argument (the nearest right one is named); n <= 0.
    """
    words = {"type": given} if isinstance(given, str) else dict(given)
    name = one_of("activation", words.pop("type", None), kernels.ACTIVATIONS)
    known_keys(f"activation {name!r}", words, ("n",) if name == "power" else ())
    return kernels.activation(name, **words)
