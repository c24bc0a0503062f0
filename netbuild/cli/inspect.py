"""`netbuild inspect`: what every layer is, what learns, and whether the constraints hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from netbuild.cli.connectomes import Neurons, read
from netbuild.cli.options import (
    DataRoot,
    Device,
    Form,
    Format,
    Set,
    Target,
    Unset,
    find_run,
    load_spec,
    refuse_changes,
)
from netbuild.cli.standard import say_json
from netbuild.errors import Exit, NetbuildError

MASKS = "masks"  # in place of a spec: a connectome's files, by themselves


def inspect(
    target: Target,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With `inspect masks`: an edge list or a matrix."),
    ] = None,
    neurons: Neurons = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="COLUMN", help="Count connections by a column of the node table."
        ),
    ] = None,
    spectrum: Annotated[
        bool,
        typer.Option("--spectrum", help="The spectral radius of large networks too, in seconds."),
    ] = False,
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    form: Form = Format.text,
) -> None:
    """Print every layer's specs, what learns, and how many weights violate each constraint.

    `netbuild inspect masks FILE` says what a connectome's file holds.
    """
    if target == MASKS and file is not None:
        given = {"--unset": unset, "--device": device, "--data-root": data_root, "--by": by}
        if odd := [name for name, value in given.items() if value is not None]:
            raise NetbuildError(f"`inspect masks` takes no {odd[0]}", Exit.USAGE)
        _masks(file, neurons, set_, form)
        return
    if file is not None or neurons is not None:
        what = "FILE and --neurons belong to `netbuild inspect masks FILE`"
        raise NetbuildError(what, Exit.USAGE)
    run_path = find_run(target)
    if run_path is not None:
        refuse_changes(run_path, set_, unset)
        title, found = _of_run(run_path, device, by, spectrum)
    else:
        spec = load_spec(target, set_, unset, device, data_root, warn=form)
        from netbuild.builder import build

        title = f"{spec.model.name} (initial network)"
        found = _found(build(spec), spec, by, spectrum)
    if form is Format.json:
        say_json(found)
    else:
        from netbuild.render import summary_tables

        summary_tables(found, title)


def _masks(file: Path, neurons: Path | None, changes: Any, form: Format) -> None:
    report = read(file, neurons, changes).report.as_dict()
    if form is Format.json:
        say_json(report)
    else:
        from netbuild.render import connectome_tables

        connectome_tables(report)


def _of_run(
    path: Any, device: str | None, by: str | None, spectrum: bool
) -> tuple[str, dict[str, Any]]:
    from netbuild.api import open_run

    run = open_run(path, verify=False)
    network = run.network(device=device or "cpu", verified=False)
    return f"{run.path} (step {run.step})", _found(network, run.spec, by, spectrum, run.initial)


def _found(network: Any, spec: Any, by: str | None, spectrum: bool, initial: Any = None) -> Any:
    from netbuild.inspect import areas, summary

    try:
        between = areas(network, spec.plan.layers, by)
    except ValueError as error:
        raise NetbuildError(f"--by: {error}", Exit.USAGE) from None
    found = summary(network, initial, spectrum=spectrum) | {"areas": between}
    reports = {name: plan.report for name, plan in spec.plan.layers.items() if plan.report}
    return found | ({"connectomes": reports} if reports else {})
