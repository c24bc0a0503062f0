"""`netbuild config`: the resolved spec."""

from __future__ import annotations

from typing import Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import Format, flag, load_spec
from netbuild.cli.standard import say, say_json


def config(
    spec: options.SpecPath,
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    origins: Annotated[bool, flag("Print where each value comes from.", "--origins")] = False,
    form: options.Form = Format.text,
) -> None:
    """Print the resolved spec: what it extends and every default written out."""
    checked = load_spec(spec, set_, unset, device, data_root, warn=form)
    if origins:
        _origins(list(checked.origins()), form)
    elif form is Format.json:
        say_json(checked.data)
    else:
        say(checked.to_yaml(), end="")


def _origins(found: list[tuple[str, Any, str]], form: Format) -> None:
    if form is Format.json:
        records = [
            {"path": path, "value": value, "origin": origin} for path, value, origin in found
        ]
        say_json(records)
        return
    from netbuild.language.dump import inline

    lines = [(f"{path}: {inline(value)}", origin) for path, value, origin in found]
    width = min(max(len(text) for text, _ in lines), 60)
    for text, origin in lines:
        say(f"{text:<{width}}  # {origin}")
