"""A run that has not come to its end is resumed, to the same bits as if it had never stopped."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch

from netbuild.builder import build, build_optimizer, change_optimizer, device_of
from netbuild.durable import digest, io_errors, read_file, reading
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import ForeignEntryError
from netbuild.layers import Network
from netbuild.rundir import LARGEST_JSON, NETWORK, OPTIMIZER
from netbuild.runs.checkpoint import (
    INITIAL,
    checkpoints,
    load_tensors,
    load_verified,
    open_checkpoint,
    set_aside,
    unpack,
)
from netbuild.runs.log import NotNowError, OtherLogError, copy_log, refuse_other_log
from netbuild.runs.provenance import (
    changed,
    environment,
    environment_changes,
    is_below,
    place,
    roots,
)
from netbuild.runs.run import Run, open_run, refuse_own_task
from netbuild.runs.schema import Resumed, State, now
from netbuild.runs.writer import RunWriter, Watcher, carry_out, reopen
from netbuild.tasks import Task
from netbuild.training.loop import Trainer, stages_of
from netbuild.training.optimizer_state import load_optimizer
from netbuild.training.progress import Progress
from netbuild.wording import one_line

Warn = Callable[[str], None]
IfChanged = Literal["refuse", "ignore"]


def resume(
    run: str | Path,
    task: Task | None = None,
    *,
    if_changed: IfChanged = "refuse",
    data_root: str | Path | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Run:
    """Resume the training of a run from its newest valid checkpoint; returns the run.

    The metrics have no gap and no duplicate, and the weights, the optimizer and the metrics end
    with the bits of a run that was never interrupted, on the same machine with the same versions
    and number of threads. A checkpoint that is damaged is renamed `corrupt-...`, with a warning,
    and the one before it is used; a run that had saved none yet begins again from its initial
    weights.

    The run's own copies of its spec and files are used. Where the originals are there and have
    changed since, `if_changed="refuse"` raises, and "ignore" does not look. They are looked for in
    the project of the run and in that of the working directory, and in `data_root`: what a
    `run.json` names elsewhere is not read. `task` is the object that it was trained on, where that
    was not the spec's own. `device` replaces the one that it was trained on, which changes the last
    bits. A run that has ended is returned as it is.

    Threads and determinism are the caller's: `warn` (default `warnings.warn`) is called with a
    line where they, the versions or the machine are not those of the start.

    Raises NetbuildError: exit 5 for a run that is damaged or whose files have changed, 6 where
    another process trains it, 7 where nothing can be written, 8 when the loss diverges.
    """
    opened = open_run(run, task, verify=False)
    found = resumed(
        opened,
        if_changed=if_changed,
        data_root=data_root,
        device=device,
        warn=warn or default_warn,
    )
    if found is not None:
        carry_out(*found, watch)
    return Run(opened.path, task)


def resumed(
    run: Run,
    *,
    if_changed: IfChanged = "refuse",
    data_root: str | Path | None = None,
    device: str | None = None,
    warn: Warn,
) -> tuple[Trainer, RunWriter] | None:
    """The training of a run from its newest valid checkpoint on; None for a run that has ended.

    The run is locked until the writer is closed. Options and errors are those of `resume`.
    """
    if run.info.has_ended:
        return None
    if if_changed == "refuse":
        refuse_changes(run, data_root)
        _warn_of_lost_root(run, data_root, warn)
    writer = reopen(run.path)
    try:
        if writer.info.has_ended:  # another process has just finished it
            writer.close()
            return None
        run.info = writer.info  # another process may have trained it in between
        trainer, logged = _restored(run, device, warn)
        writer.initial = run.initial
        with io_errors(f"cannot write {run.path}"):
            _note(writer, trainer, run, warn)
            writer.rewind(logged)
    except BaseException:
        writer.close()
        raise
    return trainer, writer


def refuse_changes(run: Run, data_root: str | Path | None = None) -> None:
    """Raise NetbuildError (exit 5) where a file that a run was made from holds something else."""
    found = changed(run.path, run.info.sources, data_root)
    if not found:
        return
    one = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    what = f"{one_line(str(one.file))} has changed since {run.path} was started{more}: "
    what += f"sha256 {one.then[:16]} then, {one.now[:16]} now"
    inputs = {each.sha256 for each in run.info.inputs.values()}
    if any(each.then in inputs for each in found):
        hint = (
            "`--as-started` resumes with the run's own copies; `--fork` starts a new run from its"
            " weights with the files as they are now, and needs the same masks"
        )
    else:
        hint = (
            "`--fork` starts a new run from the run's weights with the files as they are now;"
            " `--as-started` resumes with the run's own copies"
        )
    raise NetbuildError(what, Exit.RUN, hint)


def lost_root(run: Run, allowed: Iterable[Path], data_root: str | Path | None) -> Path | None:
    """The data root that a run was started with, where it is needed and not named again."""
    name = run.info.sources.data_root
    if name is None or data_root is not None:
        return None
    path = place(run.path, name)
    return None if is_below(path, allowed) else path


def _warn_of_lost_root(run: Run, data_root: str | Path | None, warn: Warn) -> None:
    """Warn if files that a run was made from may have changed, but are not compared."""
    lost = lost_root(run, roots(run.path), data_root)
    if lost is not None:
        warn(
            f"files in the data root of {run.path} are not compared with what they were: "
            f"`--data-root {quoted(lost)}` compares them"
        )


def quoted(path: Path) -> str:
    """A path as a shell reads it, fit for a terminal."""
    return shlex.quote(one_line(str(path)))


def _restored(run: Run, device: str | None, warn: Warn) -> tuple[Trainer, int]:
    """A training as it was at its newest valid checkpoint, and the bytes of its log then.

    A checkpoint whose log is not the run's is as little use as a damaged one. Nothing is renamed
    unless there is one to resume from. Raises NetbuildError.
    """
    refuse_damage(run)
    refuse_own_task(run)
    where = device_of(device or run.info.environment.device)
    damaged: dict[Path, NetbuildError] = {}
    for path in reversed(checkpoints(run.path / "checkpoints")):
        network, optimizer = _built(run, where)  # an error here is not one of the checkpoint
        try:
            state = _load_state(run, path, network, optimizer)
            refuse_other_log(run.path, state)
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            damaged[path] = error
            continue
        progress = Progress.model_validate(state.model_dump(include=set(Progress.model_fields)))
        trainer = Trainer.of(
            run.training_spec, network, optimizer, task=run.given_task, progress=progress
        )
        _put_away(run, damaged, warn)  # only now that there is a checkpoint to resume from
        return trainer, state.metrics
    if damaged:
        raise _nothing_left(run, list(damaged.values()))
    if step := run.info.step:
        with io_errors(f"cannot write {run.path}"):
            copy_log(run.path)
        warn(
            f"no checkpoint is left of {run.path}, which had taken {step:,} steps: it begins again"
        )
    return first_training(run, where), 0


def _put_away(run: Run, damaged: Mapping[Path, NetbuildError], warn: Warn) -> None:
    """Rename what cannot be used, newest first; of a log that will be cut a copy is kept."""
    with io_errors(f"cannot write {run.path}"):
        if any(isinstance(error, OtherLogError) for error in damaged.values()):
            copy_log(run.path)
        for bad, why in damaged.items():
            what = str(why).partition("\n")[0]
            aside = set_aside(bad).name
            warn(f"{what}; {bad.name} is now {aside}, and the one before is used")


def _nothing_left(run: Run, errors: list[NetbuildError]) -> NetbuildError:
    """The error where no checkpoint can be resumed from; `errors` are newest first."""
    logs = [error for error in errors if isinstance(error, OtherLogError)]
    if logs:  # a checkpoint is whole, and nothing but its log is missing
        return logs[0]
    what = str(errors[0]).partition("\n")[0]
    hint = f"to begin again from the initial weights, remove {run.path / 'checkpoints'}"
    what = f"no checkpoint of {run.path} is whole: {what}"
    return NetbuildError(what, errors[0].exit_code, hint)


def first_training(run: Run, device: torch.device) -> Trainer:
    """A run's training before its first step, from the weights that it started from."""
    network, optimizer = _built(run, device)
    return Trainer.of(run.training_spec, network, optimizer, task=run.given_task)


