"""`netbuild analyze`: the fixed points of a trained recurrent network."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import flag, option, run_of
from netbuild.cli.outputs import file_name, need_folder, write
from netbuild.cli.standard import say, say_json, tell
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.analysis import Study
    from netbuild.results.run import Run

TRIALS = 256  # that are run through the network
ROWS = 12  # of the printed table, for each condition


def analyze(
    target: options.RunName,
    fixed_points: Annotated[
        bool, flag("Find the fixed points, as is also done without this option.", "--fixed-points")
    ] = False,
    layer: Annotated[str | None, option("NAME", "A recurrent layer; else the first one.")] = None,
    period: Annotated[
        str | None,
        option(
            "NAME",
            "Hold the mean input of this period of the trials; else of `stimulus`, or of whole"
            " trials where there is none.",
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        option(
            "VARIABLE",
            "One input for each value of a variable of the trials, e.g. coh. Repeatable: one for"
            " each combination.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        option(
            "NUMBERS", "Instead: what the layer reads at every step, e.g. 0,0.5,0.5. Repeatable."
        ),
    ] = None,
    starts: Annotated[
        int, option(None, "States to start from, for each input.", min=1, max=100_000)
    ] = 256,
    tolerance: Annotated[
        float, option(None, "The largest q = |F(x) - x|^2 / 2 of a point that is kept.")
    ] = 1e-6,
    seed: Annotated[int, option(None, "The seed with which these states are drawn.")] = 0,
    output: Annotated[
        Path | None,
        options.output("The folder to write to; else `analysis` in the run.", "FOLDER"),
    ] = None,
    device: options.Device = None,
    form: options.Form = options.Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Find the fixed points of a recurrent layer, their stability and time constants."""
    rows = [_numbers(text) for text in inputs or ()]
    if any(len(row) != len(rows[0]) for row in rows):
        raise NetbuildError("--inputs are of different lengths", Exit.USAGE)
    from netbuild.api import open_run
    from netbuild.cli.training import prepare_process

    run = open_run(run_of(target), verify=False)
    folder = output or run.path / "analysis"
    need_folder(folder.parent)
    prepare_process(run.spec)
    network = run.network(device=device or "cpu")
    import torch

    from netbuild.analysis import recurrent_layers, study

    _refuse(run, layer, {name: m.size for name, m in recurrent_layers(network).items()})
    how: dict[str, Any] = {
        "layer": layer,
        "period": period,
        "starts": starts,
        "seed": seed,
        "tolerance": tolerance,
    }
    given = torch.tensor(rows, dtype=torch.float64) if rows else None
    try:
        found = study(network, run.batch(TRIALS), condition=condition or (), inputs=given, **how)
    except ValueError as error:
        raise NetbuildError(str(error), Exit.USAGE) from None
    notes = [*_left_out(found, condition or ())]
    if not fixed_points:
        notes.insert(0, "fixed points; `netbuild analyze --help` lists the options")
    named = {"layer": [layer], "period": [period], "condition": condition, "inputs": inputs}
    name = file_name(
        "fixed-points",
        [(key, text) for key, texts in named.items() for text in texts or () if text is not None],
    )
    files = folder / f"{name}.npz", folder / f"{name}.png"
    if output:
        folder.mkdir(exist_ok=True)
    dt = run.spec.model.dt
    for path, content in zip(files, _contents(found, dt), strict=True):
        write(path, content, quiet=True, run=None if output else run.path)
    if form is options.Format.json:
        say_json(_record(found, dt) | {"files": [str(path) for path in files], "notes": notes})
        return
    if not quiet:
        for note in notes:
            tell(f"note: {note}")
        for line in _lines(found, dt, files[0].name):
            say(line)
    for path in files:
        say(path)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"--inputs takes numbers with commas between them; got {text!r}"
        raise NetbuildError(what, Exit.USAGE) from None


def _refuse(run: Run, layer: str | None, sizes: Mapping[str, int]) -> None:
    """Raise NetbuildError for a run that has nothing to analyze, or too much."""
    from netbuild.analysis.dynamics import MOST_UNITS

    if not sizes:
        raise NetbuildError(f"{run.path} has no recurrent layer", Exit.USAGE)
    name = next(iter(sizes)) if layer is None else layer
    if name not in sizes:
        what = f"{run.path} has no recurrent layer {name}; there are: {', '.join(sizes)}"
        raise NetbuildError(what, Exit.USAGE)
    if sizes[name] > MOST_UNITS:
        what = f"{name} has {sizes[name]:,} units; Jacobians are of at most {MOST_UNITS:,}"
        raise NetbuildError(what, Exit.RESOURCES)


