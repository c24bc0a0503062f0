"""`netbuild validate`: all problems of all files, before torch is loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import Format, argument, load_points, load_spec
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError, Problem, SpecError


def validate(
    specs: Annotated[list[str], argument("SPEC...", "The specs and experiments to check.")],
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Check specs: every problem of every file, located, and what it passes builds.

    Of an experiment, every point is checked.
    Warnings tell of specs that are valid but probably unintended; they change no exit code.
    """
    from netbuild.language.design import is_experiment

    problems: list[Problem] = []
    warnings: list[Problem] = []
    passed = []
    with _without_collection():
        for path in specs:
            try:
                if is_experiment(path):
                    if set_ or unset or device:
                        what = f"{path} is an experiment; --set, --unset and --device change a spec"
                        raise NetbuildError(what, Exit.USAGE, "write `set:` into it")
                    warnings += load_points(path, data_root, many=True).warnings
                else:
                    spec = load_spec(path, set_, unset, device, data_root, warn=None)
                    warnings += spec.warnings
                passed.append(path)
            except SpecError as error:
                problems += error.problems
                warnings += error.warnings
    if not quiet and form is Format.text:
        for path in passed:
            say(f"{path}: ok")
    if quiet and form is not Format.json:
        warnings = []
    if problems:
        raise SpecError(problems, warnings)
    if form is not Format.json and not warnings:
        return
    from netbuild.render import problems_json, report_problems

    if form is Format.json:
        say(problems_json(warnings))  # without errors, this is the result
    else:
        report_problems(warnings, form)


@contextmanager
def _without_collection() -> Iterator[None]:
    """No garbage collection meanwhile: models and trees are made and stay; a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
