"""`netbuild analyze`: the fixed points of a trained recurrent network."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from netbuild.cli.names import file_name
from netbuild.cli.options import Device, Form, Format, Quiet, find_run
from netbuild.cli.standard import say, tell
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.analysis import Study
    from netbuild.runs import Run

TRIALS = 256  # that are run through the network
ROWS = 12  # of the printed table, for each condition
NAME = "fixed-points"  # of both files

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run: its folder, a unique beginning of its name, or `latest`."
    ),
]


def analyze(
    target: RunName,
    fixed_points: Annotated[
        bool,
        typer.Option(
            "--fixed-points", help="Find where the network stays. What is done if left out."
        ),
    ] = False,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="A recurrent layer; else the first one."),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(
            "--period",
            metavar="NAME",
            help="Hold the mean input of this period of the trials; else of `stimulus`, or of"
            " whole trials where there is none.",
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="VARIABLE",
            help="One input for each value of a variable of the trials, e.g. coh. Repeatable:"
            " one for each combination.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--inputs",
            metavar="NUMBERS",
            help="What the layer reads at every step, e.g. 0,0.5,0.5, instead. Repeatable.",
        ),
    ] = None,
    starts: Annotated[
        int,
        typer.Option("--starts", min=1, max=100_000, help="States to start from, for each input."),
    ] = 256,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", help="The largest q = |F(x) - x|^2 / 2 of a point that is kept."
        ),
    ] = 1e-6,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of these states.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Else the folder `analysis` in the run."
        ),
    ] = None,
    device: Device = None,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Find the fixed points of a recurrent layer, their stability and time constants."""
    path = find_run(target)
    if path is None:
        raise NetbuildError(f"{target} is a spec; a run is analyzed", Exit.USAGE)
    rows = [_numbers(text) for text in inputs or ()]
    from netbuild.cli.train import prepare_process
    from netbuild.runs import open_run

    run = open_run(path, verify=False)
    prepare_process(run.spec)
    network = run.network(device=device or "cpu")
    import torch

    from netbuild.analysis import recurrent_layers, study

    sizes = {name: module.size for name, module in recurrent_layers(network).items()}
    _refuse(run, sizes, layer)

    if any(len(row) != len(rows[0]) for row in rows):
        raise NetbuildError("--inputs are of different lengths", Exit.USAGE)
    batch = run.batch(TRIALS)
    try:
        found = study(
            network,
            batch,
            layer=layer,
            period=period,
            condition=condition or (),
            inputs=torch.tensor(rows, dtype=torch.float64) if rows else None,
            starts=starts,
            seed=seed,
            tolerance=tolerance,
        )
    except ValueError as error:
        raise NetbuildError(str(error), Exit.USAGE) from None
    notes = [*_left_out(found, condition or ())]
    if not fixed_points:
        notes.insert(0, "fixed points; `netbuild analyze --help` lists the options")
    folder = output or run.path / "analysis"
    options = [
        *(("layer", layer), ("period", period)),
        *(("condition", name) for name in condition or ()),
        *(("inputs", text) for text in inputs or ()),
    ]
    given = [(name, value) for name, value in options if value is not None]
    files = Files.named(folder, file_name(NAME, given))
    _write(found, files, run.spec.model.dt, None if output else run.path)
    _tell(found, files, run.spec.model.dt, form, quiet, notes)


class Files(NamedTuple):
    """The two files that an analysis writes."""

    arrays: Path
    figure: Path

    @classmethod
    def named(cls, folder: Path, name: str) -> Files:
        """Those of one name."""
        return cls(folder / f"{name}.npz", folder / f"{name}.png")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"--inputs takes numbers with commas between them; got {text!r}"
        raise NetbuildError(what, Exit.USAGE) from None


def _refuse(run: Run, sizes: Mapping[str, int], layer: str | None) -> None:
    """Raise NetbuildError for a run that has nothing to analyze, or too much."""
    from netbuild.analysis.dynamics import MOST_UNITS

    if not sizes:
        raise NetbuildError(f"{run.path} has no recurrent layer", Exit.USAGE)
    if layer is not None and layer not in sizes:
        what = f"{run.path} has no recurrent layer {layer}; there are: {', '.join(sizes)}"
        raise NetbuildError(what, Exit.USAGE)
    name = layer or next(iter(sizes))
    if sizes[name] > MOST_UNITS:
        what = f"{name} has {sizes[name]:,} units; Jacobians are of at most {MOST_UNITS:,}"
        raise NetbuildError(what, Exit.RESOURCES)


def _left_out(found: Study, condition: Sequence[str]) -> Iterator[str]:
    """What was asked for and is in no condition: trials without the period, or without a value."""
    import numpy as np

    from netbuild.analysis.study import is_missing

    trials = found.trials or {}
    starts = trials.get(f"{found.period}_start") if found.period else None
    lacking = np.asarray(starts) < 0 if starts is not None else np.zeros(0, bool)
    if lacking.any():
        which = next((name for name in ("environment", *condition) if name in trials), None)
        kinds = np.unique(np.asarray(trials[which])[lacking])[:8] if which else ()
        listed = f" ({which} {', '.join(map(str, kinds))})" if which else ""
        what = f"{lacking.sum():,} of {len(lacking):,} trials{listed} have no `{found.period}`"
        yield f"{what} and are left out; --period names another"
    for name in condition:
        values = np.asarray(trials[name])
        if missing := sum(map(is_missing, values.tolist())):
            yield f"{missing:,} of {len(values):,} trials have no `{name}` and are left out"