def _left_out(found: Study, condition: Sequence[str]) -> Iterator[str]:
    """What was asked for and is in no condition: trials without the period, or without a value."""
    import numpy as np

    from netbuild.results.activity import is_missing

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
        if missing := int(is_missing(values).sum()):
            yield f"{missing:,} of {len(values):,} trials have no `{name}` and are left out"


def _contents(found: Study, dt: float | None) -> tuple[bytes, bytes]:
    """The arrays, and the figure of them."""
    import numpy as np

    from netbuild import plots
    from netbuild.analysis import labelled

    arrays, image = io.BytesIO(), io.BytesIO()
    np.savez(arrays, **labelled(found, dt))  # type: ignore[arg-type]
    plots.fixed_points(found).figure.savefig(image, format="png", dpi=300)
    return arrays.getvalue(), image.getvalue()


def _record(found: Study, dt: float | None) -> dict[str, Any]:
    points = found.points
    conditions = zip(found.labels, points.inputs.tolist(), points.lost.tolist(), strict=True)
    return {
        "layer": found.layer,
        "formulation": found.formulation,
        "period": found.period,
        "conditions": [
            {"label": label, "inputs": row, "starts_lost": lost} for label, row, lost in conditions
        ],
        "points": _points(found, dt),
    }


def _points(found: Study, dt: float | None) -> list[dict[str, Any]]:
    """What is said of each point, as plain data."""
    points = found.points
    leading = points.multipliers[:, 0].tolist()
    slowest = points.time_constants(dt or 1.0)[:, 0].tolist()
    return [
        {
            "condition": int(points.condition[i]),
            "fixed": bool(points.fixed[i]),
            "starts": int(points.starts[i]),
            "q": float(points.q[i]),
            "multiplier": [leading[i].real, leading[i].imag],
            "time_constant": slowest[i] if math.isfinite(slowest[i]) else None,
            "stability": points.stability[i],
            "unstable_directions": int(points.unstable[i]),
        }
        for i in range(len(points))
    ]


def _lines(found: Study, dt: float | None, arrays: str) -> Iterator[str]:
    """A table of the first points of each condition; `arrays` names the file that has them all."""
    from netbuild.render import aligned

    points, every = found.points, _points(found, dt)
    of = f"mean input of {found.period or 'whole trials'}" if (found.which >= 0).any() else "given"
    yield f"{found.layer}: fixed points of {points.states.shape[1]} units; input: {of}"
    head = ("starts", "q", "multiplier", f"time ({'ms' if dt else 'steps'})", "point")
    for place, label in enumerate(found.labels):
        here = [point for point in every if point["condition"] == place]
        fixed = sum(point["fixed"] for point in here)
        values = ", ".join(f"{value:.3g}" for value in points.inputs[place].tolist()[:8])
        yield ""
        yield f"{label} [{values}]: {fixed} fixed, {len(here) - fixed} slow"
        if here:
            yield from aligned([head, *(_cells(point, dt) for point in here[:ROWS])])
        if len(here) > ROWS:
            yield f"... and {len(here) - ROWS:,} more, in {arrays}"
        if lost := int(points.lost[place]):
            least = float(points.lost_q[place])
            yield f"no such point from {lost} of the starts; their smallest q is {least:.1e}"
    yield ""


def _cells(point: Mapping[str, Any], dt: float | None) -> tuple[str, ...]:
    real, imaginary = point["multiplier"]
    turning = f" ± {abs(imaginary):.3f}i" if imaginary else ""
    time = point["time_constant"]
    what = point["stability"] if point["fixed"] else f"slow, {point['stability']}"
    if point["stability"] == "saddle":
        what += f", {point['unstable_directions']} unstable"
    shown = "-" if time is None else f"{time:,.0f}" if dt else f"{time:,.1f}"
    return str(point["starts"]), f"{point['q']:.1e}", f"{real:.4f}{turning}", shown, what
