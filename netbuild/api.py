"""The functions of the package that train, open, resume, fork and reproduce runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from netbuild.language import Spec, load
from netbuild.results.run import Run
from netbuild.runs.forking import forked_spec
from netbuild.runs.reproduction import Comparison, Reproduction
from netbuild.runs.resuming import Warn, resumed
from netbuild.runs.start import new_trainer, start_run
from netbuild.runs.writer import RunWriter, recording
from netbuild.tasks import Task
from netbuild.training.loop import Record, Trainer

Watcher = Callable[[Record, Trainer], None]


def train(
    spec: Spec | str | Path | Mapping[str, Any],
    out: str | Path = "runs",
    task: Task | None = None,
    *,
    device: str | None = None,
    watch: Watcher | None = None,
) -> Run:
    """Train a spec and return its run, written below `out`.

    `task` is any object with a `batch` method, in place of the spec's own. `watch` is called with
    every record and the trainer, whose `stop` it may set. Threads and determinism are the caller's:
    this records them and changes nothing of the process. A RuntimeWarning tells of choices that are
    made on the test trials of `task`. Raises SpecError for a bad spec and NetbuildError when the
    loss diverges or the run cannot be written.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    trainer = new_trainer(spec, task, device)
    if task is not None and trainer.selected_on == "test":
        what = "`stop_when` and the best checkpoint are chosen on the test trials of the task"
        hint = "with a method `validation()` they would be chosen on its validation trials"
        warnings.warn(f"{what}; {hint}", RuntimeWarning, stacklevel=2)
    return _carry_out(
        trainer, start_run(spec, Path(out), trainer, own_task=task is not None), watch
    )


def open_run(path: str | Path, task: Task | None = None, *, verify: bool = True) -> Run:
    """A run directory, verified: its files are there and its newest weights hold the constraints.

    `task` is the object that it was trained on, where that was not the spec's own. With
    `verify=False` the weights are not read until a method needs them. No link, FIFO or device in
    the folder is followed. Raises NetbuildError (exit 5; exit 9 for a file that is far too large).
    """
    return Run.open(path, task, verify=verify)


def resume(
    run: str | Path,
    task: Task | None = None,
    *,
    if_changed: Literal["refuse", "ignore"] = "refuse",
    data_root: str | Path | None = None,
    device: str | None = None,
    track: Sequence[str] | None = (),
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Run:
    """Resume the training of a run from its newest valid checkpoint; returns the run.

    The metrics have no gap and no duplicate, and the weights, the optimizer and the metrics end
    with the bits of a run that was never interrupted, on the same machine with the same versions
    and number of threads. A damaged checkpoint is renamed `corrupt-...`, with a warning, and the
    one before it is used; a run without any checkpoint begins again from its initial weights.

    The run's own copies of its spec and files are used. Where the originals are there and have
    changed since, `if_changed="refuse"` raises, and "ignore" does not look. The originals are
    looked for in the project of the run, in that of the working directory, and in `data_root`;
    files that `run.json` names elsewhere are not read. `task` is the object that the run was
    trained on, where that was not the spec's own. `device` replaces the device of the run, which
    changes the last bits. `track` names trackers beside those that have followed the run so far;
    with None no tracker follows it.
    A run that has ended is returned as it is.

    Threads and determinism are the caller's: `warn` (default `warnings.warn`) is called with a
    line where they, the versions or the machine are not those of the start.

    Raises NetbuildError: exit 5 for a run that is damaged or whose files have changed, 6 where
    another process trains it, 7 where nothing can be written, 8 when the loss diverges.
    """
    opened = Run.open(run, task)
    found = resumed(
        opened,
        if_changed=if_changed,
        data_root=data_root,
        device=device,
        track=track,
        warn=warn or _default_warn,
    )
    return Run(opened.path, task) if found is None else _carry_out(*found, watch)


def fork(
    run: str | Path,
    out: str | Path,
    task: Task | None = None,
    *,
    spec: str | Path | None = None,
    set: Sequence[str] = (),
    data_root: str | Path | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Run:
    """Start a new run below `out` from the newest weights of another, with its spec as it is today.

    `spec` replaces the file that the run was started from; `set` holds overrides beside those that
    the run was started with. The spec names files in its own project or in `data_root`, which must
    be given again for a run that was started with a data root. `warn` (default `warnings.warn`) is
    called with a line for each checkpoint that is damaged. Raises SpecError and NetbuildError.
    """
    checked = forked_spec(run, spec, set, warn or _default_warn, task, data_root)
    return train(checked, out, task, device=device, watch=watch)


def reproduce(
    run: str | Path,
    task: Task | None = None,
    *,
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Comparison:
    """Train a run again, from its own spec, files and initial weights, and compare every bit.

    Compared are the initial weights, drawn or taken again; each line of the log except for times;
    weights, optimizer and the state of the training in each checkpoint that was kept; and of a
    training that has ended, how, its scores in `run.json` and its table of test trials. It ends at
    the first difference, and where the run's newest checkpoint and log end. Nothing is written.
    Threads and determinism are the caller's; `task` and `warn` are those of `resume`.

    Raises NetbuildError: exit 5 for a run that is damaged or has no checkpoint.
    """
    again = Reproduction(Run.open(run, task), warn or _default_warn)
    with closing(again.records()) as records:
        for record in records:
            if watch is not None:
                watch(record, again.trainer)
    return again.result()


def _carry_out(trainer: Trainer, writer: RunWriter, watch: Watcher | None) -> Run:
    """Train to the end; `watch` is called with every record after it has been written."""
    with recording(trainer, writer) as records:
        for record in records:
            if watch is not None:
                watch(record, trainer)
    return Run(writer.path, trainer.given_task)


def _default_warn(message: str) -> None:
    """A RuntimeWarning at the call of a public function."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)
