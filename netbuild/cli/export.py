"""`netbuild export`: weights or activity of a run as labelled arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import flag, option, run_of, which_checkpoint
from netbuild.cli.outputs import file_name, need_ending
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError


def export(
    run: options.RunName,
    output: Annotated[
        Path | None,
        options.output(
            "A .npz, or a .nc (netCDF); if left out, weights.npz or activity.npz in the run."
        ),
    ] = None,
    activity: Annotated[
        bool, flag("The activity of every unit in the test trials, not weights.", "--activity")
    ] = False,
    trials: Annotated[
        int | None, option(None, "With --activity: how many; 500 if left out.", min=1)
    ] = None,
    checkpoint: options.Checkpoint = "last",
    quiet: options.Quiet = False,
) -> None:
    """Write the effective weights, or the activity, with names, areas and signs of the units, and
    all that a node table says of them.

    Beside the weights stand each layer's activation, and of recurrent layers alpha, the initial
    state, the formulation and dt: all that their equation needs.
    """
    need_ending(output, "an export", ".npz", ".nc")
    if trials is not None and not activity:
        raise NetbuildError("--trials has an effect only with --activity", Exit.USAGE)
    which = which_checkpoint(checkpoint)
    found = run_of(run)
    from netbuild.api import open_run
    from netbuild.results.export import need_netcdf, save_npz, write_netcdf
    from netbuild.results.maps import (
        equation_arrays,
        equations_of,
        labelled_maps,
        map_arrays,
        maps_dataset,
    )

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
