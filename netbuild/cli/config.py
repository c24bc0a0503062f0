"""`netbuild config`: the resolved spec."""

from __future__ import annotations

import json

from netbuild.cli.options import DataRoot, Device, Form, Format, Set, SpecPath, Unset, load_spec


def config(
    spec: SpecPath,
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    form: Form = Format.text,
) -> None:
    """Print the resolved spec: what it extends and every default written out."""
    checked = load_spec(spec, set_, unset, device, data_root)
    if form is Format.json:
        print(json.dumps(checked.data, indent=1, ensure_ascii=False))
    else:
        print(checked.to_yaml(), end="")
