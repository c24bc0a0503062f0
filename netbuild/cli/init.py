"""`netbuild init`: a commented spec to start from."""

from __future__ import annotations

import re
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError


class Template(StrEnum):
    """The specs that `init` writes."""

    digits = "digits"
    nn4n = "nn4n"
    ei_rnn = "ei-rnn"
    two_area = "two-area"
    connectome = "connectome"


_PLAIN = re.compile(r"[\w./-]+")  # a path that can stand in a comment, and in a shell
SCHEMA = "netbuild-1.json"  # named by the first line of each template, for editors

# What a template needs beside it.
_DATA = {
    Template.digits: ("digits.npz",),
    Template.connectome: ("edges.csv", "neurons.csv"),
}


def init(
    template: Annotated[Template, options.argument(None, "What to start from.")] = Template.digits,
    output: Annotated[Path | None, options.output("Where to write.")] = None,
) -> None:
    """Write a commented spec that validates, and what it needs; overwrites nothing.

    Beside it lie its data and the JSON Schema that editors complete and check it with.
    """
    from netbuild.language.schema import schema_text

    path = output or Path(f"{template.value}.yaml")
    folder = resources.files("netbuild.cli") / "templates"
    files = {path: folder / f"{template.value}.yaml"}
    files |= {path.parent / name: folder / name for name in _DATA.get(template, ())}
    existing = [target for target in files if target.exists()]
    if existing:
        raise NetbuildError(f"{existing[0]} exists already", Exit.USAGE, "name another with -o")
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, source in files.items():
        data = source.read_bytes()
        if target == path and _PLAIN.fullmatch(str(path)):  # its comments name the file itself
            data = data.replace(f"{template.value}.yaml".encode(), str(path).encode())
        target.write_bytes(data)
        say(target)
    schema = path.parent / SCHEMA
    if not schema.exists():
        schema.write_text(schema_text())
        say(schema)
