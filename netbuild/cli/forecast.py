"""What `netbuild sweep --dry-run` prints: the points, and a forecast of the time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from netbuild.cli.options import Format
from netbuild.cli.standard import say, say_json

if TYPE_CHECKING:
    from netbuild.language.points import Points

MOST_SHOWN = 50  # settings that are listed
MEASURED = 3  # steps, of which the fastest counts


def print_forecast(points: Points, slots: int, form: Format) -> None:
    """Print the settings with their seeds, and how long all runs will take on so many workers.

    The time is that of one measured step of the first point, times the steps of all points; it
    leaves evaluations out, and what a larger network of another point costs.
    """
    from netbuild.experiments.sweep import label_of

    step, steps = _measured(points)
    own = [point.steps or steps for point in points.points]
    seconds = step * sum(own) / max(min(slots, len(own)), 1)
    if form is Format.json:
        said = {"runs": len(own), "workers": slots, "seconds_a_step": step, "seconds": seconds}
        say_json(said | {"points": [_record(point, steps) for point in points.points]})
        return
    settings: dict[Any, list[Any]] = {}
    for point in points.points:
        settings.setdefault(point.setting, []).append(point)
    seeds = points.experiment.seeds
    for each in list(settings.values())[:MOST_SHOWN]:
        say(f"{label_of(each[0]) or points.experiment.name}: {each[0].steps or steps:,} steps")
    if len(settings) > MOST_SHOWN:
        say(f"... and {len(settings) - MOST_SHOWN:,} more settings")
    shown = ", ".join(map(str, seeds[:10])) + (", ..." if len(seeds) > 10 else "")
    say(f"{len(settings):,} settings x {len(seeds):,} seeds ({shown}): {len(own):,} runs")
    say(f"one step takes {1000 * step:.1f} ms: about {_span(seconds)} with {slots:,} at once")


def _record(point: Any, steps: int) -> dict[str, Any]:
    return {
        "condition": point.condition,
        "draw": point.draw,
        "seed": point.seed,
        "parameters": dict(point.parameters),
        "steps": point.steps or steps,
        "hash": point.hash,
    }


def _measured(points: Points) -> tuple[float, int]:
    """The seconds of one step of the first point, and how many steps it has."""
    from netbuild import process
    from netbuild.runs.start import new_trainer

    threads = points.first.model.training.threads
    process.prepare(1 if threads == "auto" else threads)
    trainer = new_trainer(points.first)
    trainer.training = trainer.training.model_copy(update={"log_every": 1})
    fastest = 0.0
    with closing(trainer.records()) as records:
        for record in records:
            fastest = max(fastest, record.values.get("steps_per_second", 0.0))
            if record.step >= MEASURED:
                break
    return 1 / fastest if fastest else 0.0, trainer.steps


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
