"""What the commands that train share: the process, its signals, and what they print."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from netbuild import process
from netbuild.cli.options import Format
from netbuild.cli.signals import Signals
from netbuild.cli.standard import say, tell, warn, warnings_as_lines
from netbuild.errors import Exit, NetbuildError
from netbuild.system import cores, machine_cores
from netbuild.tracking.trackers import refuse_missing

if TYPE_CHECKING:
    from netbuild.language import Spec
    from netbuild.results.run import Run
    from netbuild.runs.writer import RunWriter
    from netbuild.training.loop import Trainer

# Multiplications of a layer for one batch; below it a second thread gains less than it waits.
SMALL = 1 << 22


@dataclass(frozen=True)
class Session:
    """A command that trains: the signals that end it, and how it prints."""

    signals: Signals
    form: Format
    quiet: bool

    def start(self, spec: Spec, out: Path, device: str | None = None) -> None:
        """Start a new run below `out`."""
        prepare_process(spec)
        from netbuild.runs.start import new_trainer, start_run

        trainer = new_trainer(spec, device=device)
        self.signals.take(trainer)
        self._follow(trainer, start_run(spec, out, trainer))

    def resume(self, path: Path, *, track: Sequence[str] | None = (), **options: Any) -> None:
        """Resume a run, on as many threads as it was started with.

        `options` are those of `netbuild.runs.resuming.resumed`. A run that has ended is sent to
        the trackers that `track` names.
        """
        from netbuild.api import open_run
        from netbuild.runs.resuming import resumed

        run = open_run(path, verify=False)
        if not run.info.has_ended:
            prepare_as(run)
            with warnings_as_lines():
                found = resumed(run, warn=warn, track=track, **options)
            if found is not None:
                trainer, writer = found
                self.signals.take(trainer)
                self._follow(trainer, writer)
                return
            run = open_run(path, verify=False)  # another process has just finished it
        self._send(run, track or ())
        if self.form is Format.json or self.quiet:
            self.summary(run, 0.0)
        else:
            say(f"{_ended(run)}; nothing is left to train\nrun: {run.path}")

    def _send(self, run: Run, names: Sequence[str]) -> None:
        """Send a run that has ended to trackers; raises NetbuildError where one fails."""
        from netbuild.runs.tracked import send

        refuse_missing(names)
        with warnings_as_lines():
            failed = send(run.path, run.training_spec, run.info, names) if names else []
        if failed:
            raise NetbuildError(f"the run was not sent to {', '.join(failed)}", Exit.IO)

    def _follow(self, trainer: Trainer, writer: RunWriter) -> None:
        """Train, with a progress bar, and tell how it ended; raises typer.Exit after a signal."""
        from netbuild.api import open_run
        from netbuild.render import Progress
        from netbuild.runs.writer import recording

        began = time.perf_counter()
        shown = Progress(writer.info.name, quiet=self.quiet or self.form is not Format.text)
        with warnings_as_lines(), recording(trainer, writer) as records, shown as progress:
            progress.begin(last_step(trainer))
            for record in records:
                progress.update(record.kind, record.step, last_step(trainer), record.values)
                self.signals.written()
        run = open_run(writer.path, verify=False)
        number = self.signals.received if run.about["status"] == "interrupted" else None
        try:
            self.summary(run, time.perf_counter() - began)
            sys.stdout.flush()
        except OSError:  # a reader that has gone does not hide how the training ended
            if number is None:
                raise
        if number is not None:
            step, path = run.about["step"], shlex.quote(str(run.path))
            tell(f"interrupted after step {step}, saved: netbuild resume {path}")
            raise typer.Exit(128 + number)

    def summary(self, run: Run, seconds: float) -> None:
        """Print how a training ended, its scores, and that its constraints hold."""
        about, checks = run.about, run.verify()
        violations = sum(check.violations for check in checks)
        if self.form is Format.json:
            final = run.scores["test"]["last"] if run.scores else run.final
            values = {key: final[key] for key in ("loss", "accuracy") if key in final}
            shown = {"run": str(run.path), "status": about["status"], "step": about["step"]}
            more = {key: about[key] for key in ("selected_on", "scores") if key in about}
            say(json.dumps(shown | values | more | {"violations": violations}))
            return
        if self.quiet:
            say(run.path)
            return
        say(f"{_ended(run)}, {seconds:.1f} s")
        for line in _scores_of(run):
            say(line)
        kinds = {"sign": "signs", "absent": "absent connections", "frozen": "frozen weights"}
        counts = [
            f"{sum(c.weights for c in checks if c.constraint == kind):,} {words}"
            for kind, words in kinds.items()
            if any(c.constraint == kind for c in checks)
        ]
        if counts:
            say(f"constraints verified: {', '.join(counts)}; {violations} violations")
        say(f"run: {run.path}")


def _scores_of(run: Run) -> Iterator[str]:
    """The scores at the end of a training, of its last weights and of its best ones.

    A training that was interrupted has its last evaluation.
    """
    scores, final, best = run.scores, run.final, run.about.get("best")
    if not scores:
        if final:
            since = "" if final["step"] == run.about["step"] else f" after {final['step']:,} steps"
            yield f"{final.get('on', 'test')} {_numbers(final)}{since}"
        return
    yield _on_each(scores, "last")
    if run.about.get("selected_on") is None or best is None:
        return
    if best["step"] == run.about["step"]:
        yield f"best after {best['step']:,} steps, which is the last one"
    elif all("best" in each for each in scores.values()):
        yield f"best after {best['step']:,} steps: {_on_each(scores, 'best')}"


def _on_each(scores: Mapping[str, Any], which: str) -> str:
    """The scores of the last or the best weights on the test trials and on the validation ones."""
    on = [name for name in ("test", "validation") if name in scores]
    return "; ".join(f"{name} {_numbers(scores[name][which])}" for name in on)


def _numbers(scores: Mapping[str, Any]) -> str:
    known = [key for key in ("accuracy", "loss") if scores.get(key) is not None]
    return ", ".join(f"{key} {scores[key]:.4f}" for key in known) or "without a score"


def _ended(run: Run) -> str:
    return f"{run.about['name']}: {run.about['status']} after {run.about['step']:,} steps"


def prepare_as(run: Run) -> None:
    """Prepare the process with as many threads as the run had, at most the cores of the machine.

    Cores that this process may not use count too, since the last bits depend on the number of
    threads alone.
    """
    recorded = run.info.environment.threads
    threads = min(recorded, machine_cores())
    if threads < recorded:
        had = f"the run had {recorded:,} threads, and this machine has {_cores(threads)}"
        warn(f"{had}: {threads:,} are used, and the last bits may differ")
    prepare_process(run.spec, threads)


def last_step(trainer: Trainer) -> int | None:
    """The last step; None where a stage goes on until its `stop_when` ends it."""
    from netbuild.language.training import UNTIL

    return None if trainer.steps >= UNTIL else trainer.steps


def prepare_process(spec: Spec, threads: int | None = None) -> None:
    """Set the threads of torch (None: as the spec says), and deterministic algorithms."""
    process.prepare(threads_of(spec) if threads is None else threads)


def threads_of(spec: Spec) -> int:
    """The threads of a run: the spec's number, at most the available cores; all of them for `auto`.

    With `auto`, a network whose layers are all small takes one: on it, threads that wait for each
    other gain nothing alone, and lose tenfold as soon as anything else runs on the machine.
    """
    threads = spec.model.training.threads
    if threads != "auto":
        usable = cores()
        if threads > usable:
            may = f"training.threads is {threads:,}, but this process may use only {_cores(usable)}"
            warn(f"{may}: the run takes {usable:,}")
        return min(threads, usable)
    maps = [each for layer in spec.plan.layers.values() for each in layer.maps.values()]
    largest = max((each.input_dim * each.output_dim for each in maps), default=0)
    if largest * spec.model.training.batch_size < SMALL:
        return 1
    return cores()


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count:,} cores"
