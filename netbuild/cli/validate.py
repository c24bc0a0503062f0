"""`netbuild validate`: all problems of all files, before torch is loaded."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from netbuild.cli.options import DataRoot, Device, Form, Format, Quiet, Set, Unset, load_spec
from netbuild.errors import Problem, SpecError


def validate(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="The specs to check.")],
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Check specs: every problem of every file, located, and what it passes builds."""
    problems: list[Problem] = []
    passed = []
    for path in specs:
        try:
            load_spec(path, set_, unset, device, data_root)
            passed.append(path)
        except SpecError as error:
            problems += error.problems
    if form is Format.json and not problems:
        print(json.dumps({"schema_version": 1, "exit_code": 0, "problems": []}))
    elif not quiet and form is Format.text:
        for path in passed:
            print(f"{path}: ok")
    if problems:
        raise SpecError(problems)
