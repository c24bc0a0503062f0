"""`netbuild plot`: figures of a spec's initial network or of a run, and the numbers in them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild import plots
from netbuild.cli import options
from netbuild.cli.options import argument, experiment_of, load_spec, option, run_unless_spec
from netbuild.cli.outputs import file_name, need_ending, write
from netbuild.cli.standard import warnings_as_lines
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.drawing.table import Drawing
    from netbuild.experiments.folder import ExperimentFolder
    from netbuild.language import Spec

Kind = StrEnum(  # type: ignore[misc]
    "Kind",
    [
        (name, name)
        for name in dict.fromkeys(
            (*(k for k, c in plots.FIGURES.items() if c == "plot"), *plots.OF_EXPERIMENTS)
        )
    ],
)
WEIGHTS = Kind("weights")


class Sort(StrEnum):
    """How the units of a weight matrix are sorted within their areas and signs."""

    selectivity = "selectivity"


# The options of figures: those that a figure takes are the keywords of its function.
OPTIONS = (
    *("layer", "condition", "align", "environment", "units", "from_", "to", "by", "sort", "panel"),
    "trials",
)


def plot(
    context: typer.Context,
    target: Annotated[
        str,
        argument("TARGET", "A spec, an experiment (its folder or its name), or a run (its name)."),
    ],
    kind: Annotated[Kind, option(None, "What to draw.")] = WEIGHTS,
    output: Annotated[
        Path | None,
        options.output(
            "A .png, .svg or .pdf; if left out, a .png that is named after the options, in the"
            " run's figures/ or in this folder."
        ),
    ] = None,
    data: Annotated[
        Path | None, option("FILE", "Write the figure's numbers too, as .csv or .npz.")
    ] = None,
    layer: Annotated[str | None, option("NAME", "A layer, or for weights one of its maps.")] = None,
    condition: Annotated[
        str | None,
        option("NAME", "The variable that trials differ in, or `v1-v2`; else the coherence."),
    ] = None,
    align: Annotated[
        str | None, option("PERIOD", "Count the time from this period's start.")
    ] = None,
    environment: Annotated[
        str | None, option("NAME", "Of several environments only this; else each has a panel.")
    ] = None,
    units: Annotated[
        str | None,
        option(
            "WHICH",
            "For rates and trajectories: excitatory, inhibitory, an area, a unit's name, or by a"
            " column of the node table, kind=motor or kind=inter,motor.",
        ),
    ] = None,
    from_: Annotated[
        str | None, option("WHICH", "For weights: presynaptic units, as of --units.", "--from")
    ] = None,
    to: Annotated[
        str | None, option("WHICH", "For weights: postsynaptic units, as of --units.")
    ] = None,
    by: Annotated[
        str | None,
        option(
            "COLUMN",
            "For weights: group units by a column of the node table, not by area. For experiments:"
            " gather runs by this parameter; two with a comma for a heatmap.",
        ),
    ] = None,
    sort: Annotated[Sort | None, option(None, "For weights: how units are sorted.")] = None,
    panel: Annotated[
        str | None, option("WHICH", "For learning: loss, regularizers or accuracy alone.")
    ] = None,
    trials: Annotated[
        int | None, option(None, "How many trials in all; 500 if left out.", min=1)
    ] = None,
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    quiet: options.Quiet = False,
) -> None:
    """Draw weights, learning curves, activity or choices, and write the numbers in them.

    Of an experiment: learning, scores, parameters, heatmap or psychometric, over its replicates."""
    need_ending(output, "a figure", ".png", ".svg", ".pdf")
    need_ending(data, "a file of numbers", ".csv", ".npz")
    if data is not None and kind.value in plots.NUMBERLESS:
        hint = "`--kind weights --data` writes every weight"
        raise NetbuildError(f"--data: --kind {kind.value} has no numbers", Exit.USAGE, hint)
    given = {name: value for name in OPTIONS if (value := context.params[name]) is not None}
    if (found := experiment_of(target)) is not None:
        _plot_experiment(found, kind, given, output, data, quiet=quiet)
        return
    if kind.value not in plots.FIGURES:
        what = f"--kind {kind.value} is of experiments, and {target} is none"
        raise NetbuildError(what, Exit.USAGE, "`netbuild sweep` makes one")
    if given:
        _check_options(kind, given)
    named = [(name.strip("_"), str(value)) for name, value in given.items()]
    from netbuild.api import open_run
    from netbuild.results.results import Results

    run_path = run_unless_spec(target, set_, unset)
    if run_path is not None:
        results = Results(open_run(run_path, verify=False))
        path = output or run_path / "figures" / f"{file_name(kind.value, named)}.png"
    else:
        spec = load_spec(target, set_, unset, device, data_root)
        results = Results(spec=spec, hint=_run_of(spec, kind))
        named += [("set", text) for text in set_ or ()] + [("unset", text) for text in unset or ()]
        path = output or Path(f"{file_name(f'{spec.model.name}-{kind.value}', named)}.png")
    buffer = io.BytesIO()
    with warnings_as_lines():  # of letters that the font lacks, say
        figure, numbers = getattr(plots, kind.value)(results, **given)
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=200)
    write(path, buffer.getvalue(), quiet=quiet, run=None if output else run_path)
    if data is not None:
        from netbuild.drawing.table import write_table

        write(data, write_table(data, numbers), quiet=quiet)


def _plot_experiment(
    folder: ExperimentFolder,
    kind: Kind,
    given: Mapping[str, object],
    output: Path | None,
    data: Path | None,
    *,
    quiet: bool,
) -> None:
    """Draw a figure of an experiment, and always write its numbers beside it."""
    from netbuild.drawing.table import write_table
    from netbuild.experiments.experiment import open_experiment

    if kind.value not in plots.OF_EXPERIMENTS:
        what = f"--kind {kind.value} is of one run, and {folder.path} is an experiment"
        raise NetbuildError(what, Exit.USAGE, f"one of {', '.join(plots.OF_EXPERIMENTS)}")
    draw = plots.figure_of_experiments(kind.value)
    _check_options(kind, given, draw)
    named = [(name.strip("_"), str(value)) for name, value in given.items()]
    own = folder.path / "figures" / f"{file_name(kind.value, named)}.png"
    path = output or own
    buffer = io.BytesIO()
    with warnings_as_lines():
        figure, numbers = draw(open_experiment(folder.path), **given)
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=200)
    write(path, buffer.getvalue(), quiet=quiet, run=None if output else folder.path)
    beside = data or path.with_suffix(".csv")
    inside = None if output or data else folder.path
    write(beside, write_table(beside, numbers), quiet=quiet, run=inside)


def _check_options(
    kind: Kind, given: Iterable[str], draw: Callable[..., Drawing] | None = None
) -> None:
    """Refuse an option that the figure does not take."""
    keywords = signature(draw or getattr(plots, kind.value)).parameters
    takes = [name for name in keywords if name in OPTIONS]
    for name in given:
        if name not in takes:
            known = ", ".join(f"--{name.strip('_')}" for name in takes) or "none of these"
            what = f"--kind {kind.value} takes no --{name.strip('_')}"
            raise NetbuildError(what, Exit.USAGE, f"it takes {known}")


def _run_of(spec: Spec, kind: Kind) -> str:
    """A hint that names the run of a spec, where there is one."""
    assert spec.path is not None
    folder = spec.path.parent
    if spec.path.name == "resolved.yaml" and (folder / "run.json").is_file():
        return f"this is the spec of the run {folder}"
    if (Path("runs") / spec.model.name).is_dir():
        return f"`netbuild plot {spec.model.name}/latest --kind {kind.value}` draws its newest run"
    return f"`netbuild train {spec.path}` trains one"
