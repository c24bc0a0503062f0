"""`netbuild inspect`: what every layer is, what learns, and whether the constraints hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from netbuild.cli import options
from netbuild.cli.connectomes import Neurons, read
from netbuild.cli.options import Format, argument, flag, load_spec, option, run_unless_spec
from netbuild.cli.standard import say_json
from netbuild.errors import Exit, NetbuildError

MASKS = "masks"  # in place of a spec: a connectome's files, by themselves


def inspect(
    target: options.Target,
    file: Annotated[
        Path | None, argument("[FILE]", "With `inspect masks`: an edge list or a matrix.")
    ] = None,
    neurons: Neurons = None,
    by: Annotated[
        str | None, option("COLUMN", "Count connections by a column of the node table.")
    ] = None,
    spectrum: Annotated[
        bool, flag("Find the spectral radius of large networks too: seconds more.", "--spectrum")
    ] = False,
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    form: options.Form = Format.text,
) -> None:
    """Print every layer's specs, what learns, and how many weights violate each constraint.

    `netbuild inspect masks FILE` says what a connectome's file holds.
    """
    if target == MASKS and file is not None:
        given = {"--unset": unset, "--device": device, "--data-root": data_root, "--by": by}
        if odd := [name for name, value in given.items() if value is not None]:
            raise NetbuildError(f"`inspect masks` takes no {odd[0]}", Exit.USAGE)
        report = read(file, neurons, set_).report.as_dict()
        if form is Format.json:
            say_json(report)
        else:
            from netbuild.render import connectome_tables

            connectome_tables(report)
        return
    if file is not None or neurons is not None:
        what = "only `netbuild inspect masks FILE` takes FILE and --neurons"
        raise NetbuildError(what, Exit.USAGE)
    path = run_unless_spec(target, set_, unset)
    if path is not None:
        from netbuild.api import open_run

        run = open_run(path, verify=False)
        network = run.network(device=device or "cpu", verified=False)
        title = f"{run.path} (step {run.step})"
        found = _found(network, run.spec, by, spectrum, run.initial)
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


def _found(network: Any, spec: Any, by: str | None, spectrum: bool, initial: Any = None) -> Any:
    from netbuild.inspect import areas, summary

    try:
        between = areas(network, spec.plan.layers, by)
    except ValueError as error:
        raise NetbuildError(f"--by: {error}", Exit.USAGE) from None
    found = summary(network, initial, spectrum=spectrum) | {"areas": between}
    reports = {name: plan.report for name, plan in spec.plan.layers.items() if plan.report}
    return found | ({"connectomes": reports} if reports else {})
