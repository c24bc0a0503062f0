"""`netbuild train`: trains a spec into a run directory."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netbuild.cli.options import (
    DataRoot,
    Device,
    Form,
    Format,
    Quiet,
    Set,
    SpecPath,
    Unset,
    load_spec,
)
from netbuild.cli.signals import Signals
from netbuild.cli.standard import say, tell, warn, warnings_as_lines
from netbuild.errors import Exit, NetbuildError
from netbuild.system import cores, machine_cores

if TYPE_CHECKING:
    from netbuild.language import Spec
    from netbuild.runs import Run
    from netbuild.runs.resuming import IfChanged
    from netbuild.runs.writer import RunWriter
    from netbuild.training import Trainer


def train(
    spec: SpecPath,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder that runs are written below.")
    ] = Path("runs"),
    set_: Set = None,
    unset: Unset = None,
    device: Device = None,
    data_root: DataRoot = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume the newest unfinished run of this very spec; if it has finished, say so"
            " and train nothing.",
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="With --resume: if the spec has only finished runs, train it again."
        ),
    ] = False,
    form: Form = Format.text,
    quiet: Quiet = False,
) -> None:
    """Train a spec; the constraints hold after every step and are verified in the saved weights."""
    if again and not resume:
        what = "--again goes with --resume: without it every training is a new run"
        raise NetbuildError(what, Exit.USAGE)
    with Signals() as signals:
        checked = load_spec(spec, set_, unset, device, data_root, warn=None if quiet else form)
        if not resume:
            start(checked, out, signals, form, quiet)
            return
        from netbuild.runs.forking import (
            finished,
            of_another_spec,
            only_one,
            refuse_own_latest,
            unfinished,
        )

        refuse_own_latest(checked)
        with only_one(out, checked):
            found = unfinished(out, checked)
            if found is None and not again:
                found = finished(out, checked)
            if found is not None:
                go_on(found, signals, form, quiet, if_changed="ignore")
                return
            other = of_another_spec(out, checked)
            if other is not None:
                warn(f"{other} is unfinished, and of another spec: this one begins anew")
            start(checked, out, signals, form, quiet)


def start(
    spec: Spec, out: Path, signals: Signals, form: Format, quiet: bool, device: str | None = None
) -> None:
    """Start a new run below `out`."""
    prepare_process(spec)
    from netbuild.runs.start import new_trainer, start_run

    trainer = new_trainer(spec, device=device)
    signals.take(trainer)
    follow(trainer, start_run(spec, out, trainer), signals, form, quiet)


def go_on(
    path: Path,
    signals: Signals,
    form: Format,
    quiet: bool,
    *,
    if_changed: IfChanged = "refuse",
    data_root: Path | None = None,
    device: str | None = None,
) -> None:
    """Resume a run, on as many threads as it was started with."""
    from netbuild.runs import open_run
    from netbuild.runs.resuming import resumed

    run = open_run(path, verify=False)
    if run.info.has_ended:
        _tell_ended(run, form, quiet)
        return
    prepare_as(run)
    with warnings_as_lines():
        found = resumed(run, if_changed=if_changed, data_root=data_root, device=device, warn=warn)
    if found is None:  # another process has just finished it
        _tell_ended(open_run(path, verify=False), form, quiet)
        return
    trainer, writer = found
    signals.take(trainer)
    follow(trainer, writer, signals, form, quiet)


def _tell_ended(run: Run, form: Format, quiet: bool) -> None:
    if form is Format.json or quiet:
        _summary(run, 0.0, form, quiet)
        return
    about = run.about
    ended = f"{about['name']}: {about['status']} after {about['step']:,} steps"
    say(f"{ended}; nothing is left to train")
    say(f"run: {run.path}")


def follow(
    trainer: Trainer, writer: RunWriter, signals: Signals, form: Format, quiet: bool
) -> None:
    """Train, with a progress bar, and tell how it ended; raises typer.Exit after a signal."""
    from netbuild.render import Progress
    from netbuild.runs import open_run
    from netbuild.runs.writer import recording

    began = time.perf_counter()
    shown = Progress(writer.info.name, quiet=quiet or form is not Format.text)
    with warnings_as_lines(), recording(trainer, writer) as records, shown as progress:
        progress.begin(last_step(trainer))
        for record in records:
            progress.update(record.kind, record.step, last_step(trainer), record.values)
            signals.written()
    run = open_run(writer.path, verify=False)
    number = signals.received if run.about["status"] == "interrupted" else None
    try:
        _summary(run, time.perf_counter() - began, form, quiet)
        sys.stdout.flush()
    except OSError:  # that nobody reads it does not hide how the training ended
        if number is None:
            raise
    if number is not None:
        step, path = run.about["step"], shlex.quote(str(run.path))
        tell(f"interrupted after step {step}, saved: netbuild resume {path}")
        raise typer.Exit(128 + number)


def prepare_as(run: Run) -> None:
    """The process as the run had it: on as many threads, as far as the machine has cores for them.

    Cores that the machine has but this process may not use are counted, since the last bits depend
    on the number of threads alone.
    """
    recorded = run.info.environment.threads
    threads = min(recorded, machine_cores())
    if threads < recorded:
        had = f"the run had {recorded:,} threads, and this machine has {_cores(threads)}"
        warn(f"{had}: it takes {threads:,}, and the last bits may differ")
    prepare_process(run.spec, threads)


def last_step(trainer: Trainer) -> int | None:
    """The last step; None where only a stage's `stop_when` tells it."""
    from netbuild.language.training import UNTIL

    return None if trainer.steps >= UNTIL else trainer.steps