def _built(run: Run, device: torch.device) -> tuple[Network, torch.optim.Optimizer]:
    """A run's network, with the weights that it started from, and its optimizer."""
    spec = run.training_spec
    network = build(spec, device="cpu")
    load_tensors(network, run.initial, str(run.path / INITIAL))
    network = network.to(device)
    return network, build_optimizer(spec.model.training, network)


def _load_state(run: Run, path: Path, network: Network, optimizer: torch.optim.Optimizer) -> State:
    """Bring a run's network and optimizer to a checkpoint; returns what its `state.json` says.

    Raises NetbuildError for a checkpoint that is damaged, hostile, or another run's.
    """
    checkpoint, files = open_checkpoint(path)
    state, stages, where = checkpoint.state, stages_of(run.training_spec), str(path)
    if state.run != run.info.id:
        raise NetbuildError(f"{path} is of another run", Exit.RUN)
    if state.stage >= len(stages):
        raise NetbuildError(f"{path} is of a stage that the spec does not have", Exit.RUN)
    change_optimizer(stages[state.stage][1].model.training, optimizer)
    load_verified(network, files[NETWORK], run.initial, where)
    tensors = unpack(files[OPTIMIZER], where)
    load_optimizer(network, optimizer, tensors, state.optimizer, where)
    return state


def refuse_damage(run: Run) -> None:
    """Raise NetbuildError (exit 5) where a run's own spec or files have been changed."""
    digests = {"resolved.yaml": run.info.resolved_sha256, "spec.yaml": run.info.spec_sha256}
    for name, known in digests.items():
        path = run.path / name
        with reading(path):
            found = digest(read_file(path, LARGEST_JSON))
        if found != known:
            raise NetbuildError(f"{path} does not have the digest written down", Exit.RUN)
    for where, record in run.spec.files.items():
        own = run.info.inputs.get(where)
        if own is None or record.sha256 != own.sha256:
            what = f"{record.path} does not have the digest written down"
            raise NetbuildError(what, Exit.RUN)
    if run.info.seed != run.spec.model.seed:
        what = f"{run.path / 'run.json'} says seed {run.info.seed}"
        raise NetbuildError(f"{what}, resolved.yaml {run.spec.model.seed}", Exit.RUN)


def _note(writer: RunWriter, trainer: Trainer, run: Run, warn: Warn) -> None:
    """Note in `run.json` that the run is resumed, and warn where its environment has changed."""
    info = writer.info
    here = environment(trainer.device, run.training_spec)
    differences = environment_changes(info.environment, here)
    if differences:
        shown = ", ".join(f"{name} {then} then, {now} now" for name, then, now in differences[:4])
        warn(f"the last bits may differ: {shown}")
    resumed = Resumed(step=trainer.step, time=now(), argv=here.argv)
    if differences:
        resumed.environment = {name: new for name, _, new in differences}
    info.step, info.error, info.resumed = trainer.step, None, [*info.resumed, resumed]
    info.model_fields_set.discard("error")  # so that the file has no such key
    writer.status("running")


def default_warn(message: str) -> None:
    """A RuntimeWarning."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)
