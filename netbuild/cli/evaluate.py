"""`netbuild evaluate`: scores a checkpoint of a run on its test or validation trials."""

from __future__ import annotations

import io
import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from netbuild.cli import options
from netbuild.cli.options import Format, option, run_of, which_checkpoint
from netbuild.cli.outputs import need_ending, write
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.results.evaluation import Evaluation
    from netbuild.results.run import Run


class On(StrEnum):
    """The trials that are scored."""

    test = "test"
    validation = "validation"


def evaluate(
    target: options.RunName,
    checkpoint: options.Checkpoint = "last",
    trials: Annotated[
        int | None, option(None, "How many; if left out, as many as in training.", min=1)
    ] = None,
    on: Annotated[
        On, option(None, "Test trials, or those that choices were made on.", "--on")
    ] = On.test,
    output: Annotated[
        Path | None, options.output("Write a table with one row for each trial, as .parquet.")
    ] = None,
    device: options.Device = None,
    form: options.Form = Format.text,
    quiet: options.Quiet = False,
) -> None:
    """Score a checkpoint as the training did; the run is left as it is."""
    which = which_checkpoint(checkpoint)
    need_ending(output, "a table of trials", ".parquet")
    path = run_of(target)
    from netbuild.api import open_run
    from netbuild.cli.training import prepare_as
    from netbuild.results.evaluation import evaluate as score

    run = open_run(path, verify=False)
    prepare_as(run)  # with other threads the last bits may differ
    try:
        found = score(run, which, trials=trials, device=device or "cpu", on=on.value)
    except NetbuildError as error:
        raise _with_others(run, error) from None
    if output is not None:
        from netbuild.training.trials import trial_frame

        table = io.BytesIO()
        trial_frame(found.columns).write_parquet(table)
        write(output, table.getvalue(), quiet=True)
    if form is Format.json:
        record = {"run": str(run.path), "step": found.step, "on": found.on, "trials": found.trials}
        record |= {"stage": found.stage} if found.stage else {}
        record |= {**_known(found.values), "logged": _known(found.logged)}
        say(json.dumps(record, ensure_ascii=False))
    else:
        _tell(run, found, quiet)
        if output is not None and not quiet:
            say(output)


def _with_others(run: Run, error: NetbuildError) -> NetbuildError:
    """The error; where a checkpoint is damaged or missing, its hint names the other ones."""
    from netbuild.rundir import step_of
    from netbuild.runs.checkpoint import checkpoints

    if error.exit_code == Exit.RUN and not error.hint:
        found = checkpoints(run.path / "checkpoints")
        others = [path for path in found if path.name not in str(error)]
        if 0 < len(others) < len(found):
            steps = [str(step_of(path.name)) for path in others]
            error.hint = f"`--checkpoint STEP` names one of {', '.join(steps)}"
    return error


def _known(value: Any) -> Any:
    """Data whose numbers JSON can hold."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tell(run: Run, found: Evaluation, quiet: bool) -> None:
    if not quiet:
        stage = f", stage {found.stage}" if found.stage else ""
        say(f"{run.path}: step {found.step:,}{stage}, {found.trials:,} {found.on} trials")
    say(_scores(found.values))
    for name, value in found.values.get("environments", {}).items():
        say(f"  {name}: accuracy {value:.4f}")
    if found.logged is None or quiet:
        return
    if found.logged == _known(found.values):
        say("the training wrote the same")
    else:
        say(f"the training wrote {_scores(found.logged)}")


def _scores(values: dict[str, Any]) -> str:
    known = [(key, values[key]) for key in ("accuracy", "loss") if key in values]
    return ", ".join(f"{key} {'nan' if x is None else format(x, '.4f')}" for key, x in known)