def _write(found: Study, files: Files, dt: float | None, run: Path | None) -> None:
    """Write the arrays and the figure; `run`: into this run."""
    import numpy as np

    from netbuild import plots
    from netbuild.analysis import labelled
    from netbuild.durable import need_folder, replace_file

    arrays, image = io.BytesIO(), io.BytesIO()
    np.savez(arrays, **labelled(found, dt))  # type: ignore[arg-type]
    plots.fixed_points(found).figure.savefig(image, format="png", dpi=300)
    folder = files.arrays.parent
    if not folder.parent.is_dir():
        raise NetbuildError(f"there is no folder {folder.parent}", Exit.IO)
    if run is None:
        folder.mkdir(exist_ok=True)
    else:
        need_folder(folder, within=run)
    replace_file(files.arrays, arrays.getvalue(), within=run)
    replace_file(files.figure, image.getvalue(), within=run)


def _tell(
    found: Study, files: Files, dt: float | None, form: Format, quiet: bool, notes: list[str]
) -> None:
    if form is Format.json:
        record = _record(found, files, dt) | {"notes": notes}
        say(json.dumps(record, indent=1, ensure_ascii=False))
        return
    if not quiet:
        for note in notes:
            tell(f"note: {note}")
        for line in _lines(found, dt, files.arrays.name):
            say(line)
    say(files.arrays)
    say(files.figure)


def _record(found: Study, files: Files, dt: float | None) -> dict[str, Any]:
    points = found.points
    conditions = zip(found.labels, points.inputs.tolist(), points.lost.tolist(), strict=True)
    return {
        "layer": found.layer,
        "formulation": found.formulation,
        "period": found.period,
        "conditions": [
            {"label": label, "inputs": row, "starts_lost": lost} for label, row, lost in conditions
        ],
        "points": [_point(found, i, dt) for i in range(len(points))],
        "files": [str(path) for path in files],
    }


def _point(found: Study, i: int, dt: float | None) -> dict[str, Any]:
    points = found.points
    leading = points.multipliers[i, 0]
    slowest = float(points.time_constants(dt or 1.0)[i, 0])
    return {
        "condition": int(points.condition[i]),
        "fixed": bool(points.fixed[i]),
        "starts": int(points.starts[i]),
        "q": float(points.q[i]),
        "multiplier": [float(leading.real), float(leading.imag)],
        "time_constant": slowest if math.isfinite(slowest) else None,
        "stability": points.stability[i],
        "unstable_directions": int(points.unstable[i]),
    }


def _lines(found: Study, dt: float | None, arrays: str) -> Iterator[str]:
    """A table of the first points of each condition."""
    points = found.points
    held = (
        f"mean input of {found.period or 'whole trials'}" if (found.which >= 0).any() else "given"
    )
    yield f"{found.layer}: fixed points of {points.states.shape[1]} units; input: {held}"
    head = ("starts", "q", "multiplier", f"time ({'ms' if dt else 'steps'})", "point")
    for place, label in enumerate(found.labels):
        own = [i for i in range(len(points)) if int(points.condition[i]) == place]
        fixed = sum(bool(points.fixed[i]) for i in own)
        values = ", ".join(f"{value:.3g}" for value in points.inputs[place].tolist()[:8])
        yield ""
        yield f"{label} [{values}]: {fixed} fixed, {len(own) - fixed} slow"
        if own:
            yield _row(head)
        for i in own[:ROWS]:
            yield _row(_cells(found, i, dt))
        if len(own) > ROWS:
            yield f"... and {len(own) - ROWS:,} more, in {arrays}"
        if lost := int(points.lost[place]):
            least = float(points.lost_q[place])
            yield f"no such point from {lost} of the starts; their smallest q is {least:.1e}"
    yield ""


def _cells(found: Study, i: int, dt: float | None) -> tuple[str, ...]:
    point = _point(found, i, dt)
    real, imaginary = point["multiplier"]
    turning = f" ± {abs(imaginary):.3f}i" if imaginary else ""
    time = point["time_constant"]
    what = point["stability"] if point["fixed"] else f"slow, {point['stability']}"
    if point["stability"] == "saddle":
        what += f", {point['unstable_directions']} unstable"
    return (
        f"{point['starts']}",
        f"{point['q']:.1e}",
        f"{real:.4f}{turning}",
        "-" if time is None else f"{time:,.0f}" if dt else f"{time:,.1f}",
        what,
    )


def _row(cells: tuple[str, ...]) -> str:
    starts, q, multiplier, time, what = cells
    return f"{starts:>8} {q:>9} {multiplier:>18} {time:>12}  {what}"
