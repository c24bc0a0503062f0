"""Models back to data and to YAML that reads as a person would have written it."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from netbuild.spec.document import BOOLS, FLOAT, INT, NULLS, SPECIAL

_FIRST = ("name", "type", "init", "generate", "from")


def resolved(model: BaseModel) -> dict[str, Any]:
    """A model as plain data with every default written out, what names it first.

    An optional key that is not given and has no default is left out.
    """
    fields = {info.alias or name: (name, info) for name, info in type(model).model_fields.items()}
    keys = [key for key in _FIRST if key in fields and "netbuild" not in fields]
    keys += [key for key in fields if key not in keys]
    data = {}
    for key in keys:
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
    return value


def dump_yaml(data: object) -> str:
    """Data as YAML of the language: block style, keys in order, lists of values on one line."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Writes what the language reads: YAML 1.2 numbers, and no anchors."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML declares it so)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(item, dict) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)


_Dumper.add_representer(float, _float)
_Dumper.add_representer(list, _list)
for _name, _pattern in (
    ("null", NULLS),
    ("bool", BOOLS),
    ("int", INT),
    ("float", FLOAT),
    ("float", SPECIAL),
):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)
