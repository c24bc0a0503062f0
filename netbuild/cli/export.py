"""`netbuild export`: weights or activity of a run as labelled arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netbuild.cli.names import file_name
from netbuild.cli.options import Quiet, find_run, which_checkpoint
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError

RunPath = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run: its folder, a unique beginning of its name, or `latest`."
    ),
]


def export(
    run: RunPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .npz, or a .nc (netCDF); if left out, weights.npz or activity.npz in the run.",
        ),
    ] = None,
    activity: Annotated[
        bool, typer.Option("--activity", help="What every unit does in the test trials.")
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, help="Of the activity: how many; 500 if left out."),
    ] = None,
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint", metavar="WHICH", help="The weights: best, last, or those of a step."
        ),
    ] = "last",
    quiet: Quiet = False,
) -> None:
    """Write the effective weights, or the activity, with names, areas and signs of the units, and
    all that a node table says of them.

    Beside the weights stand each layer's activation, and of recurrent layers alpha, the initial
    state, the formulation and dt: all that their equation needs.
    """
    if output is not None and output.suffix.lower() not in (".npz", ".nc"):
        raise NetbuildError(f"{output}: an export is .npz or .nc", Exit.USAGE)
    if trials is not None and not activity:
        raise NetbuildError("--trials are of --activity", Exit.USAGE)
    if output is not None and not output.parent.is_dir():
        raise NetbuildError(f"there is no folder {output.parent}", Exit.IO)
    which = which_checkpoint(checkpoint)
    found = find_run(run)
    if found is None:
        raise NetbuildError(f"{run} is no run", Exit.USAGE, "train it, and name its run")
    from netbuild.results.export import need_netcdf, save_npz, write_netcdf
    from netbuild.results.maps import (
        equation_arrays,
        equations_of,
        labelled_maps,
        map_arrays,
        maps_dataset,
    )
    from netbuild.runs import open_run

    opened = open_run(found, verify=False)
    name = file_name(
        "activity" if activity else "weights",
        [("checkpoint", checkpoint)] if checkpoint != "last" else [],
    )
    path = output or opened.path / f"{name}.npz"
    netcdf = path.suffix.lower() == ".nc"
    if netcdf:
        need_netcdf()  # before the trials are run
    if activity:
        rates = opened.activity(500 if trials is None else trials, checkpoint=which)
        rates.save_netcdf(path) if netcdf else rates.save(path)
    else:
        network, spec = opened.network(checkpoint=which), opened.spec
        maps, dt = labelled_maps(network, spec.plan.layers), spec.model.dt
        equations = equations_of(network, spec)
        if netcdf:
            write_netcdf(maps_dataset(maps, equations, dt), path)
        else:
            save_npz(path, map_arrays(maps) | equation_arrays(equations, dt))
    if not quiet:
        say(path)