def prepare_process(spec: Spec, threads: int | None = None) -> None:
    """What a run needs of the process: threads (None: as its spec says), and deterministic
    algorithms.
    """
    # Before the first CUDA call; without it cuBLAS is not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(threads_of(spec) if threads is None else threads)
    # As `use_deterministic_algorithms(True)`, which also imports torch's compiler, for seconds.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


# Multiplications of a layer for one batch; below it a second thread gains less than it waits.
SMALL = 1 << 22


def threads_of(spec: Spec) -> int:
    """The threads that a run takes: the spec's, at most the cores at hand, or for `auto` all these.

    With `auto`, a network whose layers are all small takes one: on it, threads that wait for each
    other gain nothing alone, and lose tenfold as soon as anything else runs on the machine.
    """
    threads = spec.model.training.threads
    if threads != "auto":
        at_hand = cores()
        if threads > at_hand:
            had = f"training.threads is {threads:,}, and {_cores(at_hand)} are at hand"
            warn(f"{had}: the run takes {at_hand:,}")
        return min(threads, at_hand)
    maps = [each for layer in spec.plan.layers.values() for each in layer.maps.values()]
    largest = max((each.input_dim * each.output_dim for each in maps), default=0)
    if largest * spec.model.training.batch_size < SMALL:
        return 1
    return cores()


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count:,} cores"


def _summary(run: Run, seconds: float, form: Format, quiet: bool) -> None:
    final, about = run.final, run.about
    checks = run.verify()
    if form is Format.json:
        values = {key: final[key] for key in ("loss", "accuracy") if key in final}
        violations = sum(check.violations for check in checks)
        shown = {"run": str(run.path), "status": about["status"], "step": about["step"]}
        say(json.dumps(shown | values | {"violations": violations}))
        return
    if quiet:
        say(run.path)
        return
    say(f"{about['name']}: {about['status']} after {about['step']:,} steps, {seconds:.1f} s")
    if final:
        known = [key for key in ("accuracy", "loss") if final.get(key) is not None]
        scores = [f"{key} {final[key]:.4f}" for key in known]
        since = "" if final["step"] == about["step"] else f" after {final['step']:,} steps"
        say(f"test {', '.join(scores) or 'without a score'}{since}")
    held = {"sign": "signs", "absent": "absent connections", "frozen": "frozen weights"}
    counts = [
        f"{sum(c.weights for c in checks if c.constraint == kind):,} {words}"
        for kind, words in held.items()
        if any(c.constraint == kind for c in checks)
    ]
    if counts:
        violations = sum(check.violations for check in checks)
        say(f"constraints verified: {', '.join(counts)}; {violations} violations")
    say(f"run: {run.path}")
