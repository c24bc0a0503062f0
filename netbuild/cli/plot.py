"""`netbuild plot`: figures of a spec's initial network or of a run."""

from __future__ import annotations

import io
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from netbuild.cli.options import (
    DataRoot,
    Device,
    Quiet,
    Set,
    Target,
    Unset,
    find_run,
    load_spec,
    refuse_changes,
)
from netbuild.errors import Exit, NetbuildError


class Kind(StrEnum):
    """What is drawn."""

    weights = "weights"
    distributions = "distributions"
    learning = "learning"


def plot(
    target: Target,
    kind: Annotated[Kind, typer.Option("--kind", help="What to draw.")] = Kind.weights,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png, .svg or .pdf; if left out, in the run's figures/ or in this folder.",
        ),
    ] = None,
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
) -> None:
    """Draw the weights, their distributions, or the learning curve."""
    if output is not None and output.suffix.lower() not in (".png", ".svg", ".pdf"):
        what = f"{output}: a figure is .png, .svg or .pdf"
        raise NetbuildError(what, Exit.USAGE)
    run_path = find_run(target)
    spec = load_spec(target, set_, unset, device, data_root) if run_path is None else None
    from netbuild import plots
    from netbuild.builder import build
    from netbuild.training import open_run
    from netbuild.training.files import replace_file

    if run_path is not None:
        refuse_changes(run_path, set_, unset)
        run = open_run(run_path, verify=False)
        network = None if kind is Kind.learning else run.network()
        figure = (
            plots.learning(run.metrics) if network is None else plots.layers(network, kind.value)
        )
        path = output or run.path / "figures" / f"{kind.value}.png"
    else:
        assert spec is not None
        if kind is Kind.learning:
            raise NetbuildError("a spec has no learning curve; name a run", Exit.USAGE)
        figure = plots.layers(build(spec), kind.value)
        path = output or Path(f"{spec.model.name}-{kind.value}.png")
    if not path.parent.is_dir():
        raise NetbuildError(f"there is no folder {path.parent}", Exit.IO)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150)
    replace_file(path, buffer.getvalue())
    if not quiet:
        print(path)
