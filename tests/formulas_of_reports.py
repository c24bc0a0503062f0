"""Formulas of reports as Python functions, to compare them with what the layers compute."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

FUNCTIONS: dict[str, Any] = {
    "max": lambda v, low: torch.clamp(v, min=low),
    "exp": torch.exp,
    "ln": torch.log,
    "tanh": torch.tanh,
    "sqrt": lambda v: v**0.5,
    "abs": torch.abs,
}


def python_of(tex: str, names: dict[str, str]) -> str:
    """A formula, without its left side, as a Python expression; `names` has its symbols."""
    text = tex.split(" = ", 1)[1] if " = " in tex else tex
    for symbol, name in sorted(names.items(), key=lambda item: -len(item[0])):
        text = text.replace(symbol, f" {name} ")
    while (new := re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1) / (\2))", text)) != text:
        text = new
    text = re.sub(r"\\sqrt\{([^{}]*)\}", r" sqrt(\1) ", text)
    text = re.sub(r"\^\{?([0-9.]+)\}?", r" ** \1", text)
    text = re.sub(r"\\lvert(.*?)\\rvert", r" abs(\1) ", text)
    text = text.replace("\\", "")
    # What stands side by side is multiplied, unless a function is called.
    text = re.sub(r"(?<=[\w)])\s+(?=[a-zA-Z(])", " * ", text.strip())
    for name in FUNCTIONS:
        text = text.replace(f"{name} * (", f"{name}(")
    return re.sub(r"\bf \* \(", "f(", text)


def function_of(tex: str, **names: str) -> Callable[..., Any]:
    """A formula as a function of the names that its symbols have."""
    known = {symbol.replace("__", "\\"): name for symbol, name in names.items()}
    code = python_of(tex, known)
    return lambda **values: eval(code, {**FUNCTIONS, **values})
