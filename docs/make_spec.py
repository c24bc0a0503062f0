"""Writes docs/spec.md, every key of the language, from its models: python docs/make_spec.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from netbuild.language import schema as language
from netbuild.language.grammar import homes

HEAD = """\
# The language, version 1

Written by `docs/make_spec.py` from the models that check a spec; `netbuild schema` prints the same
for editors. A spec is YAML 1.2, UTF-8, at most 1 MiB: `1e-3` is a number, `no` is text, a duplicate
key is an error, tags are refused, anchors and `<<` work.

- **Shorthand.** `weight: normal` is `{init: normal}`; `weight: 0.1` is a constant; `w.npy` is
  `{file: w.npy}`; rows in brackets are `{values: ...}`; `activation: relu` is `{type: relu}`.
- **Files** are named relative to the spec that names them, and lie in its project: the nearest
  folder with `.git` or `pyproject.toml`, else the spec's own folder.
- **Matrix files** with `rows: pre` hold the connection i to j at [i, j], shape (input_dim,
  output_dim); `rows: post` is torch's (output_dim, input_dim). A square matrix must say which.
- **Overrides.** `set: {"layers[hidden].output_dim": 64}` in the file, `--set
  'layers[hidden].output_dim=64'` on the command line; `+=` appends to a list; items of a list go
  by `name` or by position from 0.
- **Selections** of units, under `from` and `to`: a name (`hidden`, `V1.excitatory`), or columns of
  the node table of a connectome with the values that they must have: `{kind: [inter, motor]}`.
- **`extends: [base.yaml]`** merges mappings deeply and replaces lists; then `set` is applied.
"""
# The sections of the page: each has the models of some files of the language.
SECTIONS = (
    ("A spec", ("spec", "start")),
    ("Layers", ("layers", "units")),
    ("Recurrent layers: areas, maps, time constants, noise", ("ctrnn", "maps")),
    ("Connectomes", ("connectome",)),
    ("Parameters: `weight` and `bias`", ("weights",)),
    ("Masks", ("masks",)),
    ("Regularizers", ("regularizers",)),
    ("Task", ("arrays_task", "neurogym_task")),
    ("Training", ("training",)),
)


def models_of(files: Sequence[str]) -> list[str]:
    """The names of the models in some files of the language, in the order of the language."""
    models = dict.fromkeys(home.model for home in homes())
    return [m.__name__ for m in models if m.__module__.rpartition(".")[2] in files]


@cache
def json_schema() -> dict[str, Any]:
    return language.json_schema()


def title(name: str) -> str:
    """What a section is called: its `type`, where it has one that is its own."""
    properties = json_schema()["$defs"].get(name, {}).get("properties", {})
    for key in ("type", "init", "generate"):
        if "const" in properties.get(key, {}):
            return f"`{key}: {properties[key]['const']}`"
    return name


def kind(schema: dict[str, Any]) -> str:
    """A type as a reader says it."""
    if "$ref" in schema:
        return title(str(schema["$ref"].rpartition("/")[2]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            parts = [kind(part) for part in schema[key] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}" if "items" in schema else "list"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "bool"}
    found = names.get(schema.get("type", ""), "mapping")
    return found + bounds(schema)


def bounds(schema: dict[str, Any]) -> str:
    words = {
        "minimum": ">=",
        "exclusiveMinimum": ">",
        "maximum": "<=",
        "exclusiveMaximum": "<",
    }
    limits = [f"{sign} {number(schema[key])}" for key, sign in words.items() if key in schema]
    return f" {' and '.join(limits)}" if limits else ""


def number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def default(name: str, schema: dict[str, Any], required: list[str]) -> str:
    if name in required:
        return "**needed**"
    value = schema.get("default")
    if isinstance(value, dict):  # a section: what is not its own default
        value = {key: item for key, item in value.items() if key in ("type", "init")} or {}
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def table(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    lines = ["| key | is | default | meaning |", "|---|---|---|---|"]
    for name, field in schema.get("properties", {}).items():
        meaning = field.get("description", "").replace("|", "\\|")
        cells = (
            f"`{name}`",
            kind(field).replace("|", "\\|"),
            default(name, field, required),
            meaning,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def text() -> str:
    """The whole page."""
    schema = json_schema()
    # With `extends`, another file may hold them; the schema requires nothing of such a file.
    whole = schema | {"required": ["netbuild", "layers"]}
    models = {**schema["$defs"], "SpecFile": whole}
    parts = [HEAD]
    for section, files in SECTIONS:
        names = models_of(files)
        parts.append(f"## {section}\n")
        for name in names:
            about = models[name].get("description", "")
            heading = "" if len(names) == 1 else f"### {title(name)}\n\n"
            parts.append(f"{heading}{about}\n\n{table(models[name])}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("spec.md").write_text(text())
