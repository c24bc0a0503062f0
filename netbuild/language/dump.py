"""Models back to data and to YAML that reads as a person would have written it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml
from pydantic import BaseModel

from netbuild.errors import Place, Problem, SpecError
from netbuild.yamltree.scalars import BOOLS, FLOAT, INT, NULLS, SPECIAL

MAX_DEPTH = 64
_ESCAPED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_FIRST = ("netbuild", "name", "type", "init", "generate", "from")


def resolved(model: BaseModel) -> dict[str, Any]:
    """A model as plain data with every default written out, and what names a section first.

    An optional key that is not given and has no default is left out.
    """
    fields = {info.alias or name: (name, info) for name, info in type(model).model_fields.items()}
    data = {}
    for key in dict.fromkeys([*(key for key in _FIRST if key in fields), *fields]):
        name, info = fields[key]
        value = getattr(model, name)
        if value is not None or info.default is not None:
            data[key] = _plain(value)
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return resolved(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Data as YAML of the language: block style, keys in order, lists of values on one line.

    Tuples, numpy numbers and arrays, and paths are written as plain values. Raises
    SpecError, naming the path, for what a spec cannot hold.
    """
    text = yaml.dump(
        _written(data, ""), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )
    return str(text)


def _written(value: Any, path: str, depth: int = 1) -> Any:
    """Data of the kinds that YAML has, in place of what a Python program may hold."""
    if depth > MAX_DEPTH:
        raise _refused(path, f"nested deeper than {MAX_DEPTH} levels")
    if hasattr(value, "tolist"):  # a numpy number or array
        value = value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _refused(path, f"a key must be a name, this is a Python {_kind(key)}")
        return {k: _written(v, f"{path}.{k}" if path else k, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    for kind in (bool, int, float, str):  # a subclass, such as an enum's, is written as its kind
        if isinstance(value, kind):
            return kind(value) if kind is not str else str.__str__(value)
    if value is not None:
        raise _refused(path, f"a spec cannot hold a Python {_kind(value)}")
    return None


def _kind(value: object) -> str:
    return f"`{type(value).__name__}`"


def _refused(path: str, what: str) -> SpecError:
    return SpecError([Problem("NB103", what, path[:200], Place("spec"))])


def inline(value: object) -> str:
    """A value as YAML on one line."""
    text = yaml.dump(value, Dumper=_Inline, default_flow_style=True, sort_keys=False, width=10**6)
    return str(text).removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """Writes what the language reads: YAML 1.2 numbers, and no anchors."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML declares it so)

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Inline(_Dumper):
    """The same, all in flow style."""


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if not math.isfinite(value):
        text = ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # PyYAML folds text at the line breaks that only Unicode has, and loses them.
    style = '"' if _ESCAPED.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(item, dict) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)


for _class in (_Dumper, _Inline):
    _class.add_representer(float, _float)
    _class.add_representer(str, _text)
_Dumper.add_representer(list, _list)
for _name, _pattern in (
    ("null", NULLS),
    ("bool", BOOLS),
    ("int", INT),
    ("float", FLOAT),
    ("float", SPECIAL),
    ("merge", re.compile(r"<<$")),
):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)
